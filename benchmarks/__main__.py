"""All measurements, one after the other: ``python -m benchmarks [NAME ...]``, some two hours."""

import subprocess
import sys

DUCKDB = {"speed": ("10000000", "duckdb"), "crash": ("200", "duckdb"), "full_disk": ("8", "duckdb", "15")}
"""What is measured once more with the analytic store, and how."""
NAMES = (
    "store",
    "queries",
    "speed",
    "large",
    "idle",
    "neighbours",
    "hostile",
    "confined",
    "listing",
    "middleware",
    "two_agents",
    "crash",
    "reload",
    "backup",
    "full_disk",
    "bus",
    "bus_crash",
    "bus_edges",
    "plugins",
)


def main() -> None:
    """Run those that are named, else all; exit 1 when one misses its goal."""
    names = sys.argv[1:] or NAMES
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        sys.exit(f"no benchmark is called {unknown[0]}; there are {', '.join(NAMES)}")
    missed = []
    for name in names:
        for arguments in [(), DUCKDB[name]] if name in DUCKDB else [()]:
            run = " ".join((name, *arguments))
            print(f"== {run}", flush=True)
            command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
            if subprocess.run(command, check=False).returncode:
                missed.append(run)
    sys.exit(f"missed: {', '.join(missed)}" if missed else 0)


if __name__ == "__main__":
    main()
