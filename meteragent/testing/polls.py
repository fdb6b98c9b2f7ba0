"""Poll one pollster as the agent does, tick after tick, and look at what the journal would be given."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from meteragent.batch import Poll, Refused
from meteragent.clock import Clock
from meteragent.discovery.discoverer import Discoverer
from meteragent.plugins.bind import Context
from meteragent.plugins.catalog import POLLSTER
from meteragent.plugins.contracts import CONTRACTS
from meteragent.pollsters.ancestor import Manager
from meteragent.pollsters.definition import PollingSource
from meteragent.pollsters.limits import Limits
from meteragent.pollsters.poller import Collected, Poller
from meteragent.pollsters.states import States
from meteragent.sample import Sample
from meteragent.selection import Selection
from meteragent.testing.configured import options

INTERVAL = 30
"""Seconds, of the polling source that the pollster is in; a poll may take a little less."""
NAME = "tested"


class Polled(msgspec.Struct, frozen=True):
    """What came of one poll."""

    samples: list[Sample]
    refused: list[Refused]
    row: Poll


class Polls:
    """A pollster in a polling source that selects all of its meters.

    Life: constructed, ``poll`` many times, ``close`` once, or used in a ``with``.
    """

    def __init__(
        self,
        pollster: Any,
        resources: Sequence[Any] = (),
        *,
        host: str = "host",
        conf: Any = None,
        discoveries: Mapping[str, Any] | None = None,
        clock: Clock | None = None,
        limits: Limits | None = None,
        provided: Mapping[str, Any] = MappingProxyType({}),
        context: Context | None = None,
    ) -> None:
        """
        :param resources: as ``polling.yaml`` gives them
        :param discoveries: instances by name, for ``default_discovery``
        :param provided: stand-ins for the names of arguments that other plugins provide; ``options``, too,
            else those that the pollster declares have their defaults
        :param context: in place of these, what the agent told of its calls
        :raises PluginError: when the pollster does not keep its contract
        """
        if context is None:
            given = {"options": options(pollster), **provided}
            context = Context(POLLSTER, NAME, f"{POLLSTER}:host.{NAME}", given=given)
        CONTRACTS[POLLSTER].check(pollster, _further(context))
        self._clock = clock or Clock()
        self._collected, self._states = Collected(), States()
        manager = Manager(conf)
        manager.discoverer = Discoverer(discoveries or {}, host=host, manager=manager)
        self._poller = Poller(
            PollingSource(NAME, INTERVAL, Selection(["*"]), list(resources), []),
            {NAME: pollster}, manager, self._collected,
            clock=self._clock, limits=limits, states=self._states, host=host, contexts={NAME: context},
        )  # fmt: skip

    @property
    def state(self) -> dict[str, Any]:
        """What the pollster keeps for its next poll."""
        return self._states.lend(NAME, NAME).values

    def poll(self, tick: int | None = None) -> Polled:
        """Poll once.

        :param tick: the instant that the samples are given, microseconds since the epoch; now by default
        """
        self._collected.batches.clear()
        self._collected.refused = []
        self._poller.poll(self._clock.wall() if tick is None else tick)
        batches = self._collected.batches
        (row,) = (row for batch in batches for row in batch.polls)
        return Polled([each for batch in batches for each in batch.samples], self._collected.refused, row)

    def close(self) -> None:
        """Let its threads end."""
        self._poller.close()

    def __enter__(self) -> "Polls":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _further(context: Context) -> list[str]:
    """Names that callbacks may have beside those of the contract."""
    return [*context.given, *(context.stack.offered(context) if context.stack is not None else ())]
