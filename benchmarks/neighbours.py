"""How punctually a whole agent polls while bad pollsters do their worst beside the good ones.

    python -m benchmarks.neighbours [SECONDS]

Ten good polling sources of 1 s stand beside pollsters that compute, sleep and read for ever, so that
three loops of pure Python that cannot be ended are alive at once, and others that raise, exit, yield
garbage and yield for ever. Printed is the start of the good callbacks minus their tick.
"""

import json
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.plugin_folder import command, environment, install

GOOD = 10
ALLOWED = 50.0
"""Milliseconds after its tick that a callback may start, at the 99th percentile."""

PLUGINS = '''
import socket
import time

from meteragent.sample import Sample


def sample(number, **more):
    given = {"name": "m", "type": "gauge", "unit": "1", "volume": number, "resource_id": f"r{number}"}
    return Sample(**given | more)


class Good:
    def get_samples(self):
        for number in range(20):
            yield sample(number)


class Loops:
    """Computes for ever, whatever is thrown into it."""

    def get_samples(self):
        while True:
            try:
                while True:
                    pass
            except BaseException:
                continue
        yield


class Ends:
    """Computes for ever, and can be ended."""

    def get_samples(self):
        while True:
            pass


class Sleeps:
    def get_samples(self):
        time.sleep(1e6)


class Reads:
    def get_samples(self):
        ours, self.theirs = socket.socketpair()
        ours.recv(1)


class Raises:
    def get_samples(self):
        yield sample(1)
        raise ValueError("half-way")


class Exits:
    def get_samples(self):
        raise SystemExit(3)


class Interrupts:
    def get_samples(self):
        yield sample(1)
        raise KeyboardInterrupt


class Garbage:
    def get_samples(self):
        yield from (None, 1, "x", b"x", {}, [], (), object, self)
        yield from (sample(float("nan")), sample(2**70), sample(True))
        yield from (sample(1, type="odd"), sample(1, resource_id=None), sample(1, name=""), sample("x"))


class Endless:
    def get_samples(self):
        number = 0
        while True:
            number += 1
            yield sample(number)
'''
BAD = ("Loops", "Ends", "Sleeps", "Reads", "Raises", "Exits", "Interrupts", "Garbage", "Endless")


def run(folder: Path, seconds: float) -> tuple[list[float], dict[str, str]]:
    """Milliseconds that the good callbacks started after their ticks, and the state of each bad pollster."""
    names = {name.lower(): name for name in ("Good", *BAD)}
    install(folder / "plugins", "neighbours", PLUGINS, {"meteragent.poll.bench": names})
    sources = [
        {"name": f"good{number}", "interval": 1, "meters": ["good"], "resources": [f"g{number}"]}
        for number in range(GOOD)
    ]
    sources += [{"name": name, "interval": 2, "meters": [name]} for name in names if name != "good"]
    config, state = folder / "etc", folder / "state"
    config.mkdir()
    (config / "meteragent.conf").write_text(
        "[polling]\nnamespaces = bench\nmax_samples = 2000\ntimeout = 0.5\n"
    )
    (config / "polling.yaml").write_text(json.dumps({"sources": sources}))
    where = ("--config-dir", str(config), "--state-dir", str(state))
    env = environment(folder / "plugins")
    subprocess.run(
        command("run", *where, "--stop-after", str(seconds)), env=env, check=True, capture_output=True
    )
    store = sqlite3.connect(state / "samples.db")
    late = store.execute(
        "select (began - tick) / 1e3 from poll where pollster = 'good' order by 1"
    ).fetchall()
    store.close()
    listed = subprocess.run(
        command("plugin", "list", "--load", *where, "-f", "json"), env=env, check=True, capture_output=True
    )
    states = {
        row["name"].rpartition(".")[2]: f"{row['state']}: {row['reason']}"
        for row in json.loads(listed.stdout)
    }
    return [row[0] for row in late], {name: states.get(name, "") for name in names}


def main() -> None:
    """Print the figures; exit 1 when a goal is missed."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 110.0
    with tempfile.TemporaryDirectory() as folder:
        late, states = run(Path(folder), seconds)
    p50, p99 = late[len(late) // 2], late[int(len(late) * 0.99)]
    print(f"{len(late)} ticks of good pollsters: p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {late[-1]:.1f} ms")
    for name, state in states.items():
        print(f"  {name:<11} {state}")
    named = all(states[name.lower()] != "loaded: " for name in BAD)
    sys.exit(p99 >= ALLOWED or not named)


if __name__ == "__main__":
    main()
