"""Commands that plugins bring: found without being imported, so that none can harm the others."""

import argparse
import contextlib
import importlib.metadata
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

from cliff.command import Command
from cliff.commandmanager import CommandManager

from meteragent.cli.arguments import EPILOG
from meteragent.errors import MeteragentError, PluginError

if TYPE_CHECKING:
    from meteragent.config import Reading
    from meteragent.plugins.catalog import Found
    from meteragent.plugins.loader import Plugin

GROUP = "meteragent.cli"
OWN = f"{GROUP}."
DIRECTORIES = "directories"
"""The option that says where drop-ins are."""
PLACES = ("~/.meteragent", "~", "/etc/meteragent", "/etc")
"""Those of ``config_folders``, which a call that asks for help does not load."""


class Commands(CommandManager):
    """The built-in commands, of which nothing is imported yet; others are looked for when they are needed."""

    def __init__(self, distribution: str, options: Callable[[], argparse.Namespace]) -> None:
        """
        :param distribution: the one whose commands are built in
        :param options: those that were given before or behind the command
        """
        super().__init__()
        self._options = options
        for entry in importlib.metadata.distribution(distribution).entry_points:
            if entry.group == GROUP:
                self.commands[entry.name.replace("_", " ")] = entry

    def find_command(self, argv: list[str]) -> tuple[Any, str, list[str]]:
        """The class of a command, its name, and the other words; a built-in name is never another's.

        :raises ValueError: when there is none
        :raises MeteragentError: when it is a plugin's and cannot be used
        """
        try:
            found = super().find_command(argv)
            if found[1] in self.commands:
                return found
        except ValueError:
            found = None
        words = argv[: self._get_last_possible_command_index(argv)]
        if words and (brought := self._brought(words)) is not None:
            factory, name, length = brought
            return factory, name, argv[length:]
        if found is None:
            raise ValueError(f"no command {argv!r}")
        return found

    def is_foreign(self, name: str) -> bool:
        """Whether a command that was found is a plugin's."""
        return not any(each == name or each.startswith(f"{name} ") for each in self.commands)

    def names(self) -> list[str]:
        """Those of all commands; of plugins' as far as they can be told, and only what can be called."""
        names = {*self.commands}
        with contextlib.suppress(MeteragentError):
            usable = (name for name, _, plugin in self._listed() if plugin.state == "installed")
            names.update(name for name in usable if not self._is_taken(name))
        return sorted(names)

    def summaries(self) -> Iterator[tuple[str, str]]:
        """The commands of plugins, and what each is or why it is not used.

        :raises MeteragentError: when it cannot be told
        """
        for name, found, plugin in self._listed():
            brought = found.file or f"{found.distribution} {found.version}".strip()
            if self._is_taken(name):
                yield name, f"(of {brought}; is not used, as the name is built in)"
            elif plugin.state == "installed":
                yield name, found.told.description or f"(of {brought})"
            elif plugin.state != "disabled":
                yield name, f"(of {brought}; is not used: {plugin.reason})"

    def _listed(self) -> "Iterator[tuple[str, Found, Plugin]]":
        """The commands of plugins by name, whatever became of them.

        :raises MeteragentError: when it cannot be told
        """
        if self._perhaps():
            for name, (found, plugin) in sorted(self._plugins(self._reading()).items()):
                yield name, found, plugin

    def _is_taken(self, name: str) -> bool:
        """Whether a built-in command is called so, begins so, or is what this begins with."""
        words = f"{name} "
        return any(words.startswith(f"{each} ") or f"{each} ".startswith(words) for each in self.commands)

    def _brought(self, words: list[str]) -> tuple[Any, str, int] | None:
        """The command of a plugin that a call begins with, if there is one."""
        if not self._perhaps():
            return None
        reading = self._reading()
        plugins = self._plugins(reading)
        for length in range(len(words), 0, -1):
            name = " ".join(words[:length])
            if name in plugins and not self._is_taken(name):
                for fault in reading.faults:
                    raise fault
                return _class(reading, *plugins[name]), name, length
        return None

    def _reading(self) -> "Reading":
        from meteragent import config

        options = self._options()
        return config.read(options.config_file, options.config_dir, options.state_dir)

    def _plugins(self, reading: "Reading") -> "dict[str, tuple[Found, Plugin]]":
        """By the words of the command."""
        from meteragent.plugins import catalog, loader
        from meteragent.plugins.choice import Choice

        choice = Choice.of(reading.settings.conf)
        found = catalog.find(catalog.COMMAND, choice)
        return {
            each.name.replace("_", " "): (each, plugin)
            for each, plugin in zip(found, loader.look(found, choice), strict=True)
        }

    def _perhaps(self) -> bool:
        """Whether there may be commands of plugins; a glance, as nearly nobody has one."""
        options = self._options()
        return _in_distributions() or _in_folders(options.config_file, options.config_dir)


