"""What is wrong with the values and names of options; apart from reading them, which goes on behind each."""

import math
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from oslo_config import cfg, types

from meteragent.config_files import Place, Places, Written
from meteragent.errors import ConfigError
from meteragent.plain import near

Groups = Sequence[tuple[str, Sequence[cfg.Opt]]]
"""Every option by its group."""
_NOWHERE = Place("", None, "")


def of_values(
    conf: cfg.ConfigOpts, groups: Groups, places: Places, broken: Collection[str | None] = ()
) -> Iterator[ConfigError]:
    """Each value that cannot be used, told now and not where it is used; behind it the default holds.

    :param broken: files that ``conf`` has not read, since they cannot be parsed as a whole
    """
    for group, opt in _options(groups):
        place = places.get((group, opt.dest), _NOWHERE)
        unread = place.file in broken and place_of(group, opt, places) is place
        reason = _set(conf, group, opt, place.text) if unread else None
        if reason is None:
            reason = _of_value(conf, group, opt)
        if reason is not None:
            yield bad(group, opt, places, reason or f"allowed: {allowed(opt)}")
            conf.set_override(opt.dest, opt.default, None if group == "DEFAULT" else group)


def _of_value(conf: cfg.ConfigOpts, group: str, opt: cfg.Opt) -> str | None:
    """Why a value cannot be used: empty when it is not what is allowed, None when it can."""
    try:
        value = (conf if group == "DEFAULT" else conf[group])[opt.dest]
    except (cfg.Error, ValueError) as error:
        return str(error) if isinstance(error, cfg.TemplateSubstitutionError) else ""
    except RecursionError:
        return "refers to itself"
    # oslo.config reads an empty number as none at all, and takes nan and inf for numbers
    if (value is None and opt.default is not None) or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return None if _is_text(value) else "is no UTF-8 text"


def _set(conf: cfg.ConfigOpts, group: str, opt: cfg.Opt, text: str) -> str | None:
    """Let a value hold that ``conf`` has not read; empty when it is not what is allowed."""
    try:
        conf.set_override(opt.dest, text, None if group == "DEFAULT" else group)
    except ValueError:
        return ""
    return None


def _is_text(value: Any) -> bool:
    """Whether it has no bytes in it that are no text, as the environment and a host's name may have."""
    texts = value if isinstance(value, list) else [value]
    return not any("\ud800" <= letter <= "\udfff" for text in texts for letter in str(text))


def bad(group: str, opt: cfg.Opt, places: Places, reason: str) -> ConfigError:
    """The error for a value, wherever it comes from."""
    shown = _shown(opt, place_of(group, opt, places))
    return error(group, opt, places, f"[{group}] {opt.dest} = {shown}: {reason}")


def error(group: str, opt: cfg.Opt, places: Places, told: str) -> ConfigError:
    """What is to be told of an option, with its place."""
    place = place_of(group, opt, places)
    key, value = f"[{group}] {opt.dest}", _shown(opt, place)
    return ConfigError(told, file=place.file or None, line=place.line, key=key, value=value)


def _shown(opt: cfg.Opt, place: Place) -> str:
    return "(secret)" if opt.secret else f"{place.text!r:.120}"


def place_of(group: str, opt: cfg.Opt, places: Places) -> Place:
    """Where the value that holds is written, with an empty file when nowhere; the environment wins."""
    variable = f"OS_{group}__{opt.dest}".upper()
    if variable in os.environ:
        return Place(f"environment variable {variable}", None, os.environ[variable])
    return places.get((group, opt.dest), _NOWHERE)


def allowed(opt: cfg.Opt) -> str:
    """What an option takes, in words."""
    kind: Any = opt.type
    if isinstance(kind, types.Dict):
        return opt.metavar or "key:value, separated by commas"
    choices = getattr(kind, "choices", None) or getattr(getattr(kind, "item_type", None), "choices", None)
    if choices:
        few = "one of" if getattr(kind, "choices", None) else "a list of"
        return f"{few} {', '.join(str(choice) for choice in choices)}"
    if getattr(kind, "regex", None):
        return f"text that matches {kind.regex.pattern}"
    words = str(kind.type_name).removesuffix(" value")
    low, high = getattr(kind, "min", None), getattr(kind, "max", None)
    if low is not None and high is not None:
        return f"{words} from {low} to {high}"
    if low is not None or high is not None:
        return f"{words} of at least {low}" if low is not None else f"{words} of at most {high}"
    return words


def remarks(groups: Groups, written: Written) -> Iterator[ConfigError]:
    """What was taken although it is hardly what was meant; some options may stand in a file twice."""
    several = {f"[{group}] {opt.dest}" for group, opt in _options(groups) if opt.multi}
    yield from (each for each in written.remarks if each.key not in several)
    yield from unknown(groups, written.places)


def unknown(groups: Groups, places: Places) -> Iterator[ConfigError]:
    """Each key that nobody reads, and each group that looks misspelt; one of a plugin has a colon."""
    known: dict[str, list[str]] = {}
    for group, opt in _options(groups):
        known.setdefault(group, []).append(opt.dest)
    for (group, name), place in places.items():
        key = f"[{group}] {name}"
        where: dict[str, Any] = {"file": place.file, "line": place.line, "key": key}
        if group not in known:
            meant = "" if ":" in group else near(group, known)
            if meant:
                yield ConfigError(
                    f"nothing reads the group [{group}]; there is [{meant}]", **where,
                    suggestion=f"[{meant}] {near(name, known[meant]) or name}",
                )  # fmt: skip
        elif name not in known[group] and name != "config_source":
            told = f"{key} is no option and is ignored; options there: {', '.join(sorted(known[group]))}"
            yield ConfigError(told, **where, suggestion=_meant(group, name, known))
    for variable in os.environ:
        prefix, _, option = variable.removeprefix("OS_").partition("__")
        for group, options in known.items():
            if variable.startswith("OS_") and prefix == group.upper() and option.lower() not in options:
                meant = near(option.lower(), options)
                yield ConfigError(
                    f"[{group}] has no such option; options there: {', '.join(sorted(options))}",
                    file=f"environment variable {variable}",
                    key=f"[{group}] {option.lower()}",
                    suggestion=f"OS_{group}__{meant}".upper() if meant else "",
                )


def _meant(group: str, name: str, known: dict[str, list[str]]) -> str:
    """The option that was perhaps meant, of this group or, by its very name, of another."""
    elsewhere = [f"[{other}] {name}" for other, options in known.items() if name in options]
    return near(name, known[group]) or ", ".join(elsewhere)


def _options(groups: Groups) -> Iterable[tuple[str, cfg.Opt]]:
    return ((group, opt) for group, opts in groups for opt in opts)
