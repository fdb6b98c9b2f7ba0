"""How what a plugin yields is written in its process; what cannot cross becomes something that says so."""

from typing import Any

from meteragent.plugins.reason import one_line, shortened, valid
from meteragent.sample import Metadata, Sample

CROSSES = ("resources", "cache", "at", "host", "log", "options", "state")
"""The arguments that a confined plugin can be given; all others live in the agent."""
CONSTRUCTION = ("host", "log", "options")
"""Those that its constructor can be given."""

FIELDS = Sample.__struct_fields__[:-1]
_LONGEST = 2000
"""Characters that are told of a value."""
_MOST_BITS = 4096


def fields_of(thing: Any) -> dict[str, Any]:
    """The fields of a sample that was not accepted, each fit to cross, as far as it has any."""
    found: dict[str, Any] = {}
    for field in FIELDS:
        try:
            value = getattr(thing, field)
        except AttributeError:
            continue
        except Exception as error:  # boundary: attributes of what a plugin yielded
            found[field] = ["raises", one_line(error)]
        else:
            found[field] = fit(value, field)
    return found


def fit(value: Any, field: str = "") -> list[Any]:
    """A value as a pair: how it is said, and what."""
    if value is None or type(value) in (bool, float):
        return ["plain", value]
    if type(value) is int:
        small = -(2**63) <= value < 2**64
        if small or value.bit_length() <= _MOST_BITS:
            return ["plain", value] if small else ["int", hex(value)]
    elif type(value) is str:
        head = value[: _LONGEST * 4]
        return ["text", head.encode("utf-8", "surrogatepass")]
    elif field == "resource_metadata":
        try:
            return ["json", Metadata.of(value).json]
        except Exception as error:  # boundary: a mapping of a plugin
            return ["unsayable", shortened(valid(str(error))).removeprefix("resource_metadata: ")]
    return ["object", valid(type(value).__name__[:60]), shown(value)]


def shown(value: Any) -> str:
    """The text that a value is shown by."""
    try:
        return valid(repr(value)[:_LONGEST])
    except Exception:  # boundary: a value of any type
        return f"<{valid(type(value).__name__[:60])}>"
