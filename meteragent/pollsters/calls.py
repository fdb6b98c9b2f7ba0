"""One call of a pollster at a tick, from its resources to its last sample; runs beside the others."""

import inspect
from collections.abc import Callable
from queue import SimpleQueue
from types import GeneratorType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from meteragent.batch import Kept
from meteragent.clock import Clock
from meteragent.plugins.isolation import Running
from meteragent.plugins.reason import valid
from meteragent.pollsters.limits import Limits
from meteragent.pollsters.refusals import Turned, turned
from meteragent.pollsters.states import Lent
from meteragent.sample import Sample, accepted

if TYPE_CHECKING:
    from meteragent.pollsters.asynchronous import Loop

BLOCK = 1000
"""Samples after which a pollster hands over what it yielded."""
BLOCK_BYTES = 1 << 20
"""Bytes of metadata after which it does so with fewer."""
_AHEAD = 4
"""Blocks that it may be ahead of the journal, whatever they hold; up to a batch, it may be further ahead,
so that it goes on while one is written."""
_REMEMBERED = 4096
"""Names of selected meters that a call remembers."""


class Enough(Exception):
    """Ends a call that shall yield no more."""


class Polled(Protocol):
    """What a call needs to know of its pollster in its polling source."""

    name: str
    polling_source: str
    sample_source: str
    clock: Clock
    limits: Limits
    asynchronous: bool
    keeps_state: bool
    """Whether its samples go to the journal as a whole, with its state, or not at all."""
    known: set[str]
    """Names of selected meters that were seen, not too many."""

    def resources(self, call: "Call") -> list[Any] | None:
        """What the call is for; None when there is nothing to ask for."""

    def get_samples(self, call: "Call", resources: list[Any]) -> Any:
        """Call the plugin."""

    def selected(self, meter: str) -> bool:
        """Whether samples of a meter are wanted."""

    def journaled(self, kept: Kept) -> None:
        """Take note that a state is in the journal."""

    def give_up(self, error: BaseException) -> list[str]:
        """Keys of the resources that an error is permanent for."""


class Block(NamedTuple):
    """Says that a call yielded so many things."""

    call: "Call"
    yielded: int
    weight: int
    """Bytes of their metadata."""


