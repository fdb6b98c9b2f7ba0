"""The pages about drop-ins and middleware are true: what stands in their blocks works in a real agent."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from benchmarks.plugin_folder import command, environment

DOC = Path(__file__).parent.parent / "doc"
LEDGER_POLLSTER = """
from meteragent.sample import Sample


class Debts:
    meters = ("ledger.tables",)

    def get_samples(self, ledger, host):
        (count,) = ledger.execute("select count(*) from sqlite_master").fetchone()
        yield Sample("ledger.tables", "gauge", "table", count, resource_id=host)
"""


def block(page: str, name: str) -> str:
    """The text of a code block of a page by its name."""
    pattern = rf"^\.\. code-block:: \w+\n    :name: {re.escape(name)}\n\n((?:    .*\n|\n)+)"
    found = re.search(pattern, (DOC / page).read_text(), re.M)
    assert found, f"doc/{page} has no block {name}"
    return re.sub(r"^    ", "", found[1], flags=re.M).strip() + "\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The configuration of an agent that has what the pages show as drop-ins, and polls nothing else."""
    (tmp_path / "dropins").mkdir(mode=0o700)
    for page, names in {
        "dropins.rst": ("materials.py", "quotes.py"),
        "middleware.rst": ("gently.py", "ledger.py"),
    }.items():
        for name in names:
            (tmp_path / "dropins" / name).write_text(block(page, name))
    (tmp_path / "dropins" / "debts.py").write_text(LEDGER_POLLSTER)
    (tmp_path / "polling.yaml").write_text("sources: [{name: all, interval: 60, meters: ['*']}]\n")
    (tmp_path / "meteragent.conf").write_text(
        "[DEFAULT]\nhost = web1\n[polling]\nnamespaces =\n[plugins]\ndirectories = dropins\n"
        "middleware = stopwatch, gently\n[pollster:dropin.quote]\nlongest = 20\n"
    )
    return tmp_path


def said(config: Path, *words: str) -> str:
    """What a command prints; it must succeed and complain about nothing."""
    state = config / "state"
    state.mkdir(mode=0o700, exist_ok=True)
    done = subprocess.run(
        command(*words, "--config-dir", config, "--state-dir", state),
        env=environment(), capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_what_the_pages_show_is_polled(config: Path) -> None:
    """Objects of one class, an option, an argument of a provider, with middleware around all calls."""
    rows = json.loads(said(config, "poll", "-f", "json"))
    assert {(row["name"], row["resource_id"]): row["volume"] for row in rows} == {
        ("material.yield_stress", "web1_steel"): 2.07e11 * 500,
        ("material.yield_stress", "web1_brass"): 1.03e11 * 500,
        ("quote.length", "web1"): 20,
        ("ledger.tables", "web1"): 0,
    }


def test_what_the_pages_show_is_listed_and_can_be_called(config: Path) -> None:
    """With what it is for, without being imported; and the command of the drop-in runs."""
    rows = json.loads(said(config, "plugin", "list", "-f", "json"))
    shown = {f"{row['kind']}:{row['name']}": row["description"] for row in rows}
    assert shown["pollster:materials.steel"] == "Meters the yield stress of a material."
    assert {"middleware:gently", "provider:ledger", "pollster:dropin.debts"} <= shown.keys()
    assert shown["pollster:dropin.quote"] == "Meters the quote of the day."
    assert said(config, "quote", "--shout") == "AN APPLE A DAY KEEPS THE DOCTOR AWAY\n"
