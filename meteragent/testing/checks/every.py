"""What is asked of every plugin: that it is found, says what it is, and keeps its contract."""

from meteragent.errors import ConfigError, PluginError, PluginUnavailable
from meteragent.plugins import option
from meteragent.plugins.catalog import TRAIT
from meteragent.testing.subject import Subject
from meteragent.testing.verdict import Breach, Check, Undecided, check


@check("found", "see whether its package is installed, and how its entry point is called")
def found(subject: Subject) -> None:
    """By its entry point, or in its file, and once."""
    if not subject.found:
        raise Breach(
            f"{subject.label} is not installed",
            mend="install its package with pip install -e ., and compare the name with "
            '[project.entry-points."…"] in its pyproject.toml',
        )
    if len(subject.found) > 1:
        sides = ", ".join(f"{each.value} of {each.distribution}" for each in subject.found)
        raise Breach(
            f"{subject.label} is brought {len(subject.found)} times: {sides}", mend="rename one of them"
        )


@check("described", "begin its class with a docstring")
def described(subject: Subject) -> None:
    """In one line that ``plugin list`` shows without importing it."""
    if not subject.one.told.description:
        raise Breach(
            "it does not say what it does", place=subject.place(),
            mend="begin its class with a docstring, whose first line plugin list shows",
        )  # fmt: skip


@check("options", "declare options as a tuple of Option(…)")
def options(subject: Subject) -> None:
    """Sound, with help, and known without importing it."""
    told = subject.one.told
    subject.plugin()
    loaded = subject.loaded()
    try:
        declared = option.check(subject.label, getattr(loaded, "options", None) or ())
    except PluginError as error:
        raise Breach(str(error), place=subject.place(), mend="declare it as the message says") from None
    silent = [each.name for each in declared if not each.help.strip()]
    if silent:
        raise Breach(
            f"options without help: {', '.join(silent)}", place=subject.place(),
            mend='give each Option(…) a help="…", a full sentence; it is what config sample shows',
        )  # fmt: skip
    hidden = [each.name for each in declared if each not in told.options]
    if hidden and subject.kind != TRAIT:
        raise Breach(
            f"options that are not written out: {', '.join(hidden)}", place=subject.place(),
            mend="write options = (Option(…), …) in the class itself, with literal values: plugin show and "
            "config sample read the source and import nothing",
        )  # fmt: skip


@check(
    "loads", "mend the import or the constructor; PluginUnavailable(reason) says that it has nothing to do"
)
def loads(subject: Subject) -> None:
    """Is imported, made, and keeps the contract of its kind."""
    try:
        subject.make()
    except PluginUnavailable as error:
        raise Undecided(f"it says that it has nothing to do here: {error}") from None
    except ConfigError as error:
        raise Undecided(f"it wants to be configured: {error}") from None
    except PluginError as error:
        raise Breach(str(error), place=subject.place(), mend="let it have what is wanted") from None
    except Exception as error:  # boundary: import and constructor of a plugin
        if subject.kind == TRAIT and isinstance(error, TypeError | ValueError):
            raise Undecided(f"it wants parameters: {error}") from None
        raise subject.told(
            error, "its import or constructor",
            "mend it; PluginUnavailable(reason) is for a machine on which it has nothing to do",
        ) from None  # fmt: skip


CHECKS: tuple[Check, ...] = (found, loads, described, options)