class Call:
    """What one call yielded so far, and how it went.

    The thread of the call only appends to ``samples`` and ``turned``; the thread that polls only
    takes from their front. So neither needs a lock, and nothing is lost when the call is given up.
    """

    def __init__(
        self,
        caller: Polled,
        tick: int,
        cache: dict[Any, Any],
        deadline: float,
        signals: "SimpleQueue[Block | None]",
    ) -> None:
        """
        :param deadline: on the monotonic clock
        :param signals: told when a block is full
        """
        self.caller, self.tick, self.cache, self.deadline = caller, tick, cache, deadline
        self.samples: list[Sample] = []
        self.turned: list[Turned] = []
        self.began = 0
        self.started = 0.0
        self.resources = 0
        self.failed: list[str] = []
        self.problems: list[str] = []
        """What went wrong although it went on."""
        self.remarks: list[str] = []
        """What should be known of a poll that went well."""
        self.state: Lent | None = None
        self.running: Running | None = None
        self.stopping = False
        self._signals = signals
        self._blocks = self._weight = 0
        """How far it is ahead, at most."""
        self._room: SimpleQueue[int] = SimpleQueue()
        self._loop: Loop | None = None

    def run(self) -> None:
        """Poll; raises whatever the plugin raises."""
        clock = self.caller.clock
        self.began, self.started = clock.wall(), clock.monotonic()
        resources = self.caller.resources(self)
        if resources is None:
            return
        try:
            self._iterate(self.caller.get_samples(self, resources))
        except BaseException as error:
            self.failed = self.caller.give_up(error)
            raise
        finally:
            if self.state is not None:
                self.state.write()

    def take(self, count: int = BLOCK) -> tuple[list[Sample], list[Turned]]:
        """The first of what was not taken yet, so many of each at most."""
        samples, others = self.samples[:count], self.turned[:count]
        del self.samples[: len(samples)], self.turned[: len(others)]
        return samples, others

    def make_room(self, block: Block) -> None:
        """Let it yield as much as a block has, which was taken."""
        self._room.put(block.weight)

    def stop(self) -> None:
        """Ask it to yield no more."""
        self.stopping = True
        self._room.put(0)

    def interrupt(self) -> None:
        """End it, if that can be."""
        if (self._loop is None or not self._loop.cancel()) and self.running is not None:
            self.running.interrupt()

    def _iterate(self, result: Any) -> None:
        keep = self._keeper()
        # a decorator may hide from inspect, once and for all, what comes out of it
        if type(result) is not GeneratorType and (
            self.caller.asynchronous or inspect.isawaitable(result) or hasattr(result, "__aiter__")
        ):
            from meteragent.pollsters.asynchronous import Loop  # asyncio is big, and few pollsters need it

            self._loop = Loop()
            self._loop.run(result, keep)
            return
        iterator = iter(result)
        try:
            for sample in iterator:
                keep(sample)
        finally:
            if inspect.isgenerator(iterator):
                iterator.close()

    def _keeper(self) -> Callable[[Any], None]:
        """The function that each yielded thing goes through; the only code that runs per sample."""
        tick, source = self.tick, self.caller.sample_source
        append: Callable[[Any], None] = self.samples.append
        turn: Callable[[Any], None] = self.turned.append
        selected, limits = self.caller.selected, self.caller.limits
        block = min(BLOCK, limits.batch_size)
        known = self.caller.known
        total, weight, heavy = 0, 0, 0
        left = full = min(block, self._left(0, 0))

        def keep(sample: Any) -> None:
            nonlocal left, weight
            try:
                kept = accepted(sample, tick, source)
                size = len(kept.resource_metadata.json)  # type: ignore[union-attr]
            except Exception as error:  # boundary: what a plugin yields may raise when it is looked at
                if self._unwanted(sample):
                    return
                turn(turned(sample, error))
            else:
                if kept.name not in known:
                    if not selected(kept.name):
                        return
                    if len(known) < _REMEMBERED:
                        known.add(kept.name)
                append(kept)
                weight += size
            left -= 1
            if not left or weight >= BLOCK_BYTES:
                hand_over()

        def hand_over() -> None:
            nonlocal left, full, total, weight, heavy, append, turn
            self._hand_over(Block(self, full - left, weight))
            total += full - left
            heavy += weight
            weight = 0
            left = full = min(block, self._left(total, heavy))
            if not full:
                append = turn = self._beyond

        return keep

    def _left(self, samples: int, weight: int) -> int:
        """Samples that it may yield yet; those of one that keeps a state have to fit into one batch."""
        limits = self.caller.limits
        if not self.caller.keeps_state:
            return limits.max_samples - samples
        if weight >= limits.batch_bytes:
            return 0
        return min(limits.max_samples, limits.batch_size) - samples

    def _beyond(self, _: Any) -> None:
        """Takes one sample too many.

        :raises Enough: always
        """
        limits = self.caller.limits
        if not self.caller.keeps_state:
            raise Enough(f"the limit of {limits.max_samples} samples is reached")
        most = min(limits.max_samples, limits.batch_size)
        raise Enough(
            f"the limit of {most} samples or {limits.batch_bytes} bytes of metadata with a state is reached"
        )

    def _hand_over(self, block: Block) -> None:
        """Tell of a full block and wait for room; ends the call when nobody waits for more."""
        limits = self.caller.limits
        if not self.caller.keeps_state:
            self._signals.put(block)
            self._blocks, self._weight = self._blocks + 1, self._weight + block.weight
            while (
                self._blocks > max(_AHEAD, limits.batch_size // BLOCK)
                or (self._blocks > _AHEAD and self._weight > limits.batch_bytes)
            ) and not self.stopping:
                self._weight -= self._room.get()
                self._blocks -= 1
        if self.stopping:
            raise Enough("stopped")

    def _unwanted(self, sample: Any) -> bool:
        """Whether a thing that is no good would not have been selected anyway."""
        try:
            name = sample.name
            return type(name) is str and not self.caller.selected(valid(name))
        except Exception:  # boundary: attributes of what a plugin yielded
            return False
