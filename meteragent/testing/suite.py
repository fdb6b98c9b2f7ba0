"""The checks of each kind of plugin, and how one is run; the same for pytest and the command line."""

from collections.abc import Mapping, Sequence

from meteragent.plugins.catalog import (
    COMMAND,
    DISCOVERY,
    MIDDLEWARE,
    NOTIFICATION,
    POLLSTER,
    PROVIDER,
    PUBLISHER,
    STORAGE,
    TRAIT,
)
from meteragent.plugins.reason import one_line
from meteragent.testing.checks import (
    command,
    discovery,
    every,
    left,
    middleware,
    notification,
    pollster,
    provider,
    publisher,
    storage,
    trait,
)
from meteragent.testing.subject import Subject
from meteragent.testing.verdict import BREACH, OK, UNDECIDED, Breach, Check, Undecided, Verdict

_OF_KIND: Mapping[str, tuple[Sequence[Check], left.Use]] = {
    POLLSTER: (pollster.CHECKS, pollster.use),
    DISCOVERY: (discovery.CHECKS, discovery.use),
    NOTIFICATION: (notification.CHECKS, notification.use),
    PUBLISHER: (publisher.CHECKS, publisher.use),
    STORAGE: (storage.CHECKS, storage.use),
    TRAIT: (trait.CHECKS, trait.use),
    MIDDLEWARE: (middleware.CHECKS, middleware.use),
    PROVIDER: (provider.CHECKS, provider.use),
    COMMAND: (command.CHECKS, command.use),
}


def kinds() -> list[str]:
    """Those that there are checks for."""
    return list(_OF_KIND)


def checks(kind: str) -> list[Check]:
    """All of a kind, in the order in which they are run."""
    of_kind, use = _OF_KIND[kind]
    return [*every.CHECKS, *of_kind, *left.checks(use)]


def verdict(check: Check, subject: Subject) -> Verdict:
    """What a check comes to; nothing but Ctrl-C comes out."""
    try:
        check.run(subject)
    except Breach as breach:
        return Verdict(subject.label, check.name, BREACH, breach.problem, breach.place, breach.mend)
    except Undecided as error:
        return Verdict(subject.label, check.name, UNDECIDED, str(error))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # boundary: plugins are foreign code, and so is what they return
        problem, place = one_line(error), subject.place_of(error) if len(subject.found) == 1 else ""
        return Verdict(subject.label, check.name, BREACH, problem, place, check.mend)
    return Verdict(subject.label, check.name, OK)
