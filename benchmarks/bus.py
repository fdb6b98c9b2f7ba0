"""How fast an agent empties a queue of notifications into its store, and what one of them costs it.

    python -m benchmarks.bus [--count …] [--runs …] [--waiting …]

References in the same run: a bare consumer, which decodes and acknowledges the same messages and keeps
nothing, by turns with the agent; and the ancestor's conversion of the same notifications, in a process and
an environment of its own, without bus and store. Then a million messages wait, and the memory of the
agent is sampled while it works on them.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.bus_agent import broker, configure, ready, recorded, stored
from benchmarks.bus_notifications import SETS, Bodies
from benchmarks.bus_publisher import QUEUE, Destination
from benchmarks.bus_verdict import account
from benchmarks.idle import cpu_seconds, started
from benchmarks.plugin_folder import ROOT, command
from benchmarks.speed import pss

ANCESTOR = "ceilometer==27.0.0"
RATE_GOAL = 0.4
"""Of the rate of the bare consumer."""
CPU_GOAL = 1 / 6
"""Of the CPU of the ancestor's conversion, conversion against conversion; what the whole agent takes, which
receives, journals and stores besides, is told beside that."""
PSS_GOAL = 120.0
"""MB of memory, with however many messages waiting."""
STALLED = 60.0
"""Seconds without progress, after which a run is given up."""
CONVERTED = 6_000
"""Notifications that the ancestor is given."""


def fill(url: str, count: int, run: int, kinds: str = "single") -> None:
    """Put so many notifications into the empty queue.

    :raises RuntimeError: when not just they are in it
    """
    options = ["--run", str(run), "--kinds", kinds]
    publisher = [sys.executable, "-m", "benchmarks.bus_publisher", url, str(count), *options]
    sent = subprocess.run(publisher, cwd=ROOT, check=True, capture_output=True, text=True)
    found = ready(Destination(url))
    if found != count:
        raise RuntimeError(f"queue {QUEUE} has {found} messages, not {count}: {sent.stdout}{sent.stderr}")


def bare(url: str, count: int) -> dict[str, Any]:
    """Figures of the bare consumer."""
    consumer = [sys.executable, "-m", "benchmarks.bus_bare", url, str(count)]
    ran = subprocess.run(consumer, cwd=ROOT, check=True, capture_output=True, text=True)
    return dict(json.loads(ran.stdout))


def emptied(process: psutil.Process, done: Callable[[], int], count: int) -> dict[str, float]:
    """Watch an agent until it has stored so many, from the first that it stored on."""
    first, began, cpu, largest, sampled = 0, 0.0, 0.0, 0.0, 0.0
    before, changed = 0, time.monotonic()
    while (now := done()) < count:
        moment = time.monotonic()
        if now != before:
            before, changed = now, moment
        if now and not first:
            first, began, cpu = now, moment, cpu_seconds(process)
        if moment > sampled + 0.25:
            largest, sampled = max(largest, pss(process.pid)), moment
        if moment > changed + STALLED:
            raise RuntimeError(f"{now} of {count} are stored, and none more for {STALLED:g} s")
        time.sleep(0.02)
    seconds, used = time.monotonic() - began, cpu_seconds(process) - cpu
    kept = count - first
    largest = max(largest, pss(process.pid))
    return {"seconds": seconds, "rate": kept / seconds, "cpu_us": used / kept * 1e6, "pss_mb": largest}


def whole_agent(folder: Path, url: str, count: int) -> dict[str, Any]:
    """Figures of an agent that finds so many notifications waiting.

    :raises RuntimeError: when its store or its account has others
    """
    config, state = configure(folder, url), folder / "state"
    run = command("run", "--config-dir", config, "--state-dir", state)
    with started("the agent", run, folder / "agent.log") as process:
        figures: dict[str, Any] = emptied(process, lambda: recorded(state / "samples.db"), count)
    samples, events = stored(state / "samples.db")
    told = account(state / "journal.db")
    if samples != count or told["converted"] != told["received"]:
        raise RuntimeError(f"{samples} samples stored of {count}; messages: {told}")
    return {"messages": count, "samples": samples, "events": events, **figures}


def million(folder: Path, url: str, count: int, seconds: float) -> dict[str, Any]:
    """Largest memory of an agent that finds a million notifications waiting, over so many seconds."""
    fill(url, count, 1_000, "small")
    config, state, largest = configure(folder, url), folder / "state", 0.0
    run = command("run", "--config-dir", config, "--state-dir", state)
    with started("the agent", run, folder / "agent.log") as process:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(0.1)
            largest = max(largest, pss(process.pid))
        done = recorded(state / "samples.db")
    return {"waiting": count, "stored": done, "pss_mb": largest}


def ancestor(count: int, runs: int) -> list[dict[str, Any]]:
    """Figures of the ancestor's conversion; its environment is made when it is not there."""
    home = Path(tempfile.gettempdir()) / "meteragent-ancestor"
    python = home / "bin" / "python"
    if not (home / "made").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        subprocess.run([python, "-m", "pip", "install", ANCESTOR], check=True, capture_output=True)
        (home / "made").touch()
    bodies = Bodies(SETS["single"])
    found = []
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        file.write(b"\n".join(map(bodies.body, range(count))))
        file.flush()
        script = [str(python), "-W", "ignore", str(ROOT / "benchmarks" / "bus_ancestor.py"), file.name]
        for _ in range(runs):
            ran = subprocess.run(script, check=True, capture_output=True, text=True)
            found.append(json.loads(ran.stdout.splitlines()[-1]))
    return found


