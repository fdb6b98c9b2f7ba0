"""Settings with a folder of drop-ins, for tests of several modules."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from meteragent import config
from meteragent.agent import Agent
from meteragent.config import Settings
from meteragent.errors import NotFound
from meteragent.loaded import Pollsters
from meteragent.plugins.loader import Plugin
from meteragent.sample import Sample
from meteragent.storage.base import Query

STEEL = '''"""Steel."""


class Material:
    """How dense a material is."""

    def __init__(self, name, density):
        self.meters = (f"{name}.density",)
        self.density = density

    def get_samples(self):
        from meteragent.sample import Sample

        yield Sample(name=self.meters[0], type="gauge", unit="kg/m3", volume=self.density, resource_id="x")


steel = Material("steel", 7850)
PLUGINS = {"pollster:materials.steel": steel}
'''
GOOD = """
class Good:
    meters = ("good",)

    def get_samples(self):
        return []
"""


POLL_ALL = "sources: [{name: all, interval: 3600, meters: ['!host.*']}]"


@contextlib.contextmanager
def agent(
    folder: Path, files: Mapping[str, str], options: str = "", polling: str = POLL_ALL
) -> Iterator[Agent]:
    """An agent that runs with these drop-ins."""
    (folder / "polling.yaml").write_text(polling)
    told = settings(folder, options)
    for name, text in files.items():
        (folder / "dropins" / name).write_text(text)
    running = Agent(told)
    running.start()
    try:
        yield running
    finally:
        running.stop()


def reload(running: Agent, folder: Path) -> list[str]:
    """What a reload with the same files tells, without folders."""
    return [line.replace(f"{folder}/dropins/", "") for line in running.reload(read(folder))]


def stored(running: Agent, meter: str, number: int = 1) -> list[Sample]:
    """The samples of a meter in the store, once there are so many."""
    found: list[Sample] = []
    until = time.monotonic() + 15
    while len(found) < number:
        assert time.monotonic() < until, f"{len(found)} samples of {meter}: {running.status()}"
        time.sleep(0.02)
        with contextlib.suppress(NotFound):  # as long as nothing was stored
            reader = running.make_reader()
            try:
                found = reader.samples(Query(meter=meter), 1_000_000).samples
            finally:
                reader.close()
    return found


def read(folder: Path) -> Settings:
    """What the config file says."""
    return config.load([str(folder / "meteragent.conf")], state_dir=str(folder / "state"))


def settings(folder: Path, options: str = "") -> Settings:
    """With the folder ``dropins``, which is made, beside the config file."""
    (folder / "dropins").mkdir(exist_ok=True)
    (folder / "meteragent.conf").write_text(f"[plugins]\ndirectories = dropins\n{options}")
    return read(folder)


def dropins(used: Pollsters) -> dict[str, Plugin]:
    """The plugins of drop-ins, by label."""
    return {each.label: each for each in used.pollsters if each.distribution.endswith(".py")}
