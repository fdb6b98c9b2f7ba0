"""Writes the package of a new plugin, which works and whose test passes, to begin from."""

import argparse
import keyword
import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from string import Template

from meteragent.cli.command import Command
from meteragent.errors import ConfigError
from meteragent.plain import near

SKELETON = Path(__file__).parent / "skeleton"
NAMESPACE = "host"
LONGEST = 60
"""Characters of a name."""
DESCRIPTIONS = {
    "pollster": "Meters how much is free where a folder is.",
    "discovery": "Finds the folders in a folder, for pollsters that read folders.",
    "notification": "Makes samples of notifications that something was stored.",
    "publisher": "Appends a line for each sample to a file.",
    "trait": "Rounds the numbers in events.",
    "middleware": "Tells in the log which calls of plugins take long.",
    "provider": "Provides an SQLite database to callbacks that name it.",
    "command": "Shows which host this agent meters.",
}
"""By kind what the plugin does that the package begins with."""
USES = {
    "pollster": "A running agent takes it up with ``meteragent reload``, where polling.yaml selects\n"
    "``$meter`` and ``[polling] namespaces`` has ``$namespace``.",
    "discovery": "Name it in polling.yaml, ``discovery: [$entry]``.",
    "notification": "A running agent takes it up with ``meteragent reload``.",
    "publisher": "Name it in pipeline.yaml, ``publishers: ['$entry:///tmp/samples']``.",
    "trait": "Name it in a definition of events, ``plugin: {name: $entry, parameters: {digits: 1}}``.",
    "middleware": "Put it around callbacks by ``[plugins] middleware = $entry``.",
    "provider": "A callback of any plugin gets it as its argument ``$entry``.",
    "command": "Call it: ``meteragent $entry --loud``.",
}
SUFFIXES = {"notification": "Handler", "trait": "TraitPlugin"}
"""How the class of a plugin ends where it is not called as its kind."""
WITH_DASHES = ("publisher", "command")
"""Kinds whose names are parts of URLs or of command lines."""
_WORD = re.compile(r"[a-z0-9]+")


class PluginNew(Command):
    """Write the package of a new plugin: installable, working, and with a test that passes."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        add = parser.add_argument
        add("kind", metavar="KIND", help=f"what it is: {', '.join(DESCRIPTIONS)}")
        add("name", metavar="NAME", help="what it is called: words of small letters and digits, - . or _ "
            "between them, as open-files")  # fmt: skip
        add("--output", metavar="FOLDER", help="where to write it; without, meteragent-NAME here")
        add("--namespace", metavar="NAMESPACE",
            help=f"of a pollster; without, {NAMESPACE}, which every agent polls")  # fmt: skip
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Write it."""
        kind = _kind(parsed_args.kind)
        words = named(kind, parsed_args.name, self._taken(kind))
        texts = package(kind, words, _namespace(kind, parsed_args.namespace))
        folder = Path(parsed_args.output or f"meteragent-{'-'.join(words)}").expanduser()
        write(folder, texts)
        self.app.stdout.write("".join(f"{folder / name}\n" for name in texts))
        self.program.hint(f"go on with: cd {folder} && pip install -e . && pytest")
        return 0

    def _taken(self, kind: str) -> set[str]:
        """Names that a plugin of this kind cannot have."""
        if kind == "command":
            return {name.partition(" ")[0] for name, _ in self.app.command_manager}
        if kind != "provider":
            return set()
        from meteragent.plugins import contracts, provider

        offered = (contracts.GET_SAMPLES, contracts.DISCOVER, contracts.CONVERT, contracts.PUBLISH)
        return {*provider.OFFERS, *(name for names in offered for name in names)}


