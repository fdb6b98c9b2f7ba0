"""How the options of plugins are written in a config file, each with all that is known of it."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from meteragent.plain import printable

if TYPE_CHECKING:
    from meteragent.plugins.catalog import Found
    from meteragent.plugins.option import Option

WIDTH = 77


def section(found: "Found", options: "Sequence[Option]") -> str:
    """The group of a plugin; its options are commented out."""
    from meteragent.plugins import option

    heading = f"[{option.group(found.label)}]\n{about(found)}"
    return f"{heading}\n" + "\n".join(entry(each) for each in options)


def about(found: "Found") -> str:
    """What a plugin is and who brings it, as a comment."""
    brought = f"{found.distribution} {found.version}".strip() if not found.file else found.file
    told = [found.told.description, *([f"From {brought}"] if brought else [])]
    return "".join(_comment(line) for line in told if line)


def entry(option: "Option", given: str | None = None) -> str:
    """An option with its help, and its value or, commented out, its default."""
    from meteragent.plugins.option import opt, shown

    kind: Any = opt(option).type
    lines = [f"{option.help} ({kind.type_name})".strip()]
    lines += [f"{told}: {value}" for told, value in facts(option) if value]
    text = "".join(_comment(line) for line in lines)
    if given is not None:
        return f"{text}{option.name} = {given}\n"
    return f"{text}#{option.name} = {written(shown(option, option.default))}\n"


def facts(option: "Option") -> list[tuple[str, str]]:
    """What is to be known of the values of an option."""
    return [
        ("Unit", option.unit),
        ("Minimum value", "" if option.minimum is None else str(option.minimum)),
        ("Maximum value", "" if option.maximum is None else str(option.maximum)),
        ("Allowed", ", ".join(written(each) for each in option.choices)),
    ]


def written(value: Any) -> str:
    """A value as a config file has it."""
    if value is None:
        return "<None>"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(written(each) for each in value)
    return printable(str(value)).replace("$", "$$")


def _comment(text: str) -> str:
    """Lines of a comment; what is foreign in it stays within."""
    return "".join(f"# {line}\n" for line in textwrap.wrap(printable(text), WIDTH))
