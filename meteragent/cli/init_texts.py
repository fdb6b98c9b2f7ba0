"""Texts of a configuration: made anew, or with what is missing put into what a person has written."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from meteragent.errors import ConfigError


class Section(NamedTuple):
    """A group of a config file."""

    heading: str
    """Comment lines below its name."""
    entries: dict[str, str]
    """By option its text, with comments above it; commented out where it shall have its default."""


def options(sections: Mapping[str, Section]) -> str:
    """A config file with these groups."""
    return "\n".join(_section(group, section) for group, section in sections.items())


def _section(group: str, section: Section) -> str:
    return f"[{group}]\n{section.heading}" + "".join(f"\n{text}" for text in section.entries.values())


def with_options(text: str, sections: Mapping[str, Section]) -> str:
    """A config file with what it lacks of these groups; what is there stays as it is."""
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    for group, section in sections.items():
        place = _end(lines, group)
        if place is None:
            lines += ["\n"] * bool(lines) + [_section(group, section)]
            continue
        missing = [
            text
            for name, text in section.entries.items()
            if name not in _names(lines, group, commented=text.splitlines()[-1].startswith("#"))
        ]
        lines[place:place] = [f"\n{text}" for text in missing]
        lines = "".join(lines).splitlines(keepends=True)
    return "".join(lines)


def _end(lines: Sequence[str], group: str) -> int | None:
    """The line behind the last value of a group; comments behind that may be of the next one."""
    place, within = None, False
    for number, line in enumerate(lines):
        if line.startswith("["):
            within = _group(line) == group.lower()
            place = number + 1 if within else place
        elif within and line.strip() and not line.startswith(("#", ";")):
            place = number + 1
    return place


def _names(lines: Sequence[str], group: str, *, commented: bool) -> set[str]:
    """The options of a group that are there, and those that are commented out if they count."""
    found, within = set(), False
    for line in lines:
        if line.startswith("["):
            within = _group(line) == group.lower()
        elif within and not line.startswith((" ", "\t") if commented else (" ", "\t", "#", ";")):
            found.add(line.lstrip("#; ").replace(":", "=", 1).partition("=")[0].strip().replace("-", "_"))
    return found


def _group(line: str) -> str:
    return line[1:].partition("]")[0].lower()


class Polled(NamedTuple):
    """A polling source to be."""

    name: str
    interval: int
    meters: Sequence[str]


class Sent(NamedTuple):
    """A sink to be."""

    name: str
    url: str


def polling(sources: Iterable[Polled]) -> list[str]:
    """The entries of polling.yaml."""
    return [
        f"- name: {_scalar(each.name)}\n  interval: {each.interval}\n  meters: {_scalar(list(each.meters))}\n"
        for each in sources
    ]


def routes(sinks: Iterable[Sent]) -> list[str]:
    """The entries under ``sources`` of pipeline.yaml: everything goes to each."""
    return [
        f'- name: {_scalar(f"to {each.name}")}\n  meters: ["*"]\n  sinks: {_scalar([each.name])}\n'
        for each in sinks
    ]


def sinks(sinks: Iterable[Sent]) -> list[str]:
    """The entries under ``sinks`` of pipeline.yaml."""
    return [f"- name: {_scalar(each.name)}\n  publishers: {_scalar([each.url])}\n" for each in sinks]


def _scalar(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def document(**lists: Sequence[str]) -> str:
    """A YAML document with these lists."""
    return "".join(f"{name}:\n" + "".join(_indented(each, 2) for each in its) for name, its in lists.items())


def with_entries(text: str, file: str, name: str, entries: Sequence[str]) -> str:
    """A YAML document with entries behind those that a list at its top has.

    :raises ConfigError: when it is not written in lines; what is to be added is told
    """
    import yaml

    if not entries:
        return text
    root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    nodes = {key.value: node for key, node in root.value} if isinstance(root, yaml.MappingNode) else {}
    node = nodes.get(name)
    if not isinstance(node, yaml.SequenceNode) or node.flow_style or not node.value or root.flow_style:
        raise ConfigError(
            f"{name} is not a list of lines beginning with -, so nothing can be added; write there: "
            + " ".join("".join(entries).split()),
            file=file,
        )
    lines = text.splitlines(keepends=True)
    place = node.value[-1].end_mark.line
    if node.value[-1].end_mark.column:
        place += 1
    while place and (not lines[place - 1].strip() or lines[place - 1].lstrip().startswith("#")):
        place -= 1
    if not lines[place - 1].endswith("\n"):
        lines[place - 1] += "\n"
    lines[place:place] = [_indented(each, node.start_mark.column) for each in entries]
    return "".join(lines)


def _indented(text: str, columns: int) -> str:
    return "".join(" " * columns + line for line in text.splitlines(keepends=True))
