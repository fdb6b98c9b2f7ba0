"""Options that plugins declare: what is allowed, how the configuration takes them, what a plugin is given."""

import keyword
import logging
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from oslo_config import cfg, types

from meteragent import option_faults
from meteragent.errors import PluginError
from meteragent.plain import without_password

LOG = logging.getLogger(__name__)

TYPES: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "list": (list,),
}
"""What a default may be, by the type of the option; a list is one of texts."""
RANGED = ("int", "float")
RESERVED = ("get", "items", "keys", "values", "config_source")
"""Names that ``Values`` and the config files need for themselves."""
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Option(msgspec.Struct, frozen=True):
    """Something of a plugin that a config file may set, in the group that has the label of the plugin."""

    name: str
    default: Any = None
    """What holds when nobody says anything; None: nothing does."""
    type: Any = ""
    """``str``, ``int``, ``float``, ``bool`` or ``list``, or the name of one; else that of the default."""
    minimum: int | float | None = None
    maximum: int | float | None = None
    choices: Sequence[Any] = ()
    """All that is allowed; of a list, all that may be in it."""
    help: str = ""
    unit: str = ""
    secret: bool = False
    """Whether a value is never shown."""

    def __post_init__(self) -> None:
        named: Any = self.type
        if isinstance(self.default, tuple):
            msgspec.structs.force_setattr(self, "default", list(self.default))
        if isinstance(named, type):
            named = named.__name__
        elif named == "":
            named = "str" if self.default is None else type(self.default).__name__
        msgspec.structs.force_setattr(self, "type", named)
        if isinstance(self.choices, list):
            msgspec.structs.force_setattr(self, "choices", tuple(self.choices))


class Found(Protocol):
    """What the catalogue found, as far as it matters here."""

    @property
    def label(self) -> str: ...

    @property
    def told(self) -> Any:
        """What the source says, with ``options``."""


class Values(Mapping[str, Any]):
    """The values of a plugin's options, as attributes and by name; nobody can change them."""

    __slots__ = ("_secret", "_values")
    _values: dict[str, Any]
    _secret: frozenset[str]

    def __init__(self, values: Mapping[str, Any] | None = None, secret: Iterable[str] = ()) -> None:
        object.__setattr__(self, "_values", dict(values or {}))
        object.__setattr__(self, "_secret", frozenset(secret))

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._values[name]
        except KeyError:
            there = ", ".join(self._values) or "none"
            raise AttributeError(f"no option {name!r} is declared; declared are {there}") from None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"option {name!r} is set in the configuration only")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __reduce__(self) -> tuple[Any, ...]:
        return Values, (self._values, self._secret)

    def __repr__(self) -> str:
        shown = (f"{name}={'(secret)' if name in self._secret else repr(self[name])}" for name in self)
        return f"Values({', '.join(shown)})"


def check(label: str, options: Any) -> tuple[Option, ...]:
    """What a plugin declares, once it is known to be sound.

    :raises PluginError: naming the option, what it says and what is allowed
    """
    if not isinstance(options, list | tuple) or not all(isinstance(each, Option) for each in options):
        raise PluginError(f"wanted options: a list or tuple of Option; found {options!r:.100}")
    names: set[str] = set()
    for option in options:
        if fault := _fault(option) or ("is declared twice" if option.name in names else ""):
            raise PluginError(f"option {option.name!r:.80} of {label} {fault}")
        names.add(option.name)
    return tuple(options)


def _fault(option: Option) -> str:
    """What is wrong with a declaration; empty when nothing is."""
    if not isinstance(option.name, str) or not _NAME.fullmatch(option.name) or keyword.iskeyword(option.name):
        return "has no sound name; allowed are small letters, digits and _, no word of Python's"
    if option.name in RESERVED:
        return f"has a reserved name; reserved are {', '.join(RESERVED)}"
    if not isinstance(option.type, str) or option.type not in TYPES:
        return f"has the type {option.type!r:.60}; allowed are {', '.join(TYPES)}"
    if not isinstance(option.help, str) or not isinstance(option.unit, str):
        return f"has a help or a unit that is no text: {option.help!r:.60}, {option.unit!r:.60}"
    return _fault_of_range(option) or _fault_of_choices(option) or _fault_of_default(option)


def _fault_of_range(option: Option) -> str:
    bounds = [each for each in (option.minimum, option.maximum) if each is not None]
    if bounds and option.type not in RANGED:
        return f"is of type {option.type} and has a range; only {' and '.join(RANGED)} have one"
    if not all(_is("float", each) for each in bounds) or sorted(bounds) != bounds:
        return f"has the range {option.minimum!r:.30} to {option.maximum!r:.30}, which has nothing in it"
    return ""


