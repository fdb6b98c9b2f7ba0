"""What the agent needs of what provides a name."""

from collections.abc import Mapping
from typing import Any

from meteragent.plugins import loader
from meteragent.plugins.provider import Opening, Providers
from meteragent.testing.subject import Subject
from meteragent.testing.verdict import Breach, Check, check


class _OfTest(Exception):
    """What is raised while it is open."""


def use(subject: Subject) -> None:
    """Open it and close it."""
    with _opened(subject):
        pass


@check("opens", "yield once, or return a context manager")
def opens(subject: Subject) -> None:
    """Opens and closes, twice, and gives something under its name."""
    subject.plugin()
    for _ in range(2):
        with _opened(subject) as given:
            _something(subject, given)


@check("closes after an error", "let what is raised while it is open come out, and close nevertheless")
def closes(subject: Subject) -> None:
    """What is raised while it is open comes out, and it can be opened again."""
    subject.plugin()
    try:
        with _opened(subject):
            raise _OfTest
    except _OfTest:
        pass
    else:
        raise Breach(
            "what was raised while it was open is lost", place=subject.place(),
            mend="close it in finally, or use with; do not catch what comes out of yield",
        )  # fmt: skip
    with _opened(subject) as given:
        _something(subject, given)


CHECKS: tuple[Check, ...] = (opens, closes)


def _opened(subject: Subject) -> Opening:
    providers = Providers(
        [
            subject.one,
            *(each for each in subject.layers.stack.providers.found.values() if each != subject.one),
        ]
        if subject.layers.stack.providers is not None
        else [subject.one],
        subject.values,
        lambda found: (
            subject.make() if found == subject.one else loader.make_one(found, subject.values, subject.choice)
        ),
    )
    name = subject.make().provides
    return providers.around([name], subject.context(None))({})


def _something(subject: Subject, given: Mapping[str, Any]) -> None:
    if given[subject.make().provides] is None:
        raise Breach("it gives None", place=subject.place(), mend="yield what callbacks are to be given")
