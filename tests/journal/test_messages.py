"""The account of messages: each that was taken in stands in one line of it, whatever a person does."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meteragent.batch import Batch
from meteragent.errors import NotFound, Rejected, Unavailable
from meteragent.journal import quarantine as entries
from meteragent.journal import status
from meteragent.journal.journal import Journal, Settings
from meteragent.journal.messages import LONGEST_DETAIL
from meteragent.journal.quarantine import HEAD, Quarantine, message_of
from meteragent.message import Message, Received, SetAside, pack, unpacked
from meteragent.plugins.reason import LONGEST
from tests.journal.batches import batch, refused

SMALL = Settings(reserve=1 << 16)
BODY = Message(b'{"a": 1}', "notifications.info", "application/json", "utf-8")
WHOLE = SetAside(BODY, "m", "event_type: missing")
PART = SetAside(BODY, "m", "meter a: refused", "more", 3, False, "a.b")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal with a sink."""
    journal = Journal(tmp_path / "journal.db", SMALL)
    journal.join("store", "hold", 0)
    yield journal
    journal.close()


def lines(journal: Journal) -> tuple[dict[str, int], dict[str, int]]:
    """The lines of messages and of samples, without those that are 0."""
    told = journal.status()
    assert told.balanced
    messages = {"received": told.messages.received, **told.messages.parts}
    samples = {line: getattr(told, line) for line in ("read", "journaled", "refused", "discarded")}
    return tuple({line: count for line, count in each.items() if count} for each in (messages, samples))  # type: ignore[return-value]


def person(journal: Journal) -> Quarantine:
    """What a person sees of quarantine."""
    return Quarantine(journal._file.path)


def asked(journal: Journal, number: int = 0) -> entries.Entry:
    """An entry that a person just asked to be replayed."""
    quarantine = person(journal)
    entry = quarantine.list()[number]
    quarantine.replay([entry.id], "ann")
    quarantine.close()
    return journal.replays()[-1]


def replay(journal: Journal, samples: int, received: Received) -> None:
    """Journal what the oldest message in quarantine has become."""
    entry = asked(journal)
    journal.append(batch(samples), received=msgspec.structs.replace(received, replayed=entry.serial))


def test_messages_and_their_samples_are_counted_at_once(journal: Journal) -> None:
    """In the transaction that journals what came of them."""
    journal.append(batch(5), [refused(2)], received=Received(converted=3, ignored=4, aside=[WHOLE, PART]))
    assert lines(journal) == (
        {"received": 8, "converted": 3, "ignored": 4, "quarantined": 1},
        {"read": 10, "journaled": 5, "refused": 5},
    )


def test_a_message_is_kept_whole_with_what_is_known_of_it(journal: Journal) -> None:
    """As it came, so that it can be converted again."""
    journal.append(batch(1), received=Received(converted=1, aside=[WHOLE, PART]))
    quarantine = person(journal)
    whole, part = (quarantine.show(entry.id) for entry in quarantine.list())
    quarantine.close()
    assert (whole.category, whole.samples, whole.message_id, whole.event_type) == ("message", 0, "m", "")
    assert (part.category, part.samples, part.message_id, part.event_type) == ("refused", 3, "m", "a.b")
    assert (part.reason, part.detail, part.sink, part.sequence) == ("meter a: refused", "more", "", 1)
    assert message_of(whole) == message_of(part) == BODY
    for entry in (whole, part):
        with pytest.raises(Rejected, match="it holds no samples yet"):
            entries.samples_of(entry)