def _in_distributions() -> bool:
    """Whether a distribution other than ours names the group of commands, or an archive may hold one."""
    if any(os.path.isfile(each) for each in sys.path):
        return True
    listed = [
        os.path.join(folder, name, "entry_points.txt")
        for folder in dict.fromkeys(sys.path)
        for name in _names(folder)
        if name.endswith((".dist-info", ".egg-info"))
    ]
    return any(GROUP.encode() in (text := _content(file)) and _foreign(text) for file in listed)


def _foreign(entry_points: bytes) -> bool:
    """Whether entry points of our group are of modules that are not ours."""
    group = entry_points.partition(f"[{GROUP}]".encode())[2].partition(b"\n[")[0]
    return any(
        not line.partition(b"=")[2].strip().startswith(OWN.encode())
        for line in group.splitlines()
        if b"=" in line
    )


def _in_folders(files: list[str], folders: list[str]) -> bool:
    """Whether a configuration names folders of drop-ins."""
    if f"OS_PLUGINS__{DIRECTORIES}".upper() in os.environ:
        return True
    if not files and not folders:
        files = [os.path.join(place, "meteragent.conf") for place in PLACES]
        folders = [os.path.join(place, each) for place in PLACES
                   for each in ("meteragent.conf.d", "meteragent/meteragent.conf.d")]  # fmt: skip
    listed = [
        *map(os.path.expanduser, files),
        *(
            os.path.join(os.path.expanduser(each), name)
            for each in folders
            for name in _names(each)
            if name.endswith(".conf")
        ),
    ]
    told = (line for file in listed for line in _content(file).splitlines())
    return any(line.lstrip().startswith(DIRECTORIES.encode()) for line in told)


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(os.path.expanduser(folder) or ".")
    except OSError:
        return []


def _content(file: str) -> bytes:
    """What a file holds; nothing where that cannot be read, as is told where it is needed."""
    try:
        if not os.path.isfile(file):
            return b""
        with open(file, "rb") as opened:
            return opened.read(1 << 20)
    except OSError:
        return b""


class Brought(Command):
    """A command of a plugin, for the program."""

    plugin: Any = None
    reading: "Reading"
    values: dict[str, Any]

    def get_description(self) -> str:
        """What the plugin says of itself."""
        return (self.plugin.__doc__ or "").strip()

    def get_epilog(self) -> str:
        """What stands below the help."""
        return EPILOG

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it, as the plugin fills it."""
        parser = super().get_parser(prog_name)
        fill = getattr(self.plugin, "parser", None)
        if fill is not None:
            fill(parser)
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run it; what is no exit code is for the program to refuse."""
        return cast("int", self.take_action(parsed_args))

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """What its ``run`` comes to."""
        from meteragent.plugins.bind import bind
        from meteragent.plugins.command import RUN
        from meteragent.plugins.settling import settled

        values = {"arguments": parsed_args, "settings": cast(Any, self.app).settings(), **self.values}
        return settled(bind(self.plugin.run, RUN)(values))


def _class(reading: "Reading", found: "Found", plugin: "Plugin") -> Any:
    """A class for the program, behind which the plugin is.

    :raises PluginError: when it cannot be used, with the reason
    """
    import logging

    from meteragent.plugins import command, option
    from meteragent.plugins.choice import Choice

    if plugin.state != "installed":
        raise PluginError(f"{found.label} is {plugin.state}: {plugin.reason}")
    settings = reading.settings
    values: dict[str, Any] = {
        **settings.given,
        "log": logging.getLogger(f"meteragent.{found.kind}.{found.name}"),
        "options": option.values(settings.conf, found),
    }  # fmt: skip
    loaded = command.load(found, values, Choice.of(settings.conf))
    if command.is_cliffs(loaded):
        return loaded
    values["options"] = option.values(settings.conf, found, getattr(loaded, "options", None))
    return type("Brought", (Brought,), {"plugin": loaded, "values": values, "__doc__": loaded.__doc__})


def damaged() -> MeteragentError | None:
    """What is to be told when Python cannot read what is installed."""
    for distribution in importlib.metadata.distributions():
        try:
            distribution.entry_points  # noqa: B018  it is read here
        except UnicodeDecodeError as error:
            place = getattr(distribution, "_path", "an installed distribution")
            return MeteragentError(f"{place}: entry_points.txt is no UTF-8 text: {error}; install it again")
    return None
