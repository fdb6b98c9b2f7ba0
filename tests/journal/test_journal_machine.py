"""The journal against a model of it: whatever happens in whatever order, nothing is lost or counted twice."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from meteragent.batch import CONFLICT, Batch, Refusal
from meteragent.errors import Unavailable
from meteragent.journal import quarantine, status
from meteragent.journal.journal import Journal, OpenPoll, Settings
from meteragent.journal.positions import SinkRow
from meteragent.journal.quarantine import Quarantine
from meteragent.journal.status import MessageAccount
from meteragent.journal.verify import verify
from meteragent.message import Message, Received, SetAside
from tests.journal.batches import AT, batch, begun, killed, missed, poll, refused

SMALL = Settings(max_size=6000, reserve=1 << 16, quarantine_max_size=4000)
MODES = {"store": "hold", "file": "hold", "late": "detach", "null": "detach"}
MAX_LAG = 3000
NAMES = st.sampled_from(sorted(MODES))


class Counted(msgspec.Struct):
    """What the model knows of a sink."""

    sequence: int
    joined: int
    configured: bool = True
    left_at: int = 0
    counts: dict[str, int] = {}

    def add(self, name: str, samples: int) -> None:
        """Count samples in a line of account."""
        self.counts[name] = self.counts.get(name, 0) + samples


class JournalMachine(RuleBasedStateMachine):
    """Sources, sinks and persons do what they do, and the agent is killed now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="meteragent-"))
        self.lives = 0
        self.path = self.folder / "0" / "journal.db"
        self.path.parent.mkdir()
        self.batches: dict[int, Batch] = {}
        self.total = {0: 0}
        self.sinks: dict[str, Counted] = {}
        self.rows: dict[str, SinkRow] = {}
        self.account = {"read": 0, "refused": 0, "discarded": 0}
        self.messages = MessageAccount()
        self.last_tick = 0
        self.open: list[OpenPoll] = []
        self.tick = AT
        self.journal = Journal(self.path, SMALL)

    @initialize(names=st.sets(NAMES))
    def start(self, names: set[str]) -> None:
        """Some sinks are configured."""
        for name in sorted(names):
            self.join(name)

    def join(self, name: str) -> None:
        """One sink joins."""
        row = self.journal.join(name, MODES[name], MAX_LAG)
        known = self.sinks.setdefault(name, Counted(self.last, self.total[self.last]))
        known.configured = True
        self.rows[name] = row

    @property
    def last(self) -> int:
        """The newest sequence."""
        return max(self.total)

    @rule(count=st.integers(0, 5), aside=st.integers(0, 2), padding=st.sampled_from((0, 300)))
    def append(self, count: int, aside: int, padding: int) -> None:
        """A source brings samples, some of which are refused."""
        self.accept(batch(count, self.total[self.last], padding=padding), aside)

    @rule(
        count=st.integers(0, 5),
        converted=st.integers(0, 3),
        ignored=st.integers(0, 3),
        lost=st.integers(0, 2),
    )
    def receive(self, count: int, converted: int, ignored: int, lost: int) -> None:
        """Messages come from a bus, of some of which nothing came."""
        aside = [SetAside(Message(b"{"), "", "message: not JSON")] * lost
        received = Received(converted, ignored, aside)
        if self.accept(batch(count, self.total[self.last]), received=received):
            now = self.messages
            self.messages = MessageAccount(
                now.received + received.messages, now.converted + converted, now.ignored + ignored,
                now.quarantined + lost, now.discarded,
            )  # fmt: skip

    @rule(parts=st.integers(1, 3), ended=st.booleans())
    def poll(self, parts: int, ended: bool) -> None:
        """A poll needs several batches, and may be cut off before the last."""
        self.tick += 1_000_000
        samples = 0
        for part in range(parts):
            one = batch(1, self.total[self.last])
            if part == 0:
                one = msgspec.structs.replace(one, begun=[begun(self.tick)])
            if not self.accept(one):
                return
            self.last_tick = self.tick
            samples += 1
        if ended and self.accept(Batch(polls=[poll(self.tick, samples)])):
            self.open = [each for each in self.open if each.tick != self.tick]

    @rule()
    def miss(self) -> None:
        """A run of ticks is missed."""
        if self.accept(Batch(missed=[missed(self.tick + 1, self.tick + 2_000_001)])):
            self.tick = self.last_tick = self.tick + 2_000_000

    def accept(self, given: Batch, aside: int = 0, received: Received | None = None) -> bool:
        """Journal a batch; whether it was accepted, with a good reason if not."""
        try:
            journaled = self.journal.append(given, [refused(2)] * aside, received=received)
        except Unavailable as error:
            reason = str(error)
            self.check_reason(reason)
            self.detached()
            return False
        assert journaled.sequence == self.last + 1
        self.account["read"] += len(given.samples) + 2 * aside
        self.account["refused"] += 2 * aside
        self.detached()
        self.total[journaled.sequence] = self.total[self.last] + len(given.samples)
        self.batches[journaled.sequence] = journaled
        self.open.extend(
            OpenPoll(each.polling_source, each.tick, each.pollster, each.began, 0) for each in given.begun
        )
        if self.open and given.samples:
            newest = self.open[-1]
            self.open[-1] = msgspec.structs.replace(newest, samples=newest.samples + len(given.samples))
        return True

    def check_reason(self, reason: str) -> None:
        """A refusal of everything names what is full, and that is full."""
        if "quarantine full" in reason:
            taken = quarantine.size(self.journal._file.connection)
            assert taken > SMALL.quarantine_max_size - 1000
            return
        assert "journal full" in reason
        holders = [known for name, known in self.sinks.items() if self.holds(name)]
        assert not self.rows or min(known.sequence for known in holders) < self.last

    def holds(self, name: str) -> bool:
        """Whether a sink keeps batches in the journal."""
        known = self.sinks[name]
        return known.configured or (MODES[name] == "hold" and known.sequence < known.left_at)

    def detached(self) -> None:
        """Follow the sinks that have lost their claim, and those for which nothing was kept."""
        for name, row in self.rows.items():
            self.skipped(name, row.sequence)
        for name in self.sinks:
            if not self.holds(name):
                self.skipped(name, self.journal.positions.trimmed)

    def skipped(self, name: str, sequence: int) -> None:
        """A sink was moved on without its samples."""
        known = self.sinks[name]
        if sequence > known.sequence:
            known.add("detached", self.total[sequence] - self.total[known.sequence])
            known.sequence = sequence

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), often=st.integers(1, 4))
    def move(self, data: st.DataObject, often: int) -> None:
        """A sink publishes some of what waits for it, and something is refused."""
        name = data.draw(st.sampled_from(sorted(self.rows)))
        row, known = self.rows[name], self.sinks[name]
        for _ in range(often):
            record = self.journal.read(row.sequence)
            if record is None:
                assert row.sequence == self.last
                break
            expected = self.batches[row.sequence + 1]
            assert record.batch == expected
            assert not record.damage
            count = len(expected.samples)
            bad = data.draw(st.integers(0, min(1, count)))
            kind = data.draw(st.sampled_from(("conflict", "quarantined")))
            refusals = [Refusal(index, CONFLICT if kind == "conflict" else "expired") for index in range(bad)]
            counts = {kind: bad, "delivered": count - bad}
            assert self.journal.positions.move(
                name, record.batch, counts, {"at": expected.sequence}, refusals
            )
            known.sequence = expected.sequence
            for line, samples in counts.items():
                known.add(line, samples)
            assert not self.journal.positions.move(name, record.batch, counts, {}), "no batch moves twice"
        self.detached()

    @rule(name=NAMES)
    def join_late(self, name: str) -> None:
        """A sink is configured while others run."""
        if name not in self.rows:
            self.join(name)

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """A sink is no longer configured while others run; it may end the batch in flight after that."""
        name = data.draw(st.sampled_from(sorted(self.rows)))
        row, known = self.rows.pop(name), self.sinks[name]
        record = self.journal.read(row.sequence) if data.draw(st.booleans()) else None
        self.journal.leave(name)
        known.configured, known.left_at = False, self.last
        if record is not None:
            count = len(record.batch.samples)
            assert self.journal.positions.move(name, record.batch, {"delivered": count}, {})
            known.sequence += 1
            known.add("delivered", count)
        self.detached()

    @rule(names=st.sets(NAMES, min_size=1))
    def crash(self, names: set[str]) -> None:
        """The agent is killed, and starts again with other sinks."""
        self.lives += 1
        path = killed(self.path, self.folder / str(self.lives))
        self.journal.close()
        shutil.rmtree(self.path.parent)
        self.path = path
        for known in self.sinks.values():
            if known.configured:
                known.left_at = self.last
            known.configured = False
        self.rows = {}
        self.journal = Journal(path, SMALL)
        assert self.journal.last == self.last
        waiting = [name for name in self.sinks if self.holds(name)]
        assert self.journal.positions.waiting == sorted(waiting)
        for name in sorted(names):
            self.join(name)

    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        """A person lets go of something in quarantine."""
        person = Quarantine(self.path)
        entries = person.list()
        if entries:
            entry = data.draw(st.sampled_from(entries))
            assert person.discard([entry.id, entry.id], "me") == entry.samples
            if entry.sink:
                self.sinks[entry.sink].add(entry.category, -1)
                self.sinks[entry.sink].add("discarded", 1)
            elif entry.category == "message":
                now = self.messages
                self.messages = msgspec.structs.replace(
                    now, quarantined=now.quarantined - 1, discarded=now.discarded + 1
                )
            else:
                self.account["refused"] -= entry.samples
                self.account["discarded"] += entry.samples
        person.close()

    @invariant()
    def everything_adds_up(self) -> None:
        """The lines of account balance and say what the model says; the chain of digests is whole."""
        told = status.read(self.path)
        assert told.balanced
        assert (told.last, told.journaled) == (self.last, self.total[self.last])
        assert {name: getattr(told, name) for name in self.account} == self.account
        assert told.messages == self.messages
        assert {sink.name for sink in told.sinks} == set(self.sinks)
        for sink in told.sinks:
            known = self.sinks[sink.name]
            counts = {name: count for name, count in known.counts.items() if count}
            assert {name: getattr(sink, name) for name in counts} == counts
            assert sink.sequence == known.sequence
            assert sink.pending == self.total[self.last] - self.total[known.sequence]
        entries = self.journal._file.connection.execute(
            "select coalesce(sum(300 + length(payload) + octet_length(detail) + octet_length(reason)), 0)"
            " from quarantine"
        ).get
        assert quarantine.size(self.journal._file.connection) == entries
        found = verify(self.path)
        assert not found.damaged
        assert found.batches == self.last - self.journal.positions.trimmed

    @invariant()
    def nothing_is_trimmed_that_is_needed(self) -> None:
        """What a sink has before it is there, and goes on without a hole; more is not kept."""
        claims = [known.sequence for name, known in self.sinks.items() if self.holds(name)]
        assert self.journal.positions.trimmed <= min(claims, default=self.last)
        after = self.journal.positions.trimmed
        while record := self.journal.read(after):
            assert record.batch == self.batches[after + 1]
            after += 1
        assert after == self.last

    @invariant()
    def polls_are_followed(self) -> None:
        """The last tick and the polls under way are those of the batches that were accepted."""
        assert self.journal.last_ticks() == ({"source": self.last_tick} if self.last_tick else {})
        told: Any = sorted(msgspec.structs.astuple(each) for each in self.journal.open_polls())
        assert told == [msgspec.structs.astuple(each) for each in self.open]

    def teardown(self) -> None:
        self.journal.close()
        shutil.rmtree(self.folder)


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
