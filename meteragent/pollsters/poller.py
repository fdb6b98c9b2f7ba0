"""Polls one polling source at its ticks; the engine that stands between pollsters and journal."""

import logging
from collections.abc import Mapping
from typing import Any

from meteragent.batch import Batch, Poll, Refused
from meteragent.clock import SECOND, Clock
from meteragent.failpoints import reach
from meteragent.plugins.bind import Context
from meteragent.pollsters.ancestor import Manager
from meteragent.pollsters.batches import Accept
from meteragent.pollsters.caller import Caller, Surroundings, selectors
from meteragent.pollsters.definition import PollingSource
from meteragent.pollsters.limits import Limits
from meteragent.pollsters.round import Round
from meteragent.pollsters.sharing import Sharing
from meteragent.pollsters.states import States

LOG = logging.getLogger(__name__)


def matching(source: PollingSource, pollsters: Mapping[str, Any]) -> dict[str, Any]:
    """The pollsters that a polling source selects: by a meter they declare, else by their own name."""
    return {
        name: pollster
        for name, pollster in pollsters.items()
        if any(source.supports(meter) for meter in selectors(name, pollster))
    }


class Poller:
    """Polls the pollsters of one polling source.

    Life: constructed, ``poll`` once for each tick from one thread at a time, ``close``. Calls run in
    daemon threads that other calls use before and after them. The same with a ``Collected`` in the
    journal's place polls without storing anything.
    """

    def __init__(
        self,
        source: PollingSource,
        pollsters: Mapping[str, Any],
        manager: Manager,
        accept: Accept,
        *,
        clock: Clock | None = None,
        limits: Limits | None = None,
        sharing: Sharing | None = None,
        states: States | None = None,
        sample_source: str = "openstack",
        host: str = "",
        contexts: Mapping[str, Context] | None = None,
    ) -> None:
        """
        :param pollsters: instances by entry-point name; those that do not match are left out
        :param manager: holds the conf and the discoverer
        :param sharing: the same for all pollers of an agent
        :param states: what pollsters kept, as the journal has it; the same for all pollers of an agent, too
        :param sample_source: the source that samples are given
        :param contexts: by pollster what middleware is told of it, and where that is found
        :raises PluginError: when a pollster needs an argument that is not offered
        """
        self.name = str(source.name)
        self._clock, self._limits = clock or Clock(), limits or Limits()
        around = Surroundings(
            manager, self._clock, self._limits, sharing or Sharing(), sample_source, host, states or States(),
            contexts=contexts or {},
        )  # fmt: skip
        self._callers = [
            Caller(name, pollster, source, around) for name, pollster in matching(source, pollsters).items()
        ]
        self._accept = accept
        self._timeout = self._limits.seconds(source.interval)
        self.owed: list[Poll] = []
        """Rows of a tick that the journal took a part of; they go with the next batch of this poller, or
        of the one that follows it."""

    @property
    def pollsters(self) -> list[str]:
        """Names of those it polls."""
        return [caller.name for caller in self._callers]

    def poll(self, tick: int) -> None:
        """Poll once; returns when all pollsters ended or their time is over, and all is journaled.

        :param tick: the instant that the samples are given, microseconds since the epoch
        :raises Unavailable: when the journal took nothing of it; when it took a part, the rows of
            the rest go with the next tick
        """
        reach("poll")
        late = max(0.0, (self._clock.wall() - tick) / SECOND)
        timeout = max(self._timeout - late, self._timeout / 2)
        this = Round(tick, self._clock, self._limits, timeout, self._accept, self.owed)
        this.run(self._callers)
        for caller, row in this.rows():
            self._tell(caller, row)

    def close(self) -> None:
        """Let the idle threads end."""
        for caller in self._callers:
            caller.close()

    def _tell(self, caller: Caller, row: Poll) -> None:
        """Log how a pollster fared when that is news."""
        before, caller.last = caller.last, row
        if before is not None and (before.outcome, before.reason) == (row.outcome, row.reason):
            return
        if row.outcome != "complete":
            LOG.warning(
                "polling source %s: pollster %s: %s after %d samples: %s",
                self.name, caller.name, row.outcome, row.samples, row.reason,
            )  # fmt: skip
        elif before is not None and before.outcome != "complete":
            LOG.info("polling source %s: pollster %s is complete again", self.name, caller.name)
        elif row.reason:
            LOG.info("polling source %s: pollster %s: %s", self.name, caller.name, row.reason)


class Collected:
    """Accepts batches and only collects them: for looking at a poll without storing it."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.refused: list[Refused] = []
        self.read = 0

    def __call__(self, batch: Batch, refused: list[Refused], read: int) -> Batch:
        """Take a batch."""
        self.batches.append(batch)
        self.refused += refused
        self.read += read
        return batch
