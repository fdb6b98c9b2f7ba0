"""How what a plugin yields is written in its process; what cannot cross becomes something that says so."""

from typing import Any

from meteragent.plugins.confined.frames import FIELDS, Value
from meteragent.plugins.reason import one_line, shortened, valid
from meteragent.sample import Metadata

CROSSES = ("resources", "cache", "at", "host", "log", "options", "state")
"""The arguments that a confined plugin can be given; all others live in the agent."""
CONSTRUCTION = ("host", "log", "options")
"""Those that its constructor can be given."""

LONGEST = 2000
"""Characters that are told of a value."""
MOST_VALUES = 50_000
"""In the metadata of one sample: while the agent reads them, nothing else in it runs."""
_MOST_BITS = 4096


def fields_of(thing: Any) -> dict[str, Value]:
    """The fields of a sample that was not accepted, each fit to cross, as far as it has any."""
    found: dict[str, Value] = {}
    for field in FIELDS:
        try:
            value = getattr(thing, field)
        except AttributeError:
            continue
        except Exception as error:  # boundary: attributes of what a plugin yielded
            found[field] = Value("raises", text=one_line(error))
        else:
            found[field] = fit(value, field)
    return found


def fit(value: Any, field: str = "") -> Value:
    """A value, with how it is said."""
    if value is None or type(value) in (bool, float):
        return Value("plain", value)
    if type(value) is int:
        small = -(2**63) <= value < 2**64
        if small or value.bit_length() <= _MOST_BITS:
            return Value("plain", value) if small else Value("int", text=hex(value))
    elif type(value) is str:
        head = value[: LONGEST * 4]
        return Value("text", head.encode("utf-8", "surrogatepass"))
    elif field == "resource_metadata":
        return _metadata(value)
    return Value("object", text=shown(value), kind=valid(type(value).__name__[:60]))


def _metadata(value: Any) -> Value:
    """Metadata of any type; what is too long to be shown whole goes by the head of its text."""
    try:
        json = Metadata.of(value).json
    except Exception as error:  # boundary: a mapping of a plugin
        return Value("unsayable", text=shortened(valid(str(error))).removeprefix("resource_metadata: "))
    if too_many(json):
        return Value("unsayable", text=f"more than {MOST_VALUES} values")
    if len(json) <= LONGEST:
        return Value("json", json)
    return Value("abridged", text=shown(value.as_dict() if isinstance(value, Metadata) else value))


def too_many(json: bytes) -> bool:
    """Whether metadata may hold more values than can cross."""
    return len(json) > MOST_VALUES and sum(map(json.count, (b",", b"[", b"{"))) > MOST_VALUES


def shown(value: Any) -> str:
    """The text that a value is shown by."""
    try:
        return valid(repr(value)[:LONGEST])
    except Exception:  # boundary: a value of any type
        return f"<{valid(type(value).__name__[:60])}>"