def test_of_a_large_message_the_head_is_kept(journal: Journal) -> None:
    """With size and hash; what is told at length is cut, and what no Unicode can say is written out."""
    told = Message(b"x" * (HEAD + 1), "\ud800" * 300, "\ud800")
    long = SetAside(told, "\ud800", "r" * 5000, "d" * 5000, 0, True, "e" * 5000, "9 bytes, blake2b 00")
    edge = SetAside(Message(b"x" * HEAD), "", "r")
    journal.append(Batch(), received=Received(aside=[long, edge]))
    quarantine = person(journal)
    head, whole = (quarantine.show(entry.id) for entry in quarantine.list())
    message = entries.shown_message(head)
    assert (message.body, message.routing_key, message.content_type) == (
        b"x" * HEAD, ("\\ud800" * 300)[:255], "\\ud800",
    )  # fmt: skip
    assert (head.message_id, head.event_type) == ("\\ud800", "e" * LONGEST + "…")
    assert head.detail.startswith(f"the first {HEAD} of 9 bytes, blake2b 00; it cannot be replayed\nddd")
    assert (len(head.reason), len(head.detail)) == (LONGEST + 1, LONGEST_DETAIL + 1)
    with pytest.raises(Rejected, match=f"entry {head.id}: of this message only the first {HEAD} bytes"):
        quarantine.replay([head.id], "ann")
    assert message_of(whole).body == b"x" * HEAD
    assert quarantine.replay([whole.id], "ann") == 0
    quarantine.close()


def test_damage_to_what_is_kept_of_a_message_is_told(journal: Journal) -> None:
    """It is shown as bytes, cannot be replayed, and can be discarded."""
    journal.append(Batch(), received=Received(aside=[WHOLE]))
    quarantine = person(journal)
    entry = quarantine.show(quarantine.list()[0].id)
    for payload, reason in (
        (b"", "format version none"),
        (b"\x02", "format version 02"),
        (b"\x01\xc1", "damaged"),
    ):
        with pytest.raises(Rejected, match=f"entry {entry.id}: {reason}"):
            message_of(msgspec.structs.replace(entry, payload=payload))
    quarantine.close()
    assert unpacked(pack(BODY)) == BODY


def test_discarding_moves_messages_and_samples_to_their_own_lines(journal: Journal) -> None:
    """A message of which nothing came as a message, another by its samples."""
    journal.append(batch(1), received=Received(converted=1, aside=[WHOLE, PART]))
    quarantine = person(journal)
    assert quarantine.discard([entry.id for entry in quarantine.list()], "ann") == 3
    quarantine.close()
    assert lines(journal) == (
        {"received": 2, "converted": 1, "discarded": 1},
        {"read": 4, "journaled": 1, "discarded": 3},
    )


def test_a_full_quarantine_holds_messages_and_lets_replays_out(tmp_path: Path) -> None:
    """Else nothing would ever leave it but by being discarded."""
    journal = Journal(tmp_path / "journal.db", Settings(reserve=1 << 16, quarantine_max_size=1000))
    large = SetAside(Message(b"x" * 2000), "", "message: not JSON")
    journal.append(Batch(), received=Received(aside=[large, WHOLE]))
    for received in (Received(aside=[WHOLE]), Received(ignored=1)):
        with pytest.raises(Unavailable, match="quarantine full"):
            journal.append(Batch(), received=received)
    replay(journal, 2, Received(converted=1))
    assert lines(journal)[0] == {"received": 2, "converted": 1, "quarantined": 1}
    journal.append(Batch(), received=Received(aside=[WHOLE]))
    journal.close()


def test_a_share_of_the_journal_that_is_to_be_free_can_be_asked_for(tmp_path: Path) -> None:
    """Who was held does not begin again for a moment only."""
    journal = Journal(tmp_path / "journal.db", Settings(reserve=1 << 16, max_size=4000))
    row = journal.join("store", "hold", 0)
    while journal.status().size < 3600:
        journal.append(batch(3))
    journal.check()
    with pytest.raises(Unavailable, match="journal full"):
        journal.check(1 / 8)
    for number in range(1, journal.last + 1):
        read = journal.read(number - 1)
        assert read is not None
        journal.positions.move("store", read.batch, {"delivered": 3}, {})
    assert row.sequence == journal.last
    journal.check(1 / 8)
    journal.close()


