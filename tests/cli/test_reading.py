"""Commands that read the store: the file itself, or through the agent where only that can open it."""

import signal
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Program
from tests.cli.test_run import Started, greeting, started

__all__ = ["started"]


def test_a_store_of_one_process_is_read_through_the_agent(
    started: Started, program: Program, config: Path, state: Path, tmp_path: Path
) -> None:
    """While it runs, by every command, and from the file before and after that."""
    pytest.importorskip("duckdb")
    (config / "meteragent.conf").write_text("[storage]\nconnection = duckdb:///samples.duckdb\n")
    (config / "polling.yaml").write_text("sources: [{name: a, interval: 1, meters: ['host.load.*']}]")
    assert program("meter", "list", "-f", "json").rows == []
    process = started("run")
    greeting(process)
    until = time.monotonic() + 20
    while not program("sample", "list", "-m", "host.load.1min", "-f", "json").rows:
        assert time.monotonic() < until, "nothing is stored"
        time.sleep(0.05)
    assert (state / "agent.sock").exists()
    meters = ["host.load.15min", "host.load.1min", "host.load.5min"]
    assert program("meter", "list", "-f", "value", "-c", "name").out.split() == meters
    for command in ("gap list", "plugin list"):
        ended = program(*command.split())
        assert (ended.code, "cannot be told" in ended.err) == (0, False), command
    (store,) = [row for row in program("doctor", "-f", "json").rows if row["check"] == "store"]
    assert (store["status"], store["finding"]) == ("ok", "the store can be read and has 3 meters")
    refused = program("backup", str(tmp_path / "backup"))
    assert (refused.code, refused.out, refused.err.count("\n")) == (1, "", 1)
    assert f"process {process.pid} has it open, and DuckDB lets one at a time" in refused.err
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert program("meter", "list", "-f", "value", "-c", "name").out.split() == meters
