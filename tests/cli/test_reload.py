"""Tests of `meteragent reload`, of SIGHUP and of the socket: a real agent in a process of its own."""

import itertools
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from meteragent.control.answer import Answer
from meteragent.control.client import asked
from meteragent.control.server import Server
from tests.cli.conftest import Program
from tests.cli.test_run import Started, greeting, started

__all__ = ["started"]

ONE = "sources: [{name: a, interval: 1, meters: [host.uptime]}]"
TWO = (
    "sources: [{name: a, interval: 1, meters: [host.uptime]}, {name: b, interval: 1, meters: [host.uptime]}]"
)

NO_AGENT = (
    "meteragent: no agent runs in the state folder {}; meteragent run starts one, --state-dir names another"
    " folder\n"
)


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait for something to come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def answering(state: Path) -> None:
    """Wait until the agent answers."""
    until((state / "agent.sock").exists)


def sources(state: Path) -> list[str]:
    """Names of the polling sources that run."""
    with asked(state, "GET", "/status") as answer:
        return [each["name"] for each in msgspec.json.decode(answer.read())["polling_sources"]]


def test_what_has_changed_is_told_in_a_line_each(
    started: Started, program: Program, config: Path, state: Path
) -> None:
    """By the command, which ends with 0, and by the agent."""
    (config / "polling.yaml").write_text(ONE)
    process = started("run")
    greeting(process)
    answering(state)
    assert program("reload").out == "reloaded: nothing that runs has changed\n"
    (config / "polling.yaml").write_text(TWO)
    assert program("reload") == (0, "reloaded: polling source b added\n", "")
    assert sources(state) == ["a", "b"]
    process.send_signal(signal.SIGTERM)
    assert "reloaded: polling source b added\n" in process.communicate(timeout=20)[0]


def test_an_invalid_configuration_is_refused_as_a_whole(
    started: Started, program: Program, config: Path, state: Path
) -> None:
    """The reason goes to the caller and to the log, exit code 1, and all goes on."""
    (config / "polling.yaml").write_text(ONE)
    process = started("run")
    greeting(process)
    answering(state)
    (config / "polling.yaml").write_text(TWO)
    (config / "pipeline.yaml").write_text("sources: [\n")
    ended = program("reload")
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert f"{config}/pipeline.yaml:" in ended.err
    assert sources(state) == ["a"]
    with asked(state, "GET", "/metrics") as answer:
        assert b"\nmeteragent_reload_refused_total 1\n" in answer.read()
    process.send_signal(signal.SIGTERM)
    assert (
        "ERROR meteragent.cli.answering: reload refused, all goes on as before: " in process.communicate()[1]
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("[DEFAULT]\nhost = another\n", "host: changed, which needs a restart"),
        (
            "[storage]\nconnection = sqlite:///other.db\n",
            "[storage] connection: changed, which needs a restart",
        ),
        ("[journal]\nmax_size = 1048576\n[agent]\nid = x\n", "[agent] id, [journal] max_size: changed"),
    ],
)
def test_what_needs_a_restart_is_named(
    started: Started, program: Program, config: Path, state: Path, options: str, told: str
) -> None:
    """And nothing is reloaded."""
    greeting(started("run"))
    answering(state)
    (config / "meteragent.conf").write_text(options)
    ended = program("reload")
    assert (ended.code, ended.out) == (1, "")
    assert told in ended.err


def test_without_a_terminal_sighup_reloads(started: Started, config: Path, state: Path) -> None:
    """As systemd has it; a configuration that is refused ends nothing."""
    (config / "polling.yaml").write_text(ONE)
    process = started("run")
    greeting(process)
    answering(state)
    (config / "polling.yaml").write_text(TWO)
    process.send_signal(signal.SIGHUP)
    until(lambda: sources(state) == ["a", "b"])
    (config / "polling.yaml").write_text("sources: [")
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    assert process.stderr is not None
    assert "reload refused" in process.stderr.readline()
    assert sources(state) == ["a", "b"]


