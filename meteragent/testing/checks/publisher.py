"""What the agent needs of a publisher."""

import time
from typing import Any, get_args

from meteragent.batch import Batch, Position
from meteragent.errors import Rejected, Unavailable
from meteragent.pipeline.target import Broken, Target
from meteragent.plugins.bind import bind
from meteragent.plugins.contracts import PUBLISH
from meteragent.publishers.base import Guarantee, State
from meteragent.sample import accepted
from meteragent.testing.checks.closing import closes
from meteragent.testing.fakes import NOON, sample
from meteragent.testing.subject import Subject
from meteragent.testing.verdict import Breach, Check, Undecided, check


def use(subject: Subject) -> None:
    """Publish one batch."""
    plugin = subject.make()
    try:
        _published(subject, plugin, BATCH)
    except (Unavailable, Rejected):
        pass
    finally:
        plugin.close()


@check("guarantee", "say in guarantee what a crash may do")
def guarantee(subject: Subject) -> None:
    """It says what a crash may do to what it publishes."""
    told = getattr(subject.plugin(), "guarantee", None)
    if told not in get_args(Guarantee):
        raise Breach(
            f"guarantee is {told!r:.60}", place=subject.place(),
            mend=f"let it be one of {', '.join(map(repr, get_args(Guarantee)))}",
        )  # fmt: skip


@check("publishes", "raise Unavailable for what may be tried again, Rejected for what may not")
def publishes(subject: Subject) -> None:
    """A batch, the same again, and one without samples; within its time."""
    plugin = subject.plugin()
    place = subject.place(plugin.publish)
    try:
        for number, batch in enumerate((BATCH, BATCH, Batch(sequence=2)), 1):
            began = time.monotonic()
            _published(subject, plugin, batch)
            if time.monotonic() - began > subject.given.seconds:
                raise Breach(
                    f"batch {number} took longer than {subject.given.seconds:g} s", place=place,
                    mend="give each request a time-out, and raise Unavailable",
                )  # fmt: skip
    except Broken as error:
        cause = error.__cause__ or error
        where = subject.place_of(cause) or place
        raise Breach(
            str(error), place=where,
            mend="raise Unavailable for what may be tried again, Rejected for a batch that never can be; "
            "return None, or a Published whose parts add up",
        ) from None  # fmt: skip
    except (Unavailable, Rejected) as error:
        raise Undecided(f"it takes nothing at this URL: {error}") from None
    finally:
        plugin.close()


@check("two at once", "take hold of what only one can have at the first publish")
def two(subject: Subject) -> None:
    """A reload makes another one of the same URL beside it."""
    first, second = subject.plugin(), None
    try:
        second = subject.make()
    except Exception as error:  # boundary: publishers are foreign code
        raise subject.told(
            error, "another one of the same URL", "take hold of what only one can have at the first publish"
        ) from None
    finally:
        first.close()
        if second is not None:
            second.close()


CHECKS: tuple[Check, ...] = (guarantee, publishes, closes, two)
_SAMPLES = [accepted(sample(resource_id=name), NOON, "openstack") for name in ("one", "two")]
BATCH = Batch(_SAMPLES, sequence=1)


def _published(subject: Subject, plugin: Any, batch: Batch) -> None:
    """
    :raises Unavailable: as it says itself
    :raises Rejected: as it says itself
    """
    bound = bind(plugin.publish, PUBLISH, subject.context(plugin))
    state = State({}, lambda _: None)
    Target(subject.values["url"], bound, plugin.close).call(
        batch, Position("agent", "epoch", "checked", batch.sequence), state
    )
