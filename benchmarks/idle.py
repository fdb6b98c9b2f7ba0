"""What the agent costs a quiet host, and how long a command takes to start; apart because it needs minutes.

Run as ``python -m benchmarks.idle``. A bare psutil loop and the agent run at the same time, so that
both find the machine in the same state; the exit code is 1 when a goal is missed.
"""

import argparse
import contextlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
CPU_GOAL = 3.0
"""Times the CPU of the bare loop that the agent may take."""
PSS_GOAL = 60 * 10**6
"""Bytes of memory, shared pages divided among those who share them, that the agent may hold."""
HELP_GOAL = 0.20, 2.0
"""Seconds, and times the import of cliff, that ``meteragent --help`` may take in sum."""

BARE_LOOP = """\
import os, sys, time
import psutil

tables = [f"/proc/pressure/{name}" for name in ("cpu", "memory", "io")]
tables += [f"/proc/net/{name}" for name in ("snmp", "snmp6", "sockstat", "sockstat6")]
tables = [table for table in tables if os.path.exists(table)]
while True:
    psutil.cpu_times(), psutil.cpu_count(), psutil.virtual_memory(), psutil.swap_memory()
    psutil.disk_io_counters(perdisk=True), psutil.net_io_counters(pernic=True)
    [psutil.disk_usage(partition.mountpoint) for partition in psutil.disk_partitions()]
    psutil.getloadavg(), psutil.boot_time(), psutil.cpu_stats(), psutil.users()
    psutil.sensors_temperatures(), psutil.sensors_fans(), psutil.sensors_battery()
    for table in tables:
        with open(table) as file:
            file.read()
    time.sleep(float(sys.argv[1]))
"""


def cpu_seconds(process: psutil.Process) -> float:
    """Processor time of a process, all its threads and its children, since it began.

    The process's own time comes from its CPU clock, since /proc/<pid>/stat counts in 10 ms: more
    than a poll takes.
    """
    clock = (~process.pid << 3) | 2  # how Linux names the CPU clock of another process
    times = process.cpu_times()
    living = sum(cpu_seconds(child) for child in process.children())
    return time.clock_gettime(clock) + times.children_user + times.children_system + living


def pss(process: psutil.Process) -> int:
    """Bytes of memory of a process and its children, shared pages divided among their users."""
    rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
    own = next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
    return own + sum(pss(child) for child in process.children())


@contextlib.contextmanager
def started(name: str, command: Sequence[str], output: Path) -> Iterator[psutil.Process]:
    """A process that runs until the end of the block, then is asked to stop.

    :raises SystemExit: when it ended by itself, with what it said
    """
    with output.open("wb") as said, subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said) as child:
        try:
            yield psutil.Process(child.pid)
        finally:
            ended = child.poll()
            child.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(10)
            child.kill()
            if ended is not None:
                raise SystemExit(f"{name} ended by itself ({ended}):\n{output.read_text(errors='replace')}")


def measure_idle(seconds: float, warm_up: float, interval: int) -> bool:
    """Run the bare loop and the agent side by side, print what both cost; whether the goals are met."""
    with tempfile.TemporaryDirectory() as folder:
        state, config = Path(folder, "state"), Path(folder, "config")
        shutil.copytree(ROOT / "etc" / "meteragent", config)
        polling = config / "polling.yaml"
        text = polling.read_text(encoding="utf-8")
        polling.write_text(re.sub("interval: .*", f"interval: {interval}", text), encoding="utf-8")
        bare_loop = [sys.executable, "-c", BARE_LOOP, str(interval)]
        agent = [sys.executable, "-m", "meteragent", "run"]
        agent += ["--config-dir", str(config), "--state-dir", str(state)]
        with started("the agent", agent, Path(folder, "agent")) as metered:
            with started("the bare loop", bare_loop, Path(folder, "loop")) as bare:
                time.sleep(warm_up)
                before = cpu_seconds(bare), cpu_seconds(metered)
                time.sleep(seconds)
                after = cpu_seconds(bare), cpu_seconds(metered)
            # the loop shares pages with the agent and makes it look smaller
            held = pss(metered)
    loop_cost, agent_cost = after[0] - before[0], after[1] - before[1]
    ratio = agent_cost / loop_cost
    print(f"idle, polled every {interval} s, over {seconds:g} s")
    print(f"  bare psutil loop  {loop_cost * 1000:8.1f} ms CPU")
    print(f"  agent             {agent_cost * 1000:8.1f} ms CPU")
    print(f"  ratio             {ratio:8.2f}          goal: at most {CPU_GOAL:g}")
    print(f"  agent's memory    {held / 1e6:8.1f} MB PSS   goal: under {PSS_GOAL / 1e6:g}")
    return ratio <= CPU_GOAL and held < PSS_GOAL


def run_time(command: Sequence[str]) -> float:
    """Seconds from the start of a command to its end."""
    began = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def measure_start(runs: int) -> bool:
    """Time the command's help against the import of its framework, by turns; whether the goal is met."""
    framework = [sys.executable, "-c", "import cliff.app"]
    help_text = [str(Path(sys.executable).with_name("meteragent")), "--help"]
    for command in (framework, help_text):
        run_time(command)  # the first run compiles and fills caches
    pairs = [(run_time(framework), run_time(help_text)) for _ in range(runs)]
    imported = statistics.median(pair[0] for pair in pairs)
    helped = statistics.median(pair[1] for pair in pairs)
    allowed = HELP_GOAL[0] + HELP_GOAL[1] * imported
    print(f"start, median of {runs} runs")
    print(f"  import cliff.app  {imported:8.3f} s")
    print(f"  meteragent --help {helped:8.3f} s        goal: at most {allowed:.3f}")
    return helped <= allowed


def main() -> int:
    """Measure what the arguments say; 1 when a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.idle", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="how long to measure (0: not at all)")
    parser.add_argument("--warm-up", type=float, default=25, help="seconds that run before that")
    parser.add_argument("--interval", type=int, default=10, help="seconds between polls")
    parser.add_argument("--runs", type=int, default=9, help="how often to start commands (0: not at all)")
    chosen = parser.parse_args()
    met = [
        not chosen.runs or measure_start(chosen.runs),
        not chosen.seconds or measure_idle(chosen.seconds, chosen.warm_up, chosen.interval),
    ]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
