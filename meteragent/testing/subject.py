"""A plugin that is checked: how it is found and made, with what the agent would give it."""

import inspect
import os
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from meteragent.clock import Clock
from meteragent.errors import ConfigError, PluginError, PluginUnavailable
from meteragent.plugins import command, making, option, stack
from meteragent.plugins.bind import Context
from meteragent.plugins.catalog import COMMAND, TRAIT, Found
from meteragent.plugins.choice import Choice
from meteragent.plugins.reason import one_line
from meteragent.storage.sqlite.driver import SQLiteDriver
from meteragent.testing.configured import give
from meteragent.testing.verdict import Breach, Undecided

HOST = "checked"
SECONDS = 10.0
"""How long a use of a plugin may take."""
_OWN = f"{Path(__file__).parent.parent}{os.sep}"


class Given(msgspec.Struct, frozen=True):
    """What a plugin is tried out with."""

    resources: Sequence[Any] = ()
    """For a pollster; without any, those that its discovery finds."""
    param: str | None = None
    """For a discovery."""
    notification: Mapping[str, Any] | None = None
    """For a handler; without one, one that says nothing but its event type."""
    priority: str = "info"
    url: str = ""
    """For a publisher or a storage driver; without one, a file in a folder of its own."""
    parameters: Mapping[str, Any] = MappingProxyType({})
    """For a trait plugin."""
    options: Mapping[str, Any] = MappingProxyType({})
    """Values of its options; others have their defaults."""
    seconds: float = SECONDS


class Subject:
    """A plugin, or several of one label, that is made anew as often as a check wants it."""

    def __init__(self, label: str, found: Sequence[Found], conf: Any, folder: Path, given: Given) -> None:
        """
        :param found: all of this label
        :param conf: the agent's options
        :param folder: an empty one, where it may write
        """
        self.label, self.found, self.conf, self.folder, self.given = label, found, conf, folder, given
        self.kind = label.partition(":")[0]

    @property
    def one(self) -> Found:
        """It, where there is but one."""
        if len(self.found) != 1:
            raise Undecided("it is not found once: see found")
        return self.found[0]

    @cached_property
    def choice(self) -> Choice:
        """All namespaces, nothing apart."""
        told = Choice.of(self.conf)
        folders = tuple(str(Path(each.file).parent) for each in self.found if each.file)
        return msgspec.structs.replace(told, directories=(*told.directories, *folders), isolate=())

    @cached_property
    def layers(self) -> stack.Loaded:
        """What can be provided to it."""
        return stack.load((), self._told(), self.choice)

    @cached_property
    def values(self) -> dict[str, Any]:
        """What its constructor may name."""
        return {**self._told(), "provided": self.layers.names}

    def _told(self) -> dict[str, Any]:
        url = self.given.url
        if not url and self.found:
            url = f"{self.found[0].name}://{self.folder / 'checked'}"
        told = {
            "conf": self.conf, "host": HOST, "state_dir": self.folder, "figures": list, "traits": {},
            "url": url, "clock": Clock(), "retention": None, "read_only": False,
        }  # fmt: skip
        if url.startswith("store:"):  # the only publisher that the agent gives one
            told["driver"] = SQLiteDriver("sqlite:///checked.db", self.folder)
        return told

    def loaded(self) -> Any:
        """What its entry point leads to; foreign code, raises what it likes."""
        loaded = making.attribute(self.one, self.values, self.choice)
        if self.given.options:
            declared = option.check(self.label, getattr(loaded, "options", None) or ())
            option.register(self.conf, self.label, declared)
            give(self.conf, self.label, self.given.options)
        return loaded

    def make(self) -> Any:
        """A plugin that keeps the contract of its kind; foreign code, raises what it likes."""
        loaded = self.loaded()
        if self.kind == TRAIT:
            if not isinstance(loaded, type) or not hasattr(loaded, "trait_values"):
                raise PluginError(f"wanted a class with trait_values(match_list); found {loaded!r:.60}")
            return loaded(**self.given.parameters)
        if self.kind == COMMAND:
            return command.load(self.one, self.values, self.choice)
        return making.made(self.one, self.values, self.choice)

    def plugin(self) -> Any:
        """The same for all checks but that which tells whether it can be had.

        :raises Undecided: when it cannot
        """
        try:
            return self.make()
        except Undecided:
            raise
        except PluginUnavailable as error:
            raise Undecided(f"it is unavailable: {error}") from None
        except ConfigError as error:
            raise Undecided(f"it cannot be configured: {error}") from None
        except BaseException as error:  # boundary: import and constructor of a plugin
            if isinstance(error, KeyboardInterrupt):
                raise
            raise Undecided("it is not loaded: see loads") from None

    def context(self, plugin: Any) -> Context:
        """What is told of its callbacks."""
        return self.layers.context(self.one, plugin, self.values)

    def place(self, thing: Any = None) -> str:
        """Where something of it is written, as ``file:line``; where it is itself, without."""
        found = place(thing) if thing is not None else ""
        if not found:
            try:
                found = place(self.loaded())
            except Exception:  # boundary: import of a plugin
                found = ""
        return found or self.written()

    @property
    def file(self) -> str:
        """Where its code is, once it was imported."""
        if self.one.file:
            return self.one.file
        module = sys.modules.get(self.one.value.partition(":")[0])
        return getattr(module, "__file__", None) or ""

    def written(self) -> str:
        """Where its class or function begins, as far as that can be told without importing it."""
        attribute = self.one.value.rpartition(":")[2]
        try:
            lines = Path(self.file).read_text().splitlines() if self.file else []
        except (OSError, ValueError):
            lines = []
        begins = re.compile(rf"(async )?(class|def) {re.escape(attribute)}\b|{re.escape(attribute)} *=")
        line = next((number for number, line in enumerate(lines, 1) if begins.match(line)), 0)
        return f"{self.file}:{line}" if line else self.file

    def place_of(self, error: BaseException) -> str:
        """Where in its own code an exception came from; where it is itself when it came from elsewhere."""
        places = [
            f"{frame.filename}:{frame.lineno}"
            for frame in traceback.extract_tb(error.__traceback__)
            if not frame.filename.startswith((_OWN, "<"))
        ]
        home = os.path.dirname(self.file) if "." in self.one.value.partition(":")[0] else self.file
        own = [each for each in places if home and each.startswith(home)]
        return own[-1] if own else self.place()

    def told(self, error: BaseException, doing: str, mend: str) -> Breach:
        """The breach that an exception of its is."""
        return Breach(f"{doing} raised {one_line(error)}", place=self.place_of(error), mend=mend)


def place(thing: Any) -> str:
    """Where a class, a function, or the class of an object is written; empty when it is not known."""
    named = isinstance(thing, type) or inspect.isroutine(thing)
    try:
        target = inspect.unwrap(thing) if named else type(thing)
        return f"{inspect.getsourcefile(target)}:{inspect.getsourcelines(target)[1]}"
    except (TypeError, OSError, ValueError):
        return ""
