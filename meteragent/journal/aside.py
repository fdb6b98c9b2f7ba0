"""What is on its way into quarantine; apart from what is in it, which a person settles."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import apsw
import msgspec

from meteragent.batch import Batch, Refusal, Refused
from meteragent.journal.quarantine import DAMAGE, HEAD, category
from meteragent.plugins.reason import shortened
from meteragent.wire import encode


class Aside(msgspec.Struct, frozen=True):
    """Something on its way into quarantine."""

    category: str
    sink: str
    sequence: int
    sample_index: int
    """Of the sample in its batch; below 0 for what is no sample."""
    reason: str
    samples: int
    payload: bytes
    detail: str = ""
    polling_source: str = ""
    pollster: str = ""
    publisher: str = ""
    message_id: str = ""
    event_type: str = ""

    @property
    def cost(self) -> int:
        """Bytes that it counts in quarantine."""
        texts = (self.detail, self.reason, self.message_id, self.event_type)
        return 300 + len(self.payload) + sum(len(text.encode()) for text in texts)


_ADD = (
    f"insert or ignore into quarantine(at, cost, {', '.join(Aside.__struct_fields__)})"
    f" values (?, ?{', ?' * len(Aside.__struct_fields__)})"
)


def add(connection: apsw.Connection, aside: Sequence[Aside], at: int) -> None:
    """Put things aside, each once however often its batch is delivered."""
    connection.executemany(_ADD, ((at, each.cost, *msgspec.structs.astuple(each)) for each in aside))


def of_refused(refused: Sequence[Refused], sequence: int) -> list[Aside]:
    """What was refused at intake."""
    return [
        Aside(
            "refused", "", sequence, 0, shortened(each.reason), each.samples, each.payload,
            polling_source=each.polling_source, pollster=each.pollster,
        )
        for each in refused
    ]  # fmt: skip


def of_refusals(sink: str, batch: Batch, refusals: Sequence[Refusal]) -> list[Aside]:
    """What publishers refused, each sample with the host and who yielded it."""
    ends = list(accumulate(each.samples for each in batch.provenance))
    aside = []
    for each in refusals:
        part = bisect_right(ends, each.index)
        came_from = [msgspec.structs.replace(one, samples=1) for one in batch.provenance[part : part + 1]]
        alone = Batch([batch.samples[each.index]], came_from, host=batch.host)
        polling_source, pollster = (
            (came_from[0].polling_source, came_from[0].pollster) if came_from else ("", "")
        )
        aside.append(
            Aside(
                category(each), sink, batch.sequence, each.index, shortened(each.reason), 1, encode(alone),
                shortened(each.detail), polling_source, pollster, each.publishers,
            )
        )  # fmt: skip
    return aside


def of_damage(sink: str, sequence: int, samples: int, reason: str, head: bytes) -> Aside:
    """A batch that is not what was journaled any more."""
    return Aside("quarantined", sink, sequence, DAMAGE, shortened(reason), samples, head[:HEAD])
