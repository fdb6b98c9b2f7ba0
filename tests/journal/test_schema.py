"""Formats of the journal: older ones are brought up to date, newer ones left alone."""

from pathlib import Path

import apsw
import pytest

from meteragent.batch import Batch, Kept
from meteragent.clock import Clock
from meteragent.errors import ConfigError, NotFound, Unavailable
from meteragent.journal import schema, status
from meteragent.journal.journal import Journal
from meteragent.journal.quarantine import Quarantine
from meteragent.journal.salvage import salvage
from meteragent.journal.schema import MIGRATIONS, check_readable, connect_writer, migrate, stored_format
from meteragent.journal.verify import verify
from meteragent.message import Message, Received, SetAside
from tests.journal.batches import batch

FORMAT_1 = """
create table meta(key text primary key, value any not null) strict, without rowid;
create table batch(
    sequence integer primary key, at integer not null, samples integer not null,
    samples_total integer not null, bytes_total integer not null, hash blob not null,
    digest blob not null, payload blob not null
) strict;
create table sink(
    name text primary key, mode text not null, sequence integer not null, joined integer not null,
    bytes_total integer not null, state blob not null, left_at integer,
    delivered integer not null default 0, duplicate integer not null default 0,
    superseded integer not null default 0, conflict integer not null default 0,
    unmatched integer not null default 0, absorbed integer not null default 0,
    quarantined integer not null default 0, discarded integer not null default 0,
    detached integer not null default 0
) strict, without rowid;
create table detached(
    sink text not null, first integer not null, last integer not null, samples integer not null,
    at integer not null, reason text not null, primary key(sink, first)
) strict, without rowid;
create table tick(polling_source text primary key, last integer not null) strict, without rowid;
create table open_poll(
    polling_source text not null, tick integer not null, pollster text not null, began integer not null,
    samples integer not null default 0, primary key(polling_source, tick, pollster)
) strict, without rowid;
create table quarantine(
    id integer primary key autoincrement, at integer not null, category text not null,
    sink text not null, sequence integer not null, item integer not null,
    polling_source text not null, pollster text not null, reason text not null, detail text not null,
    samples integer not null, state text not null default 'kept', by text not null default '',
    publisher text not null default '', serial integer not null default 0, payload blob not null
) strict;
create unique index quarantine_item on quarantine(sink, sequence, item) where sink != '';
create trigger quarantine_in after insert on quarantine begin
    update meta set value = value + (200 + octet_length(new.payload) + octet_length(new.detail))
    where key = 'quarantine_size';
end;
create trigger quarantine_out after delete on quarantine begin
    update meta set value = value - (200 + octet_length(old.payload) + octet_length(old.detail))
    where key = 'quarantine_size';
end;
create table discarded(
    id integer primary key, at integer not null, by text not null, samples integer not null,
    reason text not null
) strict;
create table account(name text primary key, value integer not null) strict, without rowid;
insert into account values ('read', 7), ('journaled', 4), ('refused', 3), ('discarded', 0);
insert into meta values
    ('anchor_sequence', 2), ('anchor_digest', x'1234'), ('anchor_samples', 4), ('anchor_bytes', 400),
    ('quarantine_size', 0), ('replays', 0), ('sinks_lost', 0), ('epoch', 'e'), ('agent', 'a');
insert into sink(name, mode, sequence, joined, bytes_total, state, delivered)
    values ('store', 'hold', 2, 0, 400, x'7b7d', 4);
insert into tick values ('source', 1800000000000000);
pragma user_version = 1;
"""
"""A journal as the first version wrote it; this text never changes."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of format 1."""
    path = tmp_path / "journal.db"
    connection = apsw.Connection(str(path))
    connection.execute(FORMAT_1)
    connection.close()
    return path


def test_a_journal_of_the_first_format_goes_on(path: Path) -> None:
    """Whatever has changed since, its account, positions and chain are continued."""
    journal = Journal(path)
    row = journal.join("store", "hold", 0)
    assert (journal.epoch, journal.last, row.sequence) == ("e", 2, 2)
    assert journal.last_ticks() == {"source": 1_800_000_000_000_000}
    journal.append(batch(3))
    record = journal.read(2)
    assert record is not None
    assert len(record.batch.samples) == 3
    journal.close()
    told = status.read(path)
    assert (told.journaled, told.read, told.refused, told.balanced) == (7, 10, 3, True)
    assert not verify(path).damaged


