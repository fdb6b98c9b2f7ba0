"""Tests of `meteragent backup` and `meteragent restore`, of an agent that runs and of one that has ended."""

import signal
import sqlite3
from pathlib import Path

from benchmarks.verdict import rows
from meteragent import state_folder
from tests.cli.conftest import Program
from tests.cli.test_reload import until
from tests.cli.test_run import Started, greeting, started

__all__ = ["started"]

POLLING = "sources: [{name: a, interval: 1, meters: [host.uptime]}]"


def count(state: Path) -> int:
    """Samples in the store; 0 where there is none."""
    try:
        return int(rows(state / "samples.db", "select count(*) from sample")[0][0])
    except (sqlite3.OperationalError, FileNotFoundError):
        return 0


def test_an_agent_that_runs_is_backed_up_and_restored(
    started: Started, program: Program, config: Path, state: Path, tmp_path: Path
) -> None:
    """The account balances, and the store has what it tells as delivered."""
    (config / "polling.yaml").write_text(POLLING)
    agent = started("run")
    greeting(agent)
    until(lambda: count(state))
    made = program("backup", str(tmp_path / "one"))
    assert (made.code, made.err) == (0, "")
    assert made.out.startswith("the backup of agent ")
    assert made.out.endswith(f"bytes, is in {tmp_path / 'one'}\n")
    refused = program("restore", str(tmp_path / "one"), "--replace")
    assert refused.code == 1
    assert f"state folder {state} is in use by process {agent.pid}" in refused.err
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(10) == 0
    refused = program("restore", str(tmp_path / "one"))
    assert (refused.code, refused.out, refused.err.count("\n")) == (1, "", 1)
    restored = program("restore", str(tmp_path / "one"), "--replace")
    assert (restored.code, restored.err) == (0, "")
    assert restored.out.endswith(f"is restored to {state}\n")
    assert len(list(state.glob("*.replaced-*"))) >= 2
    assert program("run", "--stop-after", "1.2").code == 0
    (line,) = [row for row in program("sink", "list", "-f", "json").rows if row["name"] == "store"]
    assert (line["balanced"], line["delivered"], line["duplicate"]) == (True, count(state), 0)
    assert program("journal", "verify").code == 0


def test_mistakes_are_told_in_one_line(program: Program, state: Path, tmp_path: Path) -> None:
    """With exit code 1."""
    for words, told in (
        (("backup", str(tmp_path / "b")), f"{state}/journal.db: no journal yet; meteragent run makes it"),
        (("restore", str(tmp_path / "b")), f"{tmp_path}/b: is no backup, or only half of one"),
    ):
        ended = program(*words)
        assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
        assert told in ended.err
    assert not state.exists()
    assert program("run", "--stop-after", "0").code == 0
    ended = program("backup", str(state))
    assert (ended.code, ended.err) == (
        1,
        f"meteragent: backup '{state}': is not empty; name a folder that does not exist yet\n",
    )


def test_no_agent_starts_on_half_a_restore(
    started: Started, program: Program, state: Path, tmp_path: Path
) -> None:
    """It says what to do, and that works; of another host, it is said."""
    assert program("run", "--stop-after", "0").code == 0
    assert program("backup", str(tmp_path / "b")).code == 0
    (state / "journal.db").rename(state / state_folder.RESTORING)  # the store is in its place already
    agent = started("run", "--stop-after", "0")
    _, err = agent.communicate(timeout=20)
    assert (agent.returncode, err.count("\n")) == (1, 1)
    assert "a restore into it was cut off; run `meteragent restore --replace` again" in err
    path = tmp_path / "b" / "backup.json"
    path.write_text(path.read_text().replace('"host": "', '"host": "another-'))
    ended = program("restore", "--replace", str(tmp_path / "b"))
    assert ended.code == 0
    assert "it is of host another-" in ended.err
    assert program("run", "--stop-after", "0").code == 0
