"""Tests of `meteragent run`: the agent in the foreground, as a person or systemd runs it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import threads
from tests.cli.conftest import Distribution, Program

Started = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def started(config: Path, state: Path, tmp_path: Path) -> Iterator[Started]:
    """Starts the program with that config and state in a process of its own, ended with the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(*args: str) -> "subprocess.Popen[str]":
        where = ("--config-dir", str(config), "--state-dir", str(state))
        process = subprocess.Popen(
            [sys.executable, "-m", "meteragent", *where, *args],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"HOME": str(tmp_path)},
        )  # fmt: skip
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def greeting(process: "subprocess.Popen[str]") -> str:
    """The first line that the agent prints."""
    assert process.stdout is not None
    return process.stdout.readline()


def test_it_greets_and_ends_by_itself(started: Started, program: Program) -> None:
    """--stop-after ends it with 0; what it metered is readable afterwards."""
    begin = time.monotonic()
    process = started("run", "--stop-after", "1")
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("meteragent ")
    assert time.monotonic() - begin < 10
    names = program("meter", "list", "-f", "value", "-c", "name").out.split()
    assert len(set(names)) >= 25


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_less_than_two_seconds(started: Started, number: signal.Signals) -> None:
    """Cleanly, with 0 and without a word."""
    process = started("run")
    assert greeting(process).startswith("meteragent ")
    begin = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    assert time.monotonic() - begin < 2


def test_without_a_terminal_it_goes_on(started: Started) -> None:
    """Started by nohup, it is not ended by SIGHUP; nor by a signal that a plugin handles."""
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = started("run", "--stop-after", "1.5")
    finally:
        signal.signal(signal.SIGHUP, former)
    assert greeting(process).startswith("meteragent ")
    begin = time.monotonic()
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert time.monotonic() - begin > 0.5


PLUGINS = """
import os, signal, time


class Hanging:
    meters = ("m",)

    def __init__(self):
        os.close(os.open(os.environ["BEGUN"], os.O_CREAT))
        time.sleep(60)

    def get_samples(self):
        return []


class Grasping:
    meters = ("m",)

    def __init__(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGUSR1, lambda *_: os.close(os.open(os.environ["BEGUN"], os.O_CREAT)))

    def get_samples(self):
        return []
"""


@pytest.fixture
def begun(tmp_path: Path, distribution: Distribution, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a plugin makes, of those above, once one of their namespaces is configured."""
    distribution(
        PLUGINS,
        "[meteragent.poll.hanging]\np = elsewhere:Hanging\n"
        "[meteragent.poll.grasping]\np = elsewhere:Grasping\n",
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setenv("BEGUN", str(tmp_path / "begun"))
    return tmp_path / "begun"


def appears(path: Path) -> None:
    """Wait for a file."""
    until = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < until, f"{path} never came"
        time.sleep(0.005)


def test_a_second_ctrl_c_ends_a_start_that_hangs(started: Started, config: Path, begun: Path) -> None:
    """The first one waits for the plugin to come back, the second waits for nothing."""
    (config / "meteragent.conf").write_text("[polling]\nnamespaces = hanging\n")
    process = started("run")
    appears(begun)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=5)
    assert (process.returncode, out, err) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_plugin_cannot_take_the_signals_that_end_it(
    started: Started, config: Path, begun: Path, number: signal.Signals
) -> None:
    """Others it may have, and they end nothing."""
    (config / "meteragent.conf").write_text("[polling]\nnamespaces = grasping\n")
    process = started("run")
    assert greeting(process).startswith("meteragent ")
    process.send_signal(signal.SIGUSR1)
    appears(begun)
    assert process.poll() is None
    begin = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    assert time.monotonic() - begin < 2


def test_a_reader_that_goes_away_does_not_end_it(started: Started, config: Path, program: Program) -> None:
    """As with `meteragent run | head -1`: it says so once, in a line, and what it polls is stored."""
    (config / "meteragent.conf").write_text("[agent]\naccount_interval = 1\n")
    (config / "polling.yaml").write_text("sources: [{name: s, interval: 1, meters: [host.uptime]}]")
    process = started("run", "--stop-after", "3")
    assert process.stdout is not None
    greeting(process)
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert err.count("\n") == 1
    assert err.endswith("metering goes on, Ctrl-C or SIGTERM ends it\n")
    assert len(program("sample", "list", "-m", "host.uptime", "-f", "json").rows) >= 3


def test_nobody_need_hear_it(config: Path, state: Path) -> None:
    """Output and log behind one pipe that nobody reads: it meters, and ends with 0."""
    (config / "meteragent.conf").write_text("[agent]\naccount_interval = 1\n")
    call = (
        f"{sys.executable} -m meteragent -vv --config-dir {config} --state-dir {state} run --stop-after 2.5"
    )
    line = f"({call} 2>&1; echo $? >&3) 3>{state}.code | head -c 1"
    done = subprocess.run(["bash", "-c", line], check=True)
    assert done.returncode == 0
    assert Path(f"{state}.code").read_text() == "0\n"


def test_it_prints_its_account_now_and_then(started: Started, config: Path) -> None:
    """A line every [agent] account_interval seconds, which tells what became of the samples."""
    (config / "meteragent.conf").write_text("[agent]\naccount_interval = 1\n")
    process = started("run", "--stop-after", "2.5")
    out, _ = process.communicate(timeout=20)
    lines = [line for line in out.splitlines() if "delivered" in line]
    assert 1 <= len(lines) <= 2
    assert lines[-1].startswith("read ")


def test_other_commands_work_while_it_runs(started: Started, program: Program) -> None:
    """The store and the journal are read beside it."""
    process = started("run")
    greeting(process)
    until = time.monotonic() + 10
    while not program("sample", "list", "-m", "host.uptime", "-f", "json").rows:
        assert time.monotonic() < until, "nothing is stored"
        time.sleep(0.05)
    for command in ("gap list", "journal status", "journal verify", "sink list", "quarantine list"):
        assert program(*command.split()).code == 0, command
    (sink,) = program("sink", "list", "-f", "json").rows
    assert sink["balanced"] is True


def test_a_second_agent_in_the_same_state_folder_is_refused(started: Started) -> None:
    """In one line, naming the first."""
    first = started("run")
    greeting(first)
    second = started("run")
    out, err = second.communicate(timeout=20)
    assert (second.returncode, out) == (1, "")
    assert err.startswith("meteragent: state folder ")
    assert str(first.pid) in err
    assert err.count("\n") == 1


def test_without_threads_it_does_not_begin(program: Program) -> None:
    """As for a user who may have no more of them; in one line."""
    with threads.exhausted():
        ended = program("run", "--stop-after", "0")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "meteragent: the agent cannot begin: can't start new thread\n"


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        (
            "meteragent.conf",
            "[storage]\nconnection = nosuch://x\n",
            "'nosuch' is not installed; installed: duckdb, sqlite\n",
        ),
        ("meteragent.conf", "[storage]\nconnection = sqlite://\n", "sqlite:///path"),
        ("polling.yaml", "sources: [\n", "polling.yaml:"),
        ("pipeline.yaml", "sources: []\n", "pipeline.yaml:"),
    ],
)
def test_what_it_cannot_start_with_is_one_line(
    program: Program, config: Path, name: str, text: str, told: str
) -> None:
    """Exit code 1, no traceback."""
    (config / name).write_text(text)
    ended = program("run", "--stop-after", "0")
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert told in ended.err