def _kind(kind: str) -> str:
    """
    :raises ConfigError: when there is none of that name, or none to begin from
    """
    if kind == "storage":
        raise ConfigError(
            "storage: a driver is too much to be written for you; begin from the suite that it has to pass, "
            "meteragent.testing.storage.StorageContract"
        )
    if kind not in DESCRIPTIONS:
        raise ConfigError(
            f"{kind!r:.80} is no kind of plugin; allowed: {', '.join(DESCRIPTIONS)}",
            suggestion=near(kind, DESCRIPTIONS),
        )
    return kind


def named(kind: str, name: str, taken: Collection[str] = ()) -> list[str]:
    """The words of a name.

    :param taken: names that others of this kind have
    :raises ConfigError: when it is no name for a plugin of this kind
    """
    words = re.split(r"[-_.]", name)
    if words[0] == "meteragent" and words[1:]:
        del words[0]
    fit = all(_WORD.fullmatch(word) for word in words) and not words[0][0].isdigit()
    if not fit or len(name) > LONGEST:
        raise ConfigError(
            f"{name!r:.80} is no name for a plugin; allowed are small letters and digits, a letter first, "
            f"with - . or _ between words; {LONGEST} characters at most"
        )
    taken = {*taken, *keyword.kwlist} if kind == "provider" else taken
    if entry(kind, words) in taken:
        raise ConfigError(f"{name!r} cannot be the name of a {kind}; taken are {', '.join(sorted(taken))}")
    return words


def entry(kind: str, words: Sequence[str]) -> str:
    """The name of the entry point."""
    return ("-" if kind in WITH_DASHES else "_").join(words)


def _namespace(kind: str, namespace: str | None) -> str:
    """That of the entry points, for pollsters.

    :raises ConfigError: when there can be none of that name
    """
    if namespace is not None and kind != "pollster":
        raise ConfigError(f"--namespace {namespace!r:.80}: a {kind} has none; allowed for a pollster only")
    if namespace is not None and not re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*", namespace):
        raise ConfigError(
            f"--namespace {namespace!r:.80}: allowed are small letters, digits and _, with . between words"
        )
    return (namespace or NAMESPACE) if kind == "pollster" else ""


def package(kind: str, words: Sequence[str], namespace: str = "") -> dict[str, str]:
    """The files of the package and their texts."""
    from meteragent.plugins.catalog import GROUPS

    name, inner = entry(kind, words), f"{namespace}." if namespace else ""
    distribution = f"meteragent-{'-'.join(words)}"
    module = f"meteragent_{'_'.join(words)}"
    capitals = "".join(word.capitalize() for word in words)
    told = {
        "distribution": distribution,
        "underline": "=" * len(distribution),
        "module": module,
        "description": DESCRIPTIONS[kind],
        "label": f"{kind}:{inner}{name}",
        "group": f"{GROUPS[kind]}.{namespace}".rstrip("."),
        "entry": name,
        "attribute": name if kind == "provider" else capitals + SUFFIXES.get(kind, kind.capitalize()),
        "meter": f"{inner}{name}.free",
        "namespace": namespace,
    }
    told["use"] = Template(USES[kind]).substitute(told)
    return {
        name: Template((SKELETON / f"{skeleton}.txt").read_text()).substitute(told)
        for name, skeleton in (
            ("pyproject.toml", "pyproject.toml"),
            ("README.rst", "README.rst"),
            (f"{module}.py", f"{kind}.py"),
            (f"tests/test_{module.removeprefix('meteragent_')}.py", f"{kind}_test.py"),
        )
    }


def write(folder: Path, texts: Mapping[str, str]) -> None:
    """Write files that are not there yet; all of them or none.

    :raises ConfigError: when one is there
    :raises OSError: when one cannot be written
    """
    there = [str(folder / name) for name in texts if os.path.lexists(folder / name)]
    if there:
        raise ConfigError(
            f"{', '.join(there)}: there already, and nothing is overwritten; --output names another folder"
        )
    written: list[Path] = []
    try:
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x") as file:
                written.append(path)
                file.write(text)
    except OSError:
        for path in written:
            path.unlink(missing_ok=True)
        raise
