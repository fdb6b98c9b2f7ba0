"""What a check of a plugin can come to; apart from the checks, which all tell it alike."""

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from meteragent.errors import MeteragentError

Outcome = Literal["ok", "breach", "could not be run"]
OK: Outcome = "ok"
BREACH: Outcome = "breach"
UNDECIDED: Outcome = "could not be run"


class Breach(MeteragentError):
    """Something that a plugin does not keep.

    :param problem: what it is: what is wanted and what was found
    :param place: where, as ``file:line``
    :param mend: how to mend it
    """

    def __init__(self, problem: str, *, mend: str, place: str = "") -> None:
        self.problem, self.mend, self.place = problem, mend, place
        super().__init__("; ".join(each for each in (problem, place and f"at {place}", mend) if each))


class Undecided(MeteragentError):
    """A check cannot be run, as something that it needs is not there; no fault of the plugin's."""


class Check(msgspec.Struct, frozen=True):
    """Something that the agent needs of a plugin."""

    name: str
    run: Callable[[Any], None]
    """Given a ``Subject``, raises ``Breach`` or ``Undecided``."""
    mend: str
    """What to do about an exception of the plugin's that comes out."""


class Verdict(msgspec.Struct, frozen=True):
    """What a check of a plugin came to."""

    label: str
    check: str
    outcome: Outcome
    problem: str = ""
    """Also why it could not be run."""
    place: str = ""
    mend: str = ""


def check(name: str, mend: str) -> Callable[[Callable[[Any], None]], Check]:
    """Make a check of a function.

    :param mend: what to do about an exception of the plugin's that comes out of it
    """
    return lambda function: Check(name, function, mend)