def _fault_of_choices(option: Option) -> str:
    choices, inner = option.choices, "str" if option.type == "list" else option.type
    if choices and option.type == "bool":
        return "is of type bool and has choices"
    if not isinstance(choices, tuple) or not all(_is(inner, each) for each in choices):
        return f"has the choices {choices!r:.80}; wanted a tuple of {inner}"
    if not all(_within(option, each) for each in choices):
        return f"has the choices {choices!r:.80}, of which some are out of its range"
    return ""


def _fault_of_default(option: Option) -> str:
    default = option.default
    if default is None:
        return ""
    if not _is(option.type, default):
        return f"has the default {shown(option, default)!r:.80}, which is no {option.type}"
    if option.choices:
        sound = all(each in option.choices for each in (default if option.type == "list" else [default]))
    else:
        sound = _within(option, default)
    return "" if sound else f"has the default {shown(option, default)!r:.80}; allowed: {allowed(option)}"


def _within(option: Option, value: Any) -> bool:
    """Whether a value is in the range of an option, if it has one."""
    low, high = option.minimum, option.maximum
    return (low is None or value >= low) and (high is None or value <= high)


def _is(name: str, value: Any) -> bool:
    """Whether a value is of the type of that name."""
    if name == "list":
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return isinstance(value, TYPES[name]) and isinstance(value, bool) == (name == "bool")


def allowed(option: Option) -> str:
    """What an option takes, in words, as messages about values have it."""
    return option_faults.allowed(opt(msgspec.structs.replace(option, default=None)))


def opt(option: Option) -> cfg.Opt:
    """The option as the configuration knows it; it was checked before."""
    low, high, choices = option.minimum, option.maximum, list(option.choices) or None
    kind: Any
    if option.type in RANGED:
        number, words = (int, "integer value") if option.type == "int" else (float, "floating point value")
        kind = types.Number(number, words, low, high, choices)
    elif option.type == "bool":
        kind = types.Boolean()
    else:
        kind = types.String(choices=choices)
        kind = types.List(kind) if option.type == "list" else kind
    unit = [f"Unit: {option.unit}."] if option.unit else []
    told = " ".join([option.help.strip(), *unit]).strip() or None
    return cfg.Opt(
        option.name, type=kind, default=_written(option.default), help=told, secret=option.secret
    )  # fmt: skip


def _written(default: Any) -> Any:
    """A default as the configuration has it, where a dollar begins the name of another option."""
    if isinstance(default, list):
        return [_written(each) for each in default]
    return default.replace("$", r"\$") if isinstance(default, str) else default


def group(label: str) -> str:
    """The group of the configuration that a plugin's options are in."""
    return label.lower()


def register(conf: cfg.ConfigOpts, label: str, options: Sequence[Option]) -> list[cfg.Opt]:
    """Let the configuration know the options of a plugin, which were checked.

    :raises PluginError: when it knows one of them otherwise
    """
    opts = [opt(option) for option in options]
    for each in opts:
        try:
            conf.register_opt(each, group=group(label))
        except cfg.DuplicateOptError:
            raise PluginError(f"option {each.name!r} of {label} is not what its source declares") from None
    return opts


def values(conf: cfg.ConfigOpts | None, found: Found, declared: Any = None) -> Values:
    """What the configuration says to the options of a plugin; what it does not say has its default.

    :param declared: the ``options`` of the loaded plugin; without, what its source says is taken
    :raises PluginError: when the plugin declares them wrongly
    :raises ConfigError: when a value is not allowed, with the place of it
    """
    options = check(found.label, found.told.options if declared is None else declared)
    if not options:
        return Values()
    if conf is None:
        conf = cfg.ConfigOpts()
    name, places = group(found.label), getattr(conf, "places", {})
    known = set(conf[name]) if name in conf else set()
    opts = register(conf, found.label, options)
    for fault in option_faults.of_values(conf, [(name, opts)], places):
        raise fault
    if known != {each.dest for each in opts}:  # its source did not tell all, so nobody could look for others
        own = {key: place for key, place in places.items() if key[0] == name}
        for remark in option_faults.unknown([(name, opts)], own):
            LOG.warning("%s", remark)
    read = conf[name]
    return Values(
        {option.name: _typed(option, read[option.name]) for option in options},
        [option.name for option in options if option.secret],
    )


def _typed(option: Option, value: Any) -> Any:
    """A default is read as it was declared, also an int of a float."""
    return float(value) if option.type == "float" and value is not None else value


def shown(option: Option, value: Any) -> Any:
    """A value as anybody may see it."""
    if option.secret and value is not None:
        return "(secret)"
    if isinstance(value, list):
        return [without_password(each) for each in value]
    return without_password(value) if isinstance(value, str) else value
