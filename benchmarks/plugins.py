"""What installed plugins cost that nobody uses: 500 beside 5, of which the same 5 are enabled.

    python -m benchmarks.plugins [MANY [RUNS]]

Each is a distribution of its own, with a pollster that writes a line to a file when it is imported. Timed are
`meteragent plugin list` and the start of an agent, from its call to its greeting: cold, without a catalogue
that was kept, and warm; with few and with many plugins in turns, the median of each.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.plugin_folder import command, environment, install

FEW = 5
LISTING, START = 0.2, 0.3
"""Seconds that many plugins may cost a listing, and the start of an agent."""
SETTLING = 2.5
"""Seconds until what was installed can be relied on by its times."""

PLUGIN = '''
"""A plugin of the benchmark."""
import os

from meteragent.sample import Sample

with open(os.environ["IMPORTED"], "a") as imported:
    imported.write(__name__ + "\\n")


class Pollster:
    """Tells the number {number}."""

    meters = ("bench.{number}",)

    def get_samples(self):
        yield Sample(name="bench.{number}", type="gauge", unit="1", volume={number}, resource_id="bench")
'''


class Installed:
    """A folder with so many plugins, and an agent that uses the first few of them."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder, self._plugins, self._imported = folder, folder / "plugins", folder / "imported"
        for number in range(count):
            name, source = f"bench_{number}", PLUGIN.replace("{number}", str(number))
            install(self._plugins, name, source, {"meteragent.poll.bench": {f"p{number}": "Pollster"}})
        config = folder / "etc"
        config.mkdir()
        enabled = [f"pollster:bench.p{number}" for number in range(FEW)]
        kinds = ("discovery", "publisher", "storage", "notification", "trait")
        (config / "meteragent.conf").write_text(
            "[polling]\nnamespaces = bench\n[plugins]\nenable = "
            + ", ".join([*enabled, *(f"{kind}:*" for kind in kinds)])
            + "\n"
        )
        self._where = ("--config-dir", str(config), "--state-dir", str(folder / "state"))
        self._env = environment(
            self._plugins, IMPORTED=str(self._imported), CACHE_DIRECTORY=str(folder / "cache")
        )

    def forget(self) -> None:
        """Remove the catalogue that was kept."""
        (self._folder / "cache" / "plugins.msgpack").unlink(missing_ok=True)

    def imported(self) -> set[str]:
        """The plugins that were imported since this was asked last."""
        found = set(self._imported.read_text().split()) if self._imported.exists() else set()
        self._imported.unlink(missing_ok=True)
        return found

    def listed(self) -> tuple[float, int]:
        """Seconds that a listing takes, and how many plugins of ours it names."""
        began = time.monotonic()
        done = subprocess.run(
            command("plugin", "list", "-f", "value", "-c", "name", *self._where),
            env=self._env, check=True, capture_output=True, text=True,
        )  # fmt: skip
        taken = time.monotonic() - began
        return taken, sum(line.startswith("bench.") for line in done.stdout.splitlines())

    def started(self) -> float:
        """Seconds from the call of an agent to its greeting."""
        began = time.monotonic()
        with subprocess.Popen(
            command("run", *self._where), env=self._env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as agent:
            assert agent.stdout is not None
            agent.stdout.readline()
            taken = time.monotonic() - began
            agent.terminate()
        if agent.returncode:
            raise RuntimeError(f"the agent ended with {agent.returncode}")
        return taken


def cost(
    few: Installed, many: Installed, timed: Callable[[Installed], float], runs: int
) -> tuple[float, float]:
    """Medians of the seconds with few plugins and with many, taken in turns."""
    pairs = [(timed(few), timed(many)) for _ in range(runs)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def told(name: str, seconds: tuple[float, float]) -> float:
    """Print what something takes; how much longer with many."""
    few, many = seconds
    print(f"{name:<24} few {few:.3f} s, many {many:.3f} s: {many - few:+.3f} s", flush=True)
    return many - few


def run(folder: Path, count: int, runs: int) -> dict[str, float]:
    """Seconds that many plugins cost, by what they cost them.

    :raises RuntimeError: when one is imported that should not be, or is not listed
    """
    os.environ.pop("XDG_CACHE_HOME", None)
    both = []
    for number in (FEW, count):
        (folder / str(number)).mkdir()
        both.append(Installed(folder / str(number), number))
    few, many = both
    time.sleep(SETTLING)

    def cold(timed: Callable[[Installed], float]) -> Callable[[Installed], float]:
        def forgotten(each: Installed) -> float:
            each.forget()
            return timed(each)

        return forgotten

    def listed(each: Installed) -> float:
        return each.listed()[0]

    costs = {"listing, cold": told("plugin list, cold", cost(few, many, cold(listed), runs))}
    costs["listing"] = told("plugin list, warm", cost(few, many, listed, runs))
    if many.imported() or many.listed()[1] != count:
        raise RuntimeError("a listing imports plugins, or does not name them all")
    costs["start, cold"] = told("start of an agent, cold", cost(few, many, cold(Installed.started), runs))
    costs["start"] = told("start of an agent, warm", cost(few, many, Installed.started, runs))
    imported = many.imported()
    if imported != {f"bench_{number}" for number in range(FEW)}:
        raise RuntimeError(f"an agent imports not just those that are enabled: {sorted(imported)}")
    return costs


def main() -> None:
    """Print the figures; exit 1 when a goal is missed."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    with tempfile.TemporaryDirectory() as name:
        costs = run(Path(name), count, runs)
    sys.exit(costs["listing"] > LISTING or costs["start"] > START)


if __name__ == "__main__":
    main()