def test_format_2_bounds_reasons_and_counts_them(path: Path) -> None:
    """Entries keep what they are; those told at length are cut, and each counts what it takes."""
    connection = apsw.Connection(str(path))
    for number, reason in enumerate(("expired", "ä" * 100_000)):
        connection.execute(
            "insert into quarantine(at, category, sink, sequence, item, polling_source, pollster, reason,"
            " detail, samples, payload) values (1, 'quarantined', 'store', 2, ?, '', '', ?, ?, 1, x'010203')",
            (number, reason, reason),
        )
    connection.execute("update sink set quarantined = 2, delivered = 2")
    connection.close()
    Journal(path).close()
    quarantine = Quarantine(path)
    first, second = (quarantine.show(entry.id) for entry in quarantine.list())
    assert (first.reason, first.detail, first.sample_index, first.payload) == (
        "expired",
        "expired",
        0,
        b"\1\2\3",
    )
    assert second.reason == second.detail == "ä" * 500
    connection = connect_writer(path)
    size = "select value from meta where key = 'quarantine_size'"
    assert connection.execute(size).get == 2 * 303 + 2 * 7 + 2 * 1000
    assert quarantine.discard([first.id, second.id], "ann") == 2
    assert connection.execute(size).get == 0
    connection.close()
    quarantine.close()
    assert not verify(path).damaged
    assert status.read(path).balanced


def test_format_3_has_a_place_for_what_pollsters_keep(path: Path) -> None:
    """Empty at first, then as it was appended, one for each polling source and pollster."""
    journal = Journal(path)
    assert journal.states() == []
    first, second = Kept("source", "pollster", b'{"at":1}'), Kept("other", "pollster", b'{"at":5}')
    journal.append(Batch(kept=[first, second]))
    journal.append(Batch(kept=[Kept("source", "pollster", b'{"at":2}')]))
    journal.close()
    assert not verify(path).damaged
    journal = Journal(path)
    assert sorted(journal.states(), key=lambda each: each.state) == [
        Kept("source", "pollster", b'{"at":2}'),
        second,
    ]
    record = journal.read(2)
    assert record is not None
    assert record.batch.kept == [], "sinks see none of it"
    journal.close()


def test_format_4_counts_messages(path: Path) -> None:
    """From 0 on; what is in quarantine is none of them, and stays as it is."""
    connection = apsw.Connection(str(path))
    connection.execute(
        "insert into quarantine(at, category, sink, sequence, item, polling_source, pollster, reason,"
        " detail, samples, payload) values (1, 'refused', '', 2, 0, 's', 'p', 'bad', '', 3, x'01')"
    )
    connection.close()
    journal = Journal(path)
    assert journal.status().messages == status.MessageAccount()
    aside = SetAside(Message(b"{"), "m", "message: not JSON", event_type="a.b")
    journal.append(batch(1), received=Received(2, 3, [aside]))
    journal.close()
    told = status.read(path)
    assert told.messages == status.MessageAccount(6, 2, 3, 1)
    assert (told.read, told.refused, told.balanced) == (8, 3, True)
    quarantine = Quarantine(path)
    assert [(entry.category, entry.message_id, entry.event_type) for entry in quarantine.list()] == [
        ("refused", "", ""),
        ("message", "m", "a.b"),
    ]
    quarantine.close()
    assert not verify(path).damaged


def test_a_state_that_is_none_is_damage(path: Path) -> None:
    """It is not carried over, the others are."""
    journal = Journal(path)
    journal.append(Batch(kept=[Kept("source", "good", b'{"at":1}'), Kept("source", "bad", b"{}")]))
    journal.close()
    connection = connect_writer(path)
    connection.execute("update pollster_state set state = x'ff' where pollster = 'bad'")
    connection.close()
    assert [fault.reason.partition(":")[0] for fault in verify(path).damaged] == [
        "table pollster_state, row b'source'"
    ]
    assert salvage(path, Clock()) is not None
    journal = Journal(path)
    assert journal.states() == [Kept("source", "good", b'{"at":1}')]
    journal.close()