def conversion(count: int) -> dict[str, Any]:
    """Figures of the conversion alone, in a process of its own."""
    run = [sys.executable, "-m", "benchmarks.bus_conversion", str(count)]
    return dict(json.loads(subprocess.run(run, cwd=ROOT, check=True, capture_output=True, text=True).stdout))


def told(name: str, figures: dict[str, Any]) -> dict[str, Any]:
    """Print the raw figures of a run; returns them."""
    rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in figures.items()}
    print(f"{name:<9}{json.dumps(rounded)}", flush=True)
    return figures


def median(runs: Sequence[dict[str, Any]], figure: str) -> float:
    """The middle one of a figure."""
    return float(statistics.median(run[figure] for run in runs))


def measure(url: str, folder: Path, chosen: argparse.Namespace) -> bool:
    """All of it; whether the goals are met."""
    bares, agents = [], []
    for run in range(chosen.runs):
        fill(url, chosen.count, 2 * run + 1)
        bares.append(told("bare", bare(url, chosen.count)))
        fill(url, chosen.count, 2 * run + 2)
        agents.append(told("agent", whole_agent(folder / str(run), url, chosen.count)))
    others = [told("ancestor", each) for each in ancestor(CONVERTED, chosen.runs)]
    alone = [told("alone", conversion(CONVERTED)) for _ in range(chosen.runs)]
    found = []
    if chosen.waiting:
        found.append(told("waiting", million(folder / "million", url, chosen.waiting, chosen.seconds)))
    return judged(bares, agents, alone, others, max(each["pss_mb"] for each in [*agents, *found]))


def judged(
    bares: Sequence[dict[str, Any]],
    agents: Sequence[dict[str, Any]],
    alone: Sequence[dict[str, Any]],
    others: Sequence[dict[str, Any]],
    largest: float,
) -> bool:
    """Print the figures beside their goals; whether these are met."""
    reference, rate, cpu = median(bares, "rate"), median(agents, "rate"), median(agents, "cpu_us")
    samples, events, decode = (median(others, f"{part}_us") for part in ("samples", "events", "decode"))
    converting = median(alone, "conversion_us")
    cost, whole = converting / (samples + events), cpu / (samples + events)
    print(
        f"bare consumer  {reference:>8,.0f} messages/s, {median(bares, 'cpu_us'):.0f} µs CPU each\n"
        f"whole agent    {rate:>8,.0f} messages/s, ratio {rate / reference:.2f}, goal {RATE_GOAL}\n"
        f"               {cpu:>8.0f} µs CPU each, {whole:.2f} of what the ancestor's conversion takes alone\n"
        f"conversion     {converting:>8.0f} µs CPU each, {cost:.2f} of the ancestor's, goal {CPU_GOAL:.2f}\n"
        f"               {median(alone, 'decode_us'):>8.0f} µs CPU each before that, to decode and unpack\n"
        f"ancestor       {samples + events:>8.0f} µs CPU each: {samples:.0f} for samples,"
        f" {events:.0f} for events\n"
        f"               {decode:>8.0f} µs CPU each before that, to decode and unpack\n"
        f"PSS            {largest:>8.0f} MB at most, goal under {PSS_GOAL:.0f}"
    )
    return rate >= RATE_GOAL * reference and cost <= CPU_GOAL and largest < PSS_GOAL


def main() -> None:
    """Measure; exit 1 when a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bus", description=__doc__)
    parser.add_argument("--count", type=int, default=50_000, help="notifications that wait in each run")
    parser.add_argument("--runs", type=int, default=3, help="runs of each, by turns")
    parser.add_argument("--waiting", type=int, default=1_000_000, help="messages of 1 KB that wait; 0: none")
    parser.add_argument("--seconds", type=float, default=60, help="how long the agent works on them")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, broker() as server:
        met = measure(server.url(), Path(name), chosen)
    sys.exit(not met)


if __name__ == "__main__":
    main()
