"""A file or a log that a power cut left half written is mended by the next opening for writing."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.plugin_folder import environment
from meteragent import errors
from meteragent.batch import Batch, Published
from meteragent.storage.duckdb.driver import DuckDBDriver
from meteragent.testing.storage_given import NOON, a_sample, at, everything
from tests.storage.test_duckdb_file import URL

_RECORD_AND_DIE = (
    "from tests.storage.test_duckdb_powercut import record_and_die as it; import sys; it(*sys.argv[1:])"
)


def record_and_die(folder: str, number: str) -> None:
    """The program that is killed when its batch was recorded."""
    driver = DuckDBDriver(URL, Path(folder))
    assert driver.record(batch(int(number)), at(int(number))) == Published(500)
    os._exit(0)


def batch(number: int) -> Batch:
    """One that fills some pages of the log."""
    return Batch([a_sample(timestamp=NOON + number, resource_id=f"r{each}") for each in range(500)])


def left_behind(folder: Path, batches: int) -> tuple[Path, list[int]]:
    """The log of a store that was never closed, which is all that holds its batches; its size after each."""
    made = folder / "made"
    made.mkdir()
    driver, sizes = DuckDBDriver(URL, made), list[int]()
    log = made / "samples.duckdb.wal"
    for number in range(1, batches + 1):
        assert driver.record(batch(number), at(number)) == Published(500)
        sizes.append(log.stat().st_size)
    for path in (made / "samples.duckdb", log):
        (folder / path.name).write_bytes(path.read_bytes())
    driver.close()
    return folder / log.name, sizes


def _scratch(log: Path, place: int) -> None:
    """A write of the last commit was lost, a later one was not."""
    with log.open("r+b") as file:
        file.seek(place)
        file.write(b"\x5a" * 8)


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_a_torn_log_costs_the_last_commit_only(
    folder: Path, kept: int, caplog: pytest.LogCaptureFixture
) -> None:
    """It is cut there, which is said, and kept beside; the batch that was never acknowledged comes again."""
    log, sizes = left_behind(folder, kept + 1)
    begin = ([0, *sizes])[kept]
    _scratch(log, begin + (sizes[-1] - begin) // 3)
    whole = log.read_bytes()
    reader = DuckDBDriver(URL, folder, read_only=True)
    with pytest.raises(errors.Unavailable, match="its log is torn, as by a power cut; the agent mends it"):
        reader.meters()
    assert log.read_bytes() == whole
    reader.close()
    driver = DuckDBDriver(URL, folder)
    (said,) = (message for message in caplog.messages if "torn" in message)
    cut, size = log.stat().st_size, sizes[-1]
    assert begin <= cut < size
    assert f"samples.duckdb: its log was torn at byte {cut} of {size}, as by a power cut" in said
    assert f"the last {size - cut} bytes were cut off" in said
    torn = folder / "samples.duckdb.wal.torn"
    assert torn.read_bytes() == whole
    assert stat.S_IMODE(torn.stat().st_mode) == 0o600
    for number in range(1, kept + 3):
        assert driver.record(batch(number), at(number)) == Published(500)
    driver.close()
    assert {path.name for path in folder.iterdir()} == {
        "made", "samples.duckdb", "samples.duckdb.wal", torn.name,
    }  # fmt: skip
    reader = DuckDBDriver(URL, folder, read_only=True)
    assert len(everything(reader)) == (kept + 2) * 500
    reader.close()


@pytest.mark.parametrize("place", ["size", "zeros", "checksum", "content", "end"])
@pytest.mark.parametrize("read_only", [False, True])
def test_damage_before_the_last_commit_is_no_power_cut(folder: Path, place: str, read_only: bool) -> None:
    """Nothing is cut away, as what follows was acknowledged; a backup is needed."""
    log, sizes = left_behind(folder, 3)
    content = bytearray(log.read_bytes())
    begin, end = sizes[0], sizes[1]  # of the last commit but one
    if place == "zeros":
        content[begin : begin + 300] = bytes(300)
    else:
        byte = {"size": begin + 2, "checksum": begin + 8, "content": (begin + end) // 2, "end": end - 1}[
            place
        ]
        content[byte] ^= 0x40
    log.write_bytes(content)
    driver = DuckDBDriver(URL, folder, read_only=read_only)
    with pytest.raises(
        errors.Unavailable, match=r"its log is damaged at byte \d+ of \d+, .*meteragent restore puts a"
    ):
        driver.meters()
    driver.close()
    assert log.read_bytes() == content
    assert {path.name for path in folder.iterdir()} == {"made", "samples.duckdb", log.name}


def test_each_torn_log_is_kept(folder: Path) -> None:
    """A second one does not take the name of the first."""
    log, sizes = left_behind(folder, 2)
    _scratch(log, (sizes[0] + sizes[1]) // 2)
    first = folder / "samples.duckdb.wal.torn"
    first.write_bytes(b"of last year")
    driver = DuckDBDriver(URL, folder)
    assert driver.record(batch(2), at(2)) == Published(500)
    driver.close()
    assert first.read_bytes() == b"of last year"
    assert (folder / "samples.duckdb.wal.torn.2").stat().st_size == sizes[1]


def test_a_log_that_is_not_at_fault_is_left_alone(folder: Path) -> None:
    """When the file itself is damaged, too, nothing is cut."""
    log, sizes = left_behind(folder, 2)
    _scratch(log, sizes[0] + (sizes[1] - sizes[0]) // 3)
    file = folder / "samples.duckdb"
    file.write_bytes(bytes(file.stat().st_size))
    whole = log.read_bytes()
    with pytest.raises(errors.Unavailable, match="the file is damaged or no DuckDB database"):
        DuckDBDriver(URL, folder).record(batch(1), at(1))
    assert log.read_bytes() == whole


@pytest.mark.parametrize("left", [b"", bytes(4096), b"no database"])
def test_what_was_half_made_is_made_anew(folder: Path, left: bytes) -> None:
    """It has another name until it is whole."""
    (folder / "samples.duckdb.new").write_bytes(left)
    driver = DuckDBDriver(URL, folder)
    assert driver.record(batch(1), at(1)) == Published(500)
    assert {path.name for path in folder.iterdir()} == {"samples.duckdb", "samples.duckdb.wal"}
    driver.close()


def test_a_log_without_its_file_is_put_aside(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It would be taken for that of the new file, and nothing could be opened any more."""
    log, _ = left_behind(folder, 1)
    (folder / "samples.duckdb").unlink()
    whole = log.read_bytes()
    driver = DuckDBDriver(URL, folder)
    assert driver.record(batch(1), at(1)) == Published(500)
    assert len(everything(driver)) == 500
    driver.close()
    assert (folder / "samples.duckdb.wal.of-a-removed-file").read_bytes() == whole
    (said,) = caplog.messages
    assert said.endswith("samples.duckdb.wal.of-a-removed-file")


def test_a_file_system_without_links_will_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new file is renamed instead."""

    def refuse(*names: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), *names)

    monkeypatch.setattr(os, "link", refuse)
    driver = DuckDBDriver(URL, folder)
    assert driver.record(batch(1), at(1)) == Published(500)
    driver.close()


@pytest.mark.parametrize("there", [False, True])
def test_a_name_that_leads_elsewhere_is_followed(folder: Path, there: bool) -> None:
    """A symbolic link, to a file or to none yet, costs nothing when the agent is killed."""
    disk = folder / "disk"
    disk.mkdir()
    (folder / "samples.duckdb").symlink_to("disk/samples.duckdb")
    for number, place in ((1, disk if there else folder), (2, folder)):
        subprocess.run(
            [sys.executable, "-c", _RECORD_AND_DIE, str(place), str(number)],
            env=environment(), check=True, timeout=60,
        )  # fmt: skip
    assert {path.name for path in folder.iterdir()} == {"disk", "samples.duckdb"}
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in disk.iterdir()}
    assert modes == {"samples.duckdb": 0o600, "samples.duckdb.wal": 0o600}
    driver = DuckDBDriver(URL, folder, read_only=True)
    assert len(everything(driver)) == 1000
    driver.close()
