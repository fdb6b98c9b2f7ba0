"""Takes a batch through all publishers of a sink; apart, because what one of them told outlives a retry."""

import itertools
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from meteragent.batch import Batch, Position, Published, Refusal
from meteragent.errors import Rejected
from meteragent.journal.positions import Positions, SinkRow
from meteragent.pipeline.target import Target, as_json
from meteragent.plain import without_password
from meteragent.publishers.base import State

LOG = logging.getLogger(__name__)


class Delivery:
    """Calls the publishers of a sink one after the other.

    What those told that have taken a batch is remembered until the last one has: when it is
    unavailable, they are not asked again. Only of one position, since a publisher whose state has not
    moved may put the next batch in the place of this one.
    """

    def __init__(self, row: SinkRow, positions: Positions) -> None:
        self._row, self._positions = row, positions
        self._position: Position | None = None
        self._told: dict[str, tuple[Published, dict[str, Any]]] = {}

    def publish(
        self, targets: Sequence[Target], batch: Batch, position: Position
    ) -> tuple[Published, dict[str, Any]]:
        """What became of the samples, and what all publishers of the sink keep then.

        :raises Unavailable: to be called again with the same batch
        """
        if position != self._position:
            self._position, self._told = position, {}
        state = self._row.state
        for target in targets:
            if target.url not in self._told:
                self._told[target.url] = self._call(target, batch, position)
            state = _with(state, target, self._told[target.url][1])
        return _combined(len(batch.samples), [self._told[target.url][0] for target in targets]), state

    def _call(self, target: Target, batch: Batch, position: Position) -> tuple[Published, dict[str, Any]]:
        """One publisher, and what it keeps."""
        before = _kept(self._row.state, target)
        state = State(as_json(before), partial(self._keep, target))
        try:
            return target.call(batch, position, state), as_json(state)
        except Rejected as error:
            outcome, left = target.all_refused(batch, error), _left(batch)
            if not batch.samples:
                what = "the account of polls"
                if batch.events:
                    first = batch.events[0]
                    what = f"{len(batch.events)} events, the first of message {first.message_id!r:.80}"
                LOG.error("publisher %s rejects %s: %s", target.label, what, without_password(str(error)))
            return outcome, as_json(before) if left is None else self._call(target, left, position)[1]

    def _keep(self, target: Target, state: Mapping[str, Any]) -> None:
        self._positions.keep(self._row.name, _with(self._row.state, target, as_json(state)))


def _left(batch: Batch) -> Batch | None:
    """What may still be taken when a batch is rejected: its account without samples, then without events."""
    if batch.samples and (batch.events or batch.polls or batch.missed):
        return msgspec.structs.replace(batch, samples=[], provenance=[])
    if not batch.samples and batch.events and (batch.polls or batch.missed):
        return msgspec.structs.replace(batch, events=[])
    return None


def _kept(state: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """What a publisher keeps; under its whole URL where an older version has written it."""
    kept: dict[str, Any] = state.get(target.label, state.get(target.url, {}))
    return kept


def _with(state: Mapping[str, Any], target: Target, kept: dict[str, Any]) -> dict[str, Any]:
    """What all publishers keep once this one keeps something else."""
    return {**{key: value for key, value in state.items() if key != target.url}, target.label: kept}


def _combined(total: int, outcomes: Sequence[Published]) -> Published:
    """What became of each sample with all publishers: the worst that one of them tells."""
    refused: dict[int, Refusal] = {}
    for each in itertools.chain.from_iterable(outcome.refused for outcome in outcomes):
        first = refused.setdefault(each.index, each)
        if first is not each:
            publishers = f"{first.publishers}\n{each.publishers}"
            refused[each.index] = msgspec.structs.replace(first, publishers=publishers)
    left = total - len(refused)
    duplicate = min(left, max((outcome.duplicate for outcome in outcomes), default=0))
    superseded = min(left - duplicate, max((outcome.superseded for outcome in outcomes), default=0))
    return Published(
        left - duplicate - superseded, duplicate, superseded, [refused[index] for index in sorted(refused)]
    )