def test_on_a_terminal_sighup_ends_it(config: Path, state: Path, tmp_path: Path) -> None:
    """It comes when the terminal is closed."""
    ours, theirs = pty.openpty()
    where = ("--config-dir", str(config), "--state-dir", str(state))
    process = subprocess.Popen(
        [sys.executable, "-m", "meteragent", *where, "run"],
        stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | {"HOME": str(tmp_path)},
    )  # fmt: skip
    try:
        answering(state)
        process.send_signal(signal.SIGHUP)
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


def test_the_log_level_is_reloaded(started: Started, program: Program, config: Path, state: Path) -> None:
    """Debug messages come with debug = true, and go with it."""
    process = started("run")
    greeting(process)
    answering(state)
    for text in ("debug = true", "debug = false"):
        (config / "meteragent.conf").write_text(f"[DEFAULT]\n{text}\n")
        assert program("reload").code == 0
        assert program("reload").code == 0
    process.send_signal(signal.SIGTERM)
    debug = [line for line in process.communicate(timeout=20)[1].splitlines() if " DEBUG " in line]
    assert sum("POST /reload" in line for line in debug) == 2, "the one under it, and the one that ends it"


def test_without_an_agent_it_says_so(program: Program, state: Path) -> None:
    """In one line; also when a killed agent has left its socket."""
    assert program("reload") == (1, "", NO_AGENT.format(state))


def test_an_agent_that_ends_while_it_answers_is_told(program: Program, state: Path) -> None:
    """In one line."""
    state.mkdir(mode=0o700)
    server = Server(state, {("POST", "/reload"): lambda _: Answer([b'{"changes":["relo'])})
    server.start()
    told = "meteragent: the agent's answer was cut off; its log tells what was reloaded\n"
    assert program("reload") == (1, "", told)
    server.close()


def test_a_socket_that_a_killed_agent_left_is_replaced(
    started: Started, program: Program, state: Path
) -> None:
    """Nobody answers on it, the next agent does, and takes it away at its end."""
    first = started("run")
    greeting(first)
    answering(state)
    first.kill()
    first.wait()
    assert (state / "agent.sock").exists()
    assert program("reload").err == NO_AGENT.format(state)
    second = started("run")
    greeting(second)
    until(lambda: program("reload").code == 0)
    second.send_signal(signal.SIGTERM)
    second.communicate(timeout=20)
    assert not (state / "agent.sock").exists()


def test_an_agent_without_a_socket_meters_all_the_same(
    started: Started, program: Program, state: Path
) -> None:
    """It warns once of what stands in the way."""
    (state / "agent.sock").mkdir(parents=True)
    process = started("run", "--stop-after", "1.5")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert err.count("\n") == 1
    assert f"{state}/agent.sock is there and is no socket" in err
    assert program("sample", "list", "-m", "host.uptime", "-f", "json").rows


def test_it_meters_itself(started: Started, program: Program, config: Path) -> None:
    """With the namespace agent, what the socket tells is in the store, a resource for each sink."""
    (config / "meteragent.conf").write_text("[DEFAULT]\nhost = here\n[polling]\nnamespaces = agent\n")
    (config / "polling.yaml").write_text("sources: [{name: own, interval: 1, meters: ['*']}]")
    process = started("run", "--stop-after", "3")
    process.communicate(timeout=20)
    rows = program("sample", "list", "-m", "meteragent.sink.delivered", "-f", "json").rows
    assert {row["resource_id"] for row in rows} == {"here.meteragent.sink.store"}
    assert rows[0]["volume"] > rows[-1]["volume"]
    (build,) = {
        (row["resource_id"], row["volume"])
        for row in program("sample", "list", "-m", "meteragent.build", "-f", "json").rows
    }
    assert build == ("here.meteragent", 1)
    assert program("plugin", "list", "--load", "-f", "json").rows[0]["state"] == "loaded"
    counts = [
        row["volume"] for row in program("sample", "list", "-m", "meteragent.samples.read", "-f", "json").rows
    ]
    steps = {newer - older for newer, older in itertools.pairwise(counts)}
    assert max(steps) < 80, "a poll of itself costs the same each time"