def test_a_damaged_journal_of_an_older_format_is_carried_over(path: Path) -> None:
    """As it was written, and then brought up to date."""
    connection = apsw.Connection(str(path))
    connection.execute(
        "insert into quarantine(at, category, sink, sequence, item, polling_source, pollster, reason,"
        " detail, samples, payload) values (1, 'refused', '', 2, 0, 's', 'p', 'bad', '', 3, x'01');"
        "update sink set state = x'ff'"
    )
    connection.close()
    assert salvage(path, Clock()) is not None
    Journal(path).close()
    quarantine = Quarantine(path)
    assert [(entry.reason, entry.samples, entry.size) for entry in quarantine.list()] == [("bad", 3, 1)]
    quarantine.close()
    assert status.read(path).refused == 3
    assert not verify(path).damaged


def test_a_journal_that_has_lost_its_format_is_damaged(path: Path) -> None:
    """It is not taken for an empty file to make tables in."""
    Journal(path).close()
    connection = apsw.Connection(str(path))
    connection.execute("pragma user_version = 0")
    connection.close()
    assert salvage(path, Clock()) is not None
    assert status.read(path).journaled == 4


def test_all_migrations_are_one_transaction(tmp_path: Path) -> None:
    """When one fails the file stays in its format; the next start tries again."""

    def add(connection: apsw.Connection) -> None:
        connection.execute("alter table sink add column note text")

    def fail(connection: apsw.Connection) -> None:
        connection.execute("alter table sink add column more text")
        raise RuntimeError("killed")

    path = tmp_path / "journal.db"
    connection = apsw.Connection(str(path))
    connection.execute(FORMAT_1)
    with pytest.raises(RuntimeError):
        migrate(connection, path, (*MIGRATIONS, add, fail))
    assert stored_format(connection) == 1
    with pytest.raises(apsw.SQLError):
        connection.execute("select note from sink")
    migrate(connection, path, (*MIGRATIONS, add, lambda _: None))
    assert stored_format(connection) == len(MIGRATIONS) + 2
    connection.close()


def test_a_journal_that_is_being_made_is_not_taken_for_an_old_one(tmp_path: Path) -> None:
    """Who asks meanwhile hears that there is none yet."""
    path = tmp_path / "journal.db"
    connection = apsw.Connection(str(path))
    connection.execute("pragma journal_mode=wal")

    def look(_: apsw.Connection) -> None:
        with pytest.raises(NotFound, match="no journal yet"):
            status.read(path)

    migrate(connection, path, (look, *(step for each in MIGRATIONS for step in (each, look))))
    connection.close()


def test_a_newer_format_is_refused_by_all(path: Path) -> None:
    """The error names both formats and the file, and says what to do."""
    connection = apsw.Connection(str(path))
    connection.execute("pragma user_version = 99")
    connection.close()
    before = path.read_bytes()
    for use in (Journal, status.read, verify, Quarantine):
        with pytest.raises(
            ConfigError, match=rf"journal format 99 is newer than {len(MIGRATIONS)}.*version of meteragent"
        ):
            use(path)
    assert path.read_bytes() == before


def test_an_older_format_is_not_read_by_a_command(path: Path) -> None:
    """Only the agent brings it up to date."""
    connection = connect_writer(path)
    with pytest.raises(ConfigError, match="journal format 1; start the agent once to bring it to 2"):
        check_readable(connection, path, 2)
    connection.close()


def test_no_journal_and_an_empty_file_are_the_same(tmp_path: Path) -> None:
    """A command that reads says that there is none yet."""
    path = tmp_path / "journal.db"
    for _ in range(2):
        for use in (status.read, verify, Quarantine):
            with pytest.raises(NotFound, match="no journal yet"):
                use(path)
        path.touch()


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """Its tables stay what they are."""
    path = tmp_path / "journal.db"
    connection = apsw.Connection(str(path))
    connection.execute("create table meta(something)")
    connection.close()
    with pytest.raises(Unavailable, match="meta"):
        Journal(path)
    connection = apsw.Connection(str(path))
    assert list(connection.execute("select name from sqlite_schema")) == [("meta",)]
    connection.close()


def test_a_too_old_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several processes could damage the file with it."""
    monkeypatch.setattr(schema, "OLDEST_SQLITE", (9, 9, 9))
    with pytest.raises(ConfigError, match=r"SQLite .* is too old, 9\.9\.9 or newer"):
        Journal(tmp_path / "journal.db")
