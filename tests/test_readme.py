"""The README is true: what it tells a new user to type works."""

import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.plugin_folder import command, environment

ROOT = Path(__file__).resolve().parent.parent


def test_the_tour_works_as_written(tmp_path: Path) -> None:
    """While `make run` goes on, each command ends well and prints something, in the order of the page."""
    for name in ("etc", "doc"):
        (tmp_path / name).symlink_to(ROOT / name)
    typed = re.findall(r"^    \$ (.+)$", (ROOT / "README.rst").read_text(), re.M)
    tour = [shlex.split(line) for line in typed if line.startswith("meteragent")]
    assert len(tour) >= 13
    run = command("run", "--config-dir", "etc/meteragent", "--state-dir", "state")
    with subprocess.Popen(run, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True) as agent:
        try:
            assert agent.stdout is not None
            assert agent.stdout.readline().startswith("meteragent polls ")
            time.sleep(1)
            for _, *arguments in tour:
                done = subprocess.run(
                    command(*arguments),
                    cwd=tmp_path,
                    env=environment(),
                    capture_output=True,
                    text=True,
                    timeout=30,
                )
                assert done.returncode == 0, (arguments, done.stdout, done.stderr)
                assert done.stdout or "gap" in arguments, arguments
        finally:
            agent.terminate()


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    """`make run` and `make test` exist, and run what the README says."""
    text = (ROOT / "Makefile").read_text()
    assert re.search(
        r"^run: .*\n\t@?exec \$\(BIN\)/meteragent run --config-dir etc/meteragent --state-dir state",
        text,
        re.M,
    )
    assert re.search(r"^test: .*\n\t\$\(BIN\)/pytest", text, re.M)


def test_the_module_runs_as_the_program() -> None:
    """``python -m meteragent`` is the same program as ``meteragent``."""
    done = subprocess.run(
        [sys.executable, "-m", "meteragent", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("meteragent ")
