"""What brings a command of the command line is a class with ``run``; apart from the program that runs it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from meteragent.errors import PluginError
from meteragent.plugins import making
from meteragent.plugins.bind import bind, described
from meteragent.plugins.reason import one_line

if TYPE_CHECKING:
    import argparse

    from meteragent.plugins.catalog import Found
    from meteragent.plugins.choice import Choice

RUN = ("arguments", "settings", "conf", "host", "log", "options", "state_dir")
"""What ``run`` may name: the arguments that were parsed, and what every plugin may have."""
LARGEST_CODE = 255
"""Of exit codes, which are a byte."""


class CommandPlugin(ABC):
    """A command, ``meteragent <name>``; need not be derived from. Its docstring begins with its summary."""

    def parser(self, parser: "argparse.ArgumentParser") -> None:  # noqa: B027  it need not take anything
        """Add what the command takes; may be left out."""

    @abstractmethod
    def run(self, arguments: "argparse.Namespace", settings: Any) -> int | None:
        """Do it, and return the exit code; None is 0. What it prints goes to stdout.

        :param settings: of the agent, with ``conf``, ``host`` and ``state_dir``
        """


def is_cliffs(loaded: Any) -> bool:
    """Whether something is a command as cliff has them, which brings its own parser."""
    return isinstance(loaded, type) and hasattr(loaded, "get_parser") and hasattr(loaded, "take_action")


def exit_code(told: str, returned: Any) -> int:
    """The exit code that a command returned.

    :param told: which command it is, for messages
    :raises PluginError: when it returned something else
    """
    if returned is None:
        return 0
    if isinstance(returned, bool) or not isinstance(returned, int) or not 0 <= returned <= LARGEST_CODE:
        raise PluginError(
            f"{told}: returned {returned!r:.60}; wanted None or an exit code from 0 to {LARGEST_CODE}"
        )
    return returned


def load(found: "Found", values: Mapping[str, Any], choice: "Choice") -> Any:
    """The plugin behind a command, or the class where it is one of cliff's; foreign code.

    :raises PluginError: when there is none, with the reason
    """
    try:
        loaded = making.attribute(found, values, choice)
        if is_cliffs(loaded):
            return loaded
        is_object = not isinstance(loaded, type) and hasattr(loaded, "run")
        made = bind(loaded, values)(values) if callable(loaded) and not is_object else loaded
        if not callable(getattr(made, "run", None)):
            wanted = (
                f"a class with run({', '.join(RUN)}), perhaps with parser(parser), a function that makes "
                "an object with it, or a command of cliff's"
            )
            raise PluginError(f"wanted {wanted}; found {described(loaded)}")
        bind(made.run, RUN)
        return made
    except PluginError as error:
        raise PluginError(f"{found.label}: {error}") from None
    except (Exception, SystemExit) as error:  # boundary: import and constructor of a plugin
        raise PluginError(f"{found.label}: {one_line(error)}") from error
