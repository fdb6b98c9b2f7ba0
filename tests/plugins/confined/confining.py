"""Pollsters in processes of their own, for tests of the boundary."""

import os
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

from meteragent.plugins.confined.pollster import StandIn
from meteragent.plugins.confined.terms import Order, Terms

NOBODY = 65534
HEAD = "import os, sys, time\nfrom meteragent.sample import Sample\n"
SAMPLE = "Sample('m', 'gauge', '', 1, None, None, 'r')"


def order(folder: Path, source: str, hidden: tuple[str, ...] = (), **terms: Any) -> Order:
    """What the process of a pollster ``P`` is started with; its module is named after the folder."""
    place = folder / "plugins"
    place.mkdir(mode=0o755, exist_ok=True)
    name = f"plugin_{abs(hash((folder, source)))}"
    (place / f"{name}.py").write_text(HEAD + textwrap.dedent(source))
    user = {"uid": NOBODY, "gid": NOBODY} if os.geteuid() == 0 else {}
    paths = (str(place), *sys.path)
    return Order(Terms(**{**user, **terms}), paths, hidden, f"pollster:{name}.p", f"{name}:P", "", "web1", {})


def confined(folder: Path, source: str, **terms: Any) -> StandIn:
    """The stand-in of such a pollster, whose process is started."""
    return StandIn(order(folder, source, **terms))


def yielding(body: str, arguments: str = "") -> str:
    """Source of a pollster whose ``get_samples`` has this body."""
    told = f", {arguments}" if arguments else ""
    return f"class P:\n    def get_samples(self{told}):\n" + textwrap.indent(textwrap.dedent(body), " " * 8)


def processes(folder: Path) -> list[int]:
    """The processes of plugins in a folder, and all that they have started."""
    labels = [f"pollster:{file.stem}.p".encode() for file in (folder / "plugins").glob("*.py")]
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            text = Path(f"/proc/{name}/cmdline").read_bytes()
            state = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if any(label in text for label in labels) and state != "Z":
            found.append(int(name))
    return found


def gone(folder: Path, seconds: float = 5.0) -> bool:
    """Whether none of them is left, soon."""
    end = time.monotonic() + seconds
    while processes(folder) and time.monotonic() < end:
        time.sleep(0.01)
    return not processes(folder)
