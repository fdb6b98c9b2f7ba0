"""What brings a command of the command line is a class with ``run``; apart from the program that runs it."""

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


class CommandPlugin:
    """A command, ``meteragent <name>``; need not be derived from. Its docstring begins with its summary."""

    def parser(self, parser: "argparse.ArgumentParser") -> None:
        """Add what the command takes; may be left out."""

    def run(self, arguments: "argparse.Namespace", settings: Any) -> int | None:
        """Do it, and return the exit code; None is 0. What it prints goes to stdout.

        :param settings: of the agent, with ``conf``, ``host`` and ``state_dir``
        """
        raise NotImplementedError


def is_cliffs(loaded: Any) -> bool:
    """Whether something is a command as cliff has them, which brings its own parser."""
    return isinstance(loaded, type) and hasattr(loaded, "get_parser") and hasattr(loaded, "take_action")


def load(found: "Found", values: Mapping[str, Any], choice: "Choice") -> Any:
    """The plugin behind a command, or the class where it is one of cliff's; foreign code.

    :raises PluginError: when there is none, with the reason
    """
    try:
        loaded = making.attribute(found, values, choice)
        if is_cliffs(loaded):
            return loaded
        made = bind(loaded, values)(values) if isinstance(loaded, type) else loaded
        if not callable(getattr(made, "run", None)):
            wanted = (
                f"a class with run({', '.join(RUN)}), perhaps with parser(parser), or a command of cliff's"
            )
            raise PluginError(f"wanted {wanted}; found {described(loaded)}")
        bind(made.run, RUN)
        return made
    except PluginError as error:
        raise PluginError(f"{found.label}: {error}") from None
    except (Exception, SystemExit) as error:  # boundary: import and constructor of a plugin
        raise PluginError(f"{found.label}: {one_line(error)}") from error
