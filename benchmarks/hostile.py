"""How punctually a whole agent polls while hostile plugins do their worst in processes of their own.

    python -m benchmarks.hostile [SECONDS]

Ten good polling sources of 1 s stand beside plugins that compute for ever, fork, crash, forge and pry.
Printed is the start of the good callbacks minus their tick, and what is told of each hostile one.
"""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks.hostile_plugins import PLUGINS, REASONS
from benchmarks.plugin_folder import command, environment, install

GOOD = 10
ALLOWED = 50.0
"""Milliseconds after its tick that a callback may start, at the 99th percentile."""
CONFIG = """\
[polling]
namespaces = bench, hostile
max_samples = 2000
timeout = 2.0
[plugins]
isolate = pollster:hostile.*
[isolation]
user = nobody
memory = 64
start_timeout = 30
"""


class Ran(NamedTuple):
    """What became of a run."""

    late: list[float]
    """Milliseconds that good callbacks started after their ticks."""
    ticks: dict[str, int]
    """Complete polls of each good polling source."""
    states: dict[str, str]
    """By pollster what the list of plugins says."""
    log: str


def run(folder: Path, seconds: float) -> Ran:
    """Run an agent that long, with a folder of its own."""
    config, state = folder / "etc", folder / "state"
    config.mkdir()
    source = PLUGINS % {"folder": folder, "state": state, "config": config}
    names = {name.lower(): name for name in REASONS}
    groups = {
        "meteragent.poll.bench": {"good": "Good", "apart_good": "Good"},
        "meteragent.poll.hostile": names | {"confined_good": "Good"},
    }
    install(folder / "plugins", "hostile", source, groups)
    sources = [
        {"name": f"good{number}", "interval": 1, "meters": ["good"], "resources": [f"g{number}"]}
        for number in range(GOOD)
    ]
    sources += [
        {"name": "confined", "interval": 1, "meters": ["confined_good"]},
        {"name": "apart", "interval": 1, "meters": ["apart_good"], "isolation": "process"},
    ]
    sources += [{"name": name, "interval": 3, "meters": [name]} for name in names]
    (config / "meteragent.conf").write_text(CONFIG)
    (config / "polling.yaml").write_text(json.dumps({"sources": sources}))
    where = ("--config-dir", str(config), "--state-dir", str(state))
    env = environment(folder / "plugins")
    ran = subprocess.run(
        command("run", *where, "--stop-after", str(seconds)), env=env, check=True, capture_output=True
    )
    listed = subprocess.run(
        command("plugin", "list", *where, "-f", "json"), env=env, check=True, capture_output=True
    )
    states = {
        row["name"].rpartition(".")[2]: f"{row['state']}: {row['reason']}"
        for row in json.loads(listed.stdout)
    }
    return Ran(*_polls(state), states, ran.stderr.decode())


def _polls(state: Path) -> tuple[list[float], dict[str, int]]:
    store = sqlite3.connect(state / "samples.db")
    late = store.execute("select (began - tick) / 1e3 from poll where pollster = 'good' order by 1")
    starts = [row[0] for row in late]
    ticks = store.execute(
        "select pollster, count(*) from poll where pollster like '%good' and outcome = 'complete' group by 1"
    ).fetchall()
    store.close()
    return starts, dict(ticks)


def unnamed(states: dict[str, str]) -> dict[str, str]:
    """The hostile plugins of which something else is told than is to be."""
    told = {name: states.get(name.lower(), "") for name in REASONS}
    return {name: told[name] for name, reason in REASONS.items() if reason not in told[name]}


def main() -> None:
    """Print the figures; exit 1 when a goal is missed."""
    if os.getuid():
        sys.exit("only root can try all of it")
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        ran = run(Path(folder), seconds)
    late = ran.late
    p50, p99 = late[len(late) // 2], late[int(len(late) * 0.99)]
    print(f"{len(late)} ticks of good pollsters: p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {late[-1]:.1f} ms")
    for name in REASONS:
        print(f"  {name:<14} {ran.states.get(name.lower())}")
    missing = unnamed(ran.states)
    print(f"{len(missing)} not named as they should be: {', '.join(missing)}")
    sys.exit(p99 >= ALLOWED or bool(missing))


if __name__ == "__main__":
    main()
