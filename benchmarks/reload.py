"""Reloads a real agent at random while it polls and publishes, and judges what became of ticks and samples.

    python -m benchmarks.reload [RELOADS] [SEED]

Two polling sources and the store stay as they are. Others come, go and change, and so do sinks; some
configurations are invalid. A reload must lose and double nothing, and delay nobody that it does not touch.
"""

import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.crash import Victim, configure
from benchmarks.verdict import rows, unbalanced
from meteragent.clock import SECOND, iso
from meteragent.control.client import asked
from meteragent.errors import MeteragentError
from meteragent.scheduler import offset

ALLOWED = 50.0
"""Milliseconds that a poll of an untouched source may begin after its tick."""
HOST, RESOURCES, METERS = "crashing", 20, 4
UNTOUCHED, MOVING, SINKS = ("still0", "still1"), ("m0", "m1", "m2"), ("y0", "y1", "lines")
INVALID = {
    "polling.yaml": ("sources: [", "sources: [{name: x, meters: ['*']}]"),
    "pipeline.yaml": (
        "{sources: [{name: a, meters: ['*'], sinks: [s]}], sinks: [{name: s, publishers: ['stroage:']}]}",
        "{sources: [{name: a, meters: ['*'], sinks: [s]}], sinks: [{name: t, publishers: ['store:']}]}",
        "{sources: [{name: a, meters: [a], sinks: [s]}], sinks: [{name: s, publishers: [file:journal.db]}]}",
    ),
    "meteragent.conf": (
        "[DEFAULT]\nhost = another\n",
        "[polling]\nbatch_size = many\n",
        "[DEFAULT]\nhost = crashing\n[polling]\nnamespaces = crash\n[storage]\nconnection = sqlite:///other.db\n",
    ),
}
"""Texts that a reload must refuse."""

Definition = dict[str, Any]


class Configuration:
    """What the files say, and how it changes by chance."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self._folder, self._chance = folder, chance
        self.sources: dict[str, Definition] = {name: _source(name, 1, ["*"]) for name in UNTOUCHED}
        self.sinks: dict[str, Definition] = {"store": {"name": "store", "publishers": ["store:"]}}
        self.lived: dict[str, list[list[int]]] = {}
        """By source or sink the spans in which it was configured: interval (of a sink 1), since, until."""

    def everything(self) -> None:
        """Let all sources and sinks be there."""
        for name in MOVING:
            self.sources.setdefault(name, _source(name, 1, ["*"]))
        for name in SINKS:
            self.sinks.setdefault(name, _sink(name, 0))

    def change(self) -> None:
        """Add, change or remove some."""
        for name in self._chance.sample(MOVING, self._chance.randint(0, 2)):
            interval, meters = self._chance.choice([1, 1, 2]), self._chance.choice([["*"], ["a.*"], ["!a.*"]])
            if name in self.sources and self._chance.random() < 0.3:
                del self.sources[name]
            else:
                self.sources[name] = _source(name, interval, meters)
        for name in self._chance.sample(SINKS, self._chance.randint(0, 2)):
            if name in self.sinks and self._chance.random() < 0.4:
                del self.sinks[name]
            else:
                self.sinks[name] = _sink(name, self._chance.randint(1, 1 << 28))

    def write(self) -> None:
        """Write the documents."""
        (self._folder / "meteragent.conf").write_text(
            "[DEFAULT]\nhost = crashing\n[polling]\nnamespaces = crash\nbatch_size = 100\n"
        )
        (self._folder / "polling.yaml").write_text(json.dumps({"sources": list(self.sources.values())}))
        feed = {"name": "all", "meters": ["*"], "sinks": list(self.sinks)}
        pipeline = {"sources": [feed], "sinks": list(self.sinks.values())}
        (self._folder / "pipeline.yaml").write_text(json.dumps(pipeline))

    def spoil(self) -> None:
        """Make one of the files invalid."""
        name = self._chance.choice(list(INVALID))
        (self._folder / name).write_text(self._chance.choice(INVALID[name]))

    def note(self, asked_at: int, done_at: int) -> None:
        """Remember which sources were there until and from now."""
        there = {name: int(source["interval"]) for name, source in self.sources.items()}
        there.update(dict.fromkeys(self.sinks, 1))
        for name in {*self.lived, *there}:
            spans = self.lived.setdefault(name, [])
            interval = there.get(name, 0)
            before = spans[-1][0] if spans and spans[-1][2] == 0 else 0
            if before == interval:
                continue
            if before:
                spans[-1][2] = asked_at
            if interval:
                spans.append([interval, done_at, 0])


def _source(name: str, interval: int, meters: list[str]) -> Definition:
    resources = [f"{name}/{number}" for number in range(RESOURCES)]
    return {"name": name, "interval": interval, "meters": meters, "resources": resources}


def _sink(name: str, chance: int) -> Definition:
    """A sink that is another one with each number, which the file's publisher takes no notice of."""
    slow = ["slow:"] if name == "y0" else []
    return {"name": name, "publishers": [*slow, f"file:{name}.jsonl?{chance}"], "when_full": "hold"}


