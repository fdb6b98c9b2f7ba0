"""A real agent whose drop-ins and packages come, change and go while it polls: nothing is lost or doubled."""

import gc
import os
import random
import shutil
import sys
import types
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from meteragent.clock import SECOND
from meteragent.plugins import trace
from tests.plugins.dropped import agent, read, stored

RELOADS = int(os.environ.get("METERAGENT_PLUGIN_RELOADS", "25"))
LATE = 0.05
STEADY = '''\
"""Yields some samples a poll, in a source that no reload changes."""

from meteragent.sample import Sample


class Steady:
    meters = ("steady",)

    def get_samples(self):
        for number in range(500):
            yield Sample(name="steady", type="gauge", unit="1", volume=number, resource_id=str(number))
'''
CHANGING = '''\
"""Number {number} of its kind."""

from meteragent.sample import Sample


class Changing:
    meters = ("changing",)

    def get_samples(self, at):
        yield Sample(name="changing", type="gauge", unit="1", volume=at // 10**6, resource_id="{number}")
'''
POLLING = """\
sources:
  - {name: steady, interval: 1, meters: [steady]}
  - {name: changing, interval: 1, meters: [changing, packaged, other]}
"""


class Site:
    """Drop-ins and a package that change at random."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.dropins, self.site = folder / "dropins", folder / "site"
        self.site.mkdir()
        self._random, self._number = random.Random(seed), 0

    def change(self) -> None:
        """One more change."""
        self._number += 1
        self._random.choice([self._change, self._come, self._go, self._break, self._install, self._remove])()

    def _change(self) -> None:
        (self.dropins / "changing.py").write_text(CHANGING.format(number=self._number))

    def _come(self) -> None:
        text = CHANGING.format(number=self._number).replace("changing", "other").replace("Changing", "Other")
        (self.dropins / f"other{self._number % 3}.py").write_text(text)

    def _go(self) -> None:
        for file in self.dropins.glob("other*.py"):
            file.unlink()

    def _break(self) -> None:
        (self.dropins / "changing.py").write_text(CHANGING[: self._random.randrange(len(CHANGING))])

    def _install(self) -> None:
        self._remove()
        name = f"packaged{self._number}"
        info = self.site / f"packaged-{self._number}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: packaged\nVersion: {self._number}\n")
        (info / "entry_points.txt").write_text(f"[meteragent.poll.packaged]\npackaged = {name}:Changing\n")
        text = CHANGING.format(number=self._number).replace('"changing"', '"packaged"')
        (self.site / f"{name}.py").write_text(text)

    def _remove(self) -> None:
        for info in self.site.glob("*.dist-info"):
            shutil.rmtree(info)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A folder of drop-ins, and one to install to."""
    found = Site(tmp_path, int(os.environ.get("METERAGENT_PLUGIN_SEED", "5")))
    monkeypatch.syspath_prepend(str(found.site))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return found


def test_reloads_lose_nothing_double_nothing_and_delay_no_other(tmp_path: Path, site: Site) -> None:
    """The source that nothing changes is polled at each tick, in time, and all of it is stored once."""
    files = {"steady.py": STEADY, "changing.py": CHANGING}
    options = "[polling]\nnamespaces = host, packaged\n"
    with agent(tmp_path, files, options, POLLING) as running:
        stored(running, "steady", 500)
        steady = {each.label: each.object for each in running.plugins()}["pollster:dropin.steady"]
        for _ in range(RELOADS):
            site.change()
            running.reload(read(tmp_path))
        stored(running, "steady", 1000)

        plugins = {each.label: each for each in running.plugins()}
        assert plugins["pollster:dropin.steady"].object is steady
        found = stored(running, "steady")
        account = running.status()["account"]
        assert account.balanced
        (sink,) = account.sinks
        assert (sink.duplicate, sink.superseded, sink.conflict, account.refused) == (0, 0, 0, 0)
        reader = running.make_reader()
        late = [
            (each.began - each.tick) / SECOND for each in reader.polls() if each.polling_source == "steady"
        ]
        gaps = [each for each in reader.gaps(0, running._clock.wall()) if each.polling_source == "steady"]
        reader.close()
    assert gaps == []
    ticks = Counter(each.timestamp for each in found)
    del ticks[max(filter(None, ticks))]  # which may just have been recorded
    assert set(ticks.values()) == {500}
    assert median(late) <= LATE, sorted(late)


def test_former_modules_are_freed(tmp_path: Path) -> None:
    """However often a drop-in changes, its former contents take no room."""
    with agent(tmp_path, {"steady.py": STEADY, "changing.py": CHANGING}, "", POLLING) as running:
        for number in range(5):
            (tmp_path / "dropins" / "changing.py").write_text(CHANGING.format(number=number))
            running.reload(read(tmp_path))

        gc.collect()
        modules = [
            each.__name__
            for each in gc.get_objects()
            if isinstance(each, types.ModuleType) and each.__name__.startswith("dropin_changing")
        ]
        assert len(modules) == 1


STORE = """
from meteragent.storage.sqlite.driver import SQLiteDriver


class Mine(SQLiteDriver):
    written = {number}

    def __init__(self, url, state_dir, clock, read_only=False):
        super().__init__("sqlite:///m.sqlite", state_dir, read_only=read_only, clock=clock)


PLUGINS = {{"storage:mine": Mine}}
"""


def test_a_store_is_read_with_the_code_that_was_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its file holds meanwhile; a reload takes what it holds then."""
    options = "[storage]\nconnection = mine:\n"
    with agent(tmp_path, {"mine.py": STORE.format(number=1)}, options) as running:
        file, read_by = tmp_path / "dropins" / "mine.py", []
        monkeypatch.setattr(trace, "_began", 0.0)
        for text in (STORE.format(number=2), "def broken(:"):
            file.write_text(text)
            reader: Any = running.make_reader()
            read_by.append(reader.written)
            reader.close()
            assert "distributions" not in capsys.readouterr().err  # a question has nothing looked for
        file.write_text(STORE.format(number=3))
        running.reload(read(tmp_path))
        reader = running.make_reader()
        read_by.append(reader.written)
        reader.close()

    assert read_by == [1, 1, 3]