def test_a_share_of_quarantine_that_is_to_be_free_can_be_asked_for(tmp_path: Path) -> None:
    """It never passes its bound, so that it would always seem to have room for something."""
    journal = Journal(tmp_path / "journal.db", Settings(reserve=1 << 16, quarantine_max_size=4000))
    large = SetAside(Message(b"x" * 3000), "", "message: not JSON")
    journal.append(Batch(), received=Received(aside=[large, WHOLE]))
    with pytest.raises(Unavailable, match="quarantine full"):
        journal.append(Batch(), received=Received(aside=[WHOLE, WHOLE]))
    journal.check()
    with pytest.raises(Unavailable, match="quarantine full"):
        journal.check(1 / 8)
    quarantine = person(journal)
    quarantine.discard([quarantine.list()[0].id], "ann")
    quarantine.close()
    journal.check(1 / 8)
    journal.close()


def test_whether_anything_is_accepted_can_be_asked(tmp_path: Path) -> None:
    """Without journaling anything."""
    journal = Journal(
        tmp_path / "journal.db", Settings(reserve=1 << 16, quarantine_max_size=1000, max_size=100)
    )
    journal.check()
    journal.append(Batch(), received=Received(aside=[SetAside(Message(b"x" * 2000), "", "r")]))
    with pytest.raises(Unavailable, match="quarantine full"):
        journal.check()
    quarantine = person(journal)
    quarantine.discard([entry.id for entry in quarantine.list()], "ann")
    quarantine.close()
    journal.check()
    journal.join("store", "hold", 0)
    journal.append(batch(3))
    with pytest.raises(Unavailable, match="journal full"):
        journal.check()
    assert journal.last == 2
    journal.close()


@pytest.mark.parametrize(
    ("aside", "samples", "received", "messages", "counts"),
    [
        (WHOLE, 2, Received(converted=1), {"received": 1, "converted": 1}, {"read": 2, "journaled": 2}),
        (WHOLE, 0, Received(converted=1), {"received": 1, "converted": 1}, {}),
        (WHOLE, 0, Received(ignored=1), {"received": 1, "ignored": 1}, {}),
        (WHOLE, 0, Received(aside=[WHOLE]), {"received": 1, "quarantined": 1}, {}),
        (
            WHOLE, 2, Received(converted=1, aside=[PART]), {"received": 1, "converted": 1},
            {"read": 5, "journaled": 2, "refused": 3},
        ),
        # 3 were refused; n = 3, and s + r are made now
        (PART, 3, Received(converted=1), {"received": 1, "converted": 1}, {"read": 3, "journaled": 3}),
        (PART, 5, Received(converted=1), {"received": 1, "converted": 1}, {"read": 5, "journaled": 5}),
        (
            PART, 1, Received(converted=1), {"received": 1, "converted": 1},
            {"read": 3, "journaled": 1, "discarded": 2},
        ),
        (PART, 0, Received(ignored=1), {"received": 1, "converted": 1}, {"read": 3, "discarded": 3}),
        (PART, 0, Received(aside=[WHOLE]), {"received": 1, "converted": 1}, {"read": 3, "refused": 3}),
        (
            PART, 4, Received(converted=1, aside=[msgspec.structs.replace(PART, samples=1)]),
            {"received": 1, "converted": 1}, {"read": 5, "journaled": 4, "refused": 1},
        ),
        (
            PART, 0, Received(converted=1, aside=[msgspec.structs.replace(PART, samples=1)]),
            {"received": 1, "converted": 1}, {"read": 3, "refused": 1, "discarded": 2},
        ),
    ],
)  # fmt: skip
def test_a_replay_moves_the_account_by_what_it_becomes(
    journal: Journal,
    aside: SetAside,
    samples: int,
    received: Received,
    messages: dict[str, int],
    counts: dict[str, int],
) -> None:
    """The entry goes, or stays with the new reason; what was refused before is not counted twice."""
    journal.append(Batch(), received=Received(converted=int(not aside.whole), aside=[aside]))
    replay(journal, samples, received)
    assert lines(journal) == (messages, counts)
    assert journal.replays() == []
    quarantine = person(journal)
    left = quarantine.list()
    quarantine.close()
    assert [(entry.reason, entry.state) for entry in left] == [
        (each.reason, "kept") for each in received.aside
    ]
    assert sum(entry.samples for entry in left) == counts.get("refused", 0)