def reload(folder: Path, reloads: int, seed: int, pause: float = 0.4) -> dict[str, Any]:
    """Reload so often, then let it end; faults and figures."""
    chance = random.Random(seed)
    etc, state = configure(folder), folder / "state"
    configuration = Configuration(etc, chance)
    configuration.everything()
    configuration.write()
    victim = Victim(folder, etc, state)
    faults: list[str] = []
    took: list[float] = []
    try:
        victim.wait_for("journal committed", 20)
        _until_it_answers(state)
        configuration.note(0, _wall())
        invalid = 0
        for _ in range(reloads):
            if chance.random() < 0.25:
                invalid += 1
                configuration.spoil()
                faults += _refused(state)
                configuration.write()
            else:
                configuration.change()
                configuration.write()
                _reload(state, configuration, took, faults)
            if chance.random() < 0.1:
                victim.process.send_signal(signal.SIGHUP)  # of what is in use already
            time.sleep(pause * chance.random() * 2)
        configuration.everything()
        configuration.write()
        _reload(state, configuration, took, faults)
        time.sleep(2.5)
    finally:
        victim.interrupt()
    configuration.sources.clear()
    configuration.sinks.clear()
    configuration.note(_wall(), _wall())
    verdict = _judge(state, configuration, faults)
    return {**verdict, "reloads": reloads, "invalid": invalid, "slowest": max(took)}


def _wall() -> int:
    return time.time_ns() // 1000


def _until_it_answers(state: Path) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            with asked(state, "GET", "/status"):
                return
        except MeteragentError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _reload(state: Path, configuration: Configuration, took: list[float], faults: list[str]) -> None:
    began, asked_at = time.monotonic(), _wall()
    try:
        with asked(state, "POST", "/reload") as answer:
            changes = json.load(answer)["changes"]
    except MeteragentError as error:
        faults.append(f"a valid configuration is refused: {error}")
        return
    faults += [change for change in changes if "still" in change]
    took.append(time.monotonic() - began)
    configuration.note(asked_at, _wall())


def _refused(state: Path) -> list[str]:
    """What is wrong when an invalid configuration is offered: it must be refused, and nothing change."""
    before = _running(state)
    try:
        with asked(state, "POST", "/reload") as answer:
            return [f"an invalid configuration is accepted: {answer.read()!r}"]
    except MeteragentError:
        after = _running(state)
    return [] if before == after else [f"refused, and yet: {before} became {after}"]


def _running(state: Path) -> dict[str, list[str]]:
    with asked(state, "GET", "/status") as answer:
        status = msgspec.json.decode(answer.read())
    return {kind: sorted(each["name"] for each in status[kind]) for kind in ("polling_sources", "sinks")}


