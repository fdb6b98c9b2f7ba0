"""One publisher of a sink, as it is called: foreign code, whose account and texts are checked here."""

import logging
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from meteragent.batch import Batch, Position, Published, Refusal
from meteragent.errors import Rejected, Unavailable
from meteragent.plain import without_password
from meteragent.plugins.reason import one_line, shortened, valid
from meteragent.plugins.settling import settled
from meteragent.publishers.base import State

LOG = logging.getLogger(__name__)


class Broken(Unavailable):
    """A publisher failed as it may not; tried again like what it cannot do now."""


class Target(msgspec.Struct, frozen=True):
    """A publisher of a sink, with its arguments bound by name."""

    url: str
    publish: Callable[[Mapping[str, Any]], Any]
    close: Callable[[], Any]
    provided: tuple[str, ...] = ()
    """Names of arguments that other plugins provide to it."""

    @property
    def label(self) -> str:
        """The URL as it may be shown and stored: without a password."""
        return without_password(self.url)

    def call(self, batch: Batch, position: Position, state: State) -> Published:
        """Have a batch published; what became of its samples.

        :raises Unavailable: to be called again with the same batch
        :raises Rejected: when the batch can never be published
        """
        try:
            told = settled(
                self.publish({"samples": batch.samples, "batch": batch, "position": position, "state": state})
            )
            outcome = _checked(told, len(batch.samples))
            as_json(state)
        except (Unavailable, Rejected):
            raise
        except BaseException as error:  # boundary: foreign code
            raise Broken(f"publisher {self.label} failed: {one_line(error)}") from error
        refused = [
            Refusal(each.index, _text(each.reason), _text(each.detail), self.label)
            for each in outcome.refused
        ]
        return msgspec.structs.replace(outcome, refused=refused)

    def all_refused(self, batch: Batch, error: Rejected) -> Published:
        """What became of the samples of a batch that can never be published."""
        reason = _text(without_password(str(error)))
        refused = [Refusal(index, reason, "", self.label) for index in range(len(batch.samples))]
        return Published(0, refused=refused)


def let_go(targets: Iterable[Target]) -> None:
    """Close publishers; that one of them fails to is logged."""
    for target in targets:
        try:
            settled(target.close())
        except Exception as error:  # boundary: foreign code
            text, fault = explained(error)
            LOG.error("publisher %s failed to close: %s", target.label, text, exc_info=fault)


def explained(error: Exception) -> tuple[str, BaseException | None]:
    """Why a sink cannot go on, in one line, and the fault whose traceback tells more; without passwords."""
    if isinstance(error, Broken):
        return str(error), _showable(error.__cause__)
    if isinstance(error, Unavailable):
        return shortened(without_password(str(error))), None
    return one_line(error), _showable(error)


def _showable(fault: BaseException | None) -> BaseException | None:
    """The exception, or one without the password that its text or those before it have in them."""
    if fault is None:
        return None
    told = "".join(traceback.format_exception(fault))
    if without_password(told) == told:
        return fault
    return Exception(one_line(fault)).with_traceback(fault.__traceback__)


def _text(told: str) -> str:
    """A text of a publisher's, fit to be kept."""
    return valid(shortened(told))


def as_json(state: Mapping[str, Any]) -> dict[str, Any]:
    """A copy, as it would be read back."""
    return msgspec.json.decode(msgspec.json.encode(dict(state)), type=dict[str, Any]) if state else {}


def _checked(told: Any, total: int) -> Published:
    """What a publisher says became of so many samples.

    :raises ValueError: when its parts do not add up to the whole
    """
    outcome = Published(total) if told is None else told
    if not isinstance(outcome, Published):
        raise ValueError(f"publish returned {told!r:.60}, allowed are None and Published")
    outcome = msgspec.convert(msgspec.to_builtins(outcome), Published)
    indices = {each.index for each in outcome.refused if 0 <= each.index < total}
    counts = (outcome.delivered, outcome.duplicate, outcome.superseded)
    if len(indices) < len(outcome.refused) or min(counts) < 0 or sum(counts) + len(indices) != total:
        raise ValueError(f"of {total} samples it tells {outcome!r:.200}")
    return outcome