def test_a_replay_that_is_no_longer_asked_for_changes_nothing(journal: Journal) -> None:
    """The entry was discarded meanwhile, or marked anew: what the person said last is what counts."""
    journal.append(Batch(), received=Received(aside=[WHOLE, WHOLE]))
    first, second = asked(journal, 0), asked(journal, 1)
    quarantine = person(journal)
    quarantine.discard([first.id], "ann")
    quarantine.replay([second.id], "bob")
    quarantine.close()
    before = journal.status()
    for entry in (first, second):
        with pytest.raises(NotFound, match=f"replay {entry.serial} is no longer asked for"):
            journal.append(batch(1), received=Received(converted=1, replayed=entry.serial))
    assert journal.status() == before
    assert [entry.by for entry in journal.replays()] == ["bob"]


def test_what_a_replay_no_longer_makes_is_discarded_by_who_asked(journal: Journal) -> None:
    """By name, as any other."""
    journal.append(Batch(), received=Received(converted=1, aside=[PART]))
    replay(journal, 1, Received(converted=1))
    with journal._file.reading() as connection:
        assert list(connection.execute("select by, samples, reason from discarded")) == [
            ("ann", 2, "meter a: refused")
        ]


_ASIDE = st.one_of(
    st.just(WHOLE),
    st.builds(lambda samples: msgspec.structs.replace(PART, samples=samples), st.integers(0, 3)),
)
_STEP = st.one_of(
    st.tuples(
        st.just("append"),
        st.integers(0, 3),
        st.integers(0, 2),
        st.integers(0, 2),
        st.lists(_ASIDE, max_size=3),
    ),
    st.tuples(st.just("discard"), st.integers(0, 9)),
    st.tuples(
        st.just("replay"), st.integers(0, 9), st.integers(0, 4), st.one_of(st.none(), _ASIDE), st.booleans()
    ),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(_STEP, max_size=15))
def test_every_line_adds_up_whatever_happens(steps: list[tuple[object, ...]]) -> None:
    """And agrees with what lies in quarantine; nothing that was read or journaled is ever taken back."""
    folder = Path(tempfile.mkdtemp(prefix="meteragent-"))
    journal = Journal(folder / "journal.db", SMALL)
    received = read = journaled = 0
    try:
        for step in steps:
            _act(journal, *step)
            told = status.read(folder / "journal.db")
            assert told.balanced
            assert told.messages.received >= received
            assert (told.read, told.journaled) >= (read, journaled)
            received, read, journaled = told.messages.received, told.read, told.journaled
            quarantine = person(journal)
            left = quarantine.list()
            quarantine.close()
            assert told.messages.quarantined == sum(entry.category == "message" for entry in left)
            assert told.refused == sum(entry.samples for entry in left)
    finally:
        journal.close()
        shutil.rmtree(folder)


def _act(journal: Journal, what: object, *values: object) -> None:
    """What sources, a person, and a replay do."""
    if what == "append":
        samples, converted, ignored, aside = values
        parts = sum(not each.whole for each in aside)  # type: ignore[attr-defined]
        journal.append(batch(samples), received=Received(converted + parts, ignored, aside))  # type: ignore[arg-type,operator]
        return
    quarantine = person(journal)
    found = quarantine.list()
    quarantine.close()
    if not found:
        return
    number = values[0] % len(found)  # type: ignore[operator]
    if what == "discard":
        quarantine = person(journal)
        quarantine.discard([found[number].id], "ann")
        quarantine.close()
        return
    _, samples, aside, ignored = values
    serial = asked(journal, number).serial
    if isinstance(aside, SetAside) and aside.whole:
        journal.append(Batch(), received=Received(aside=[aside], replayed=serial))
    elif aside is None and ignored:
        journal.append(Batch(), received=Received(ignored=1, replayed=serial))
    else:
        kept = [] if aside is None else [aside]
        journal.append(batch(samples), received=Received(1, 0, kept, serial))  # type: ignore[arg-type]