def _judge(state: Path, configuration: Configuration, faults: list[str]) -> dict[str, Any]:
    store = state / "samples.db"
    polls: dict[str, dict[int, list[str]]] = {}
    for source, tick, pollster in rows(store, "select polling_source, tick, pollster from poll"):
        polls.setdefault(source, {}).setdefault(tick, []).append(pollster)
    missed: dict[str, list[tuple[int, int]]] = {}
    for source, start, end in rows(store, 'select polling_source, start, "end" from missed'):
        missed.setdefault(source, []).append((start, end))
    ticks = 0
    for source in (*UNTOUCHED, *MOVING):
        for interval, since, until in configuration.lived[source]:
            found = _ticks(source, interval, since, until, polls.get(source, {}), missed.get(source, []))
            ticks += found[0]
            faults += found[1]
    for source, at in polls.items():
        faults += [
            f"{source} at {tick}: polled twice" for tick, each in at.items() if len(set(each)) < len(each)
        ]
    for name in UNTOUCHED:
        faults += [f"{name} was not polled at {start}" for start, _ in missed.get(name, [])]
    faults += _values(store) + unbalanced(state / "journal.db") + _files(state, configuration.lived)
    late = [
        (began - tick) / 1000
        for began, tick in rows(store, "select min(began), tick from poll where polling_source in (?, ?)"
                                " group by polling_source, tick", *UNTOUCHED)
    ]  # fmt: skip
    late.sort()
    samples = rows(store, "select count(*) from sample_view")[0][0]
    return {
        "faults": faults[:20], "ticks": ticks, "samples": samples,
        "late_ms": {"median": late[len(late) // 2], "p99": late[int(len(late) * 0.99)], "max": late[-1]},
    }  # fmt: skip


def _ticks(
    source: str, interval: int, since: int, until: int, polled: dict[int, list[str]],
    missed: list[tuple[int, int]],
) -> tuple[int, list[str]]:  # fmt: skip
    """How many instants of the grid lie well within a span, and those that are not told of exactly once."""
    step, faults, count = interval * SECOND, [], 0
    shift = offset(source, HOST, interval)
    first = since + 3 * step // 2
    for instant in range(first + (shift - first) % step, until - step // 2, step):
        told = (instant in polled) + sum(start <= instant < end for start, end in missed)
        count += 1
        if told != 1:
            faults.append(f"{source} every {interval} s at {instant}: told of {told} times")
    return count, faults


def _values(store: Path) -> list[str]:
    """Each sample has the value of its tick, resource and meter, and each complete poll all its samples."""
    faults, seen = [], Counter[tuple[int, str, str]]()
    for at, resource, meter, volume in rows(store, "select at, resource_id, meter, volume from sample_view"):
        source, number = resource.split("/")
        pollster, index = meter.split(".")
        if volume != at * 1000 + int(number) * 10 + int(index):
            faults.append(f"{resource} {meter} at {at}: volume {volume}")
        seen[at, source, pollster] += 1
    for source, tick, pollster, outcome in rows(
        store, "select polling_source, tick, pollster, outcome from poll"
    ):
        found = seen.pop((tick, source, pollster), 0)
        if outcome == "complete" and found != RESOURCES * METERS:
            faults.append(f"{source}/{pollster} at {tick}: {found} samples")
    return faults + [f"{source} at {at}: samples without a poll" for at, source, _ in seen]


def _files(state: Path, lived: dict[str, list[list[int]]]) -> list[str]:
    """Each file has each sample once that its sink has delivered, and all of when it was configured."""
    faults = []
    stored = {
        (iso(at), resource, meter): at
        for at, resource, meter in rows(
            state / "samples.db", "select at, resource_id, meter from sample_view"
        )
    }
    for sink, reason in rows(state / "journal.db", "select sink, reason from detached"):
        if reason != "not configured":
            faults.append(f"sink {sink} misses samples: {reason}")
    for name, delivered, pending in rows(
        state / "journal.db",
        "select name, delivered, (select value from account where name = 'journaled') - joined - delivered"
        " - detached from sink",
    ):
        if pending:
            faults.append(f"sink {name}: {pending} samples pending")
        if name in SINKS:
            lines = map(json.loads, (state / f"{name}.jsonl").read_text().splitlines())
            keys = Counter((line["timestamp"], line["resource_id"], line["name"]) for line in lines)
            if len(keys) != delivered or keys.total() != delivered:
                faults.append(
                    f"{name}.jsonl: {keys.total()} lines, {len(keys)} samples, {delivered} delivered"
                )
            for _, since, until in lived[name]:
                lost = [key for key, at in stored.items() if since < at < until - SECOND and key not in keys]
                faults += [f"{name}.jsonl lacks {len(lost)} samples, such as {lost[0]}"] if lost else []
    return faults


def main() -> None:
    """Print the verdict; exit 1 when there is a fault or an untouched source was late."""
    reloads = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory() as folder:
        verdict = reload(Path(folder), reloads, seed)
    print(json.dumps(verdict, indent=1))
    sys.exit(bool(verdict["faults"]) or verdict["late_ms"]["max"] > ALLOWED)


if __name__ == "__main__":
    main()
