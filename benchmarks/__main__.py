"""All measurements, one after the other: ``python -m benchmarks [NAME ...]``, about forty minutes."""

import subprocess
import sys

NAMES = (
    "store",
    "queries",
    "speed",
    "idle",
    "neighbours",
    "two_agents",
    "crash",
    "reload",
    "backup",
    "full_disk",
)


def main() -> None:
    """Run those that are named, else all; exit 1 when one misses its goal."""
    names = sys.argv[1:] or NAMES
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        sys.exit(f"no benchmark is called {unknown[0]}; there are {', '.join(NAMES)}")
    missed = []
    for name in names:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode:
            missed.append(name)
    sys.exit(f"missed: {', '.join(missed)}" if missed else 0)


if __name__ == "__main__":
    main()
