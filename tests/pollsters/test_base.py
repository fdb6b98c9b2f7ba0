"""What all built-in pollsters of the host have in common: contract, documentation, names."""

import configparser
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from meteragent.errors import PluginUnavailable
from meteragent.pollsters.base import Pollster
from meteragent.pollsters.definition import DEFAULT, parse
from meteragent.sample import Sample, accepted

ROOT = Path(__file__).parents[2]
UNITS = {
    "B", "s", "J", "W", "Cel", "%", "rpm",
    "connection", "cpu", "error", "inode", "interrupt", "packet", "process", "request", "segment", "session",
    "socket", "switch", "thread",
}  # fmt: skip


def built_in() -> dict[str, Any]:
    """The classes that setup.cfg declares for the host, by name."""
    setup = configparser.ConfigParser(delimiters=("=",))
    setup.read(ROOT / "setup.cfg")
    lines = setup["options.entry_points"]["meteragent.poll.host"].strip().splitlines()
    found = {}
    for line in lines:
        name, _, place = (part.strip() for part in line.partition("="))
        module, _, attribute = place.partition(":")
        found[name] = getattr(import_module(module), attribute)
    return found


def documented() -> dict[str, tuple[str, str, str]]:
    """Type, unit and resource of each meter in the table of doc/meters.rst."""
    row = re.compile(
        r"^   \* - ``(host\.[a-z0-9.]+)``\n     - (\w+)\n     - (\S+)\n     - ``(\S+)``\n     - \S",
        re.MULTILINE,
    )
    rows = row.findall((ROOT / "doc" / "meters.rst").read_text(encoding="utf-8"))
    found = {name: (kind, unit, resource) for name, kind, unit, resource in rows}
    assert len(found) == len(rows), "a meter is documented twice"
    return found


def read_here(pollster: type[Any]) -> list[Sample]:
    """The samples of this machine; none where the pollster disables itself."""
    try:
        return list(pollster(host="web1").get_samples(["web1"]))
    except PluginUnavailable:
        return []


def test_each_meter_is_documented() -> None:
    """The table lists exactly the meters of the built-in pollsters, and no two share a name."""
    declared = [meter for pollster in built_in().values() for meter in pollster.meters]

    assert sorted(declared) == sorted(documented())


@pytest.mark.parametrize("name", built_in())
def test_keeps_the_contract(name: str) -> None:
    """Each derives from the base class, names its meters without being made, and finds its host itself."""
    pollster = built_in()[name]

    assert issubclass(pollster, Pollster)
    assert pollster.default_discovery == "local_host"
    assert all(re.fullmatch(r"host(\.[a-z0-9]+)+", meter) for meter in pollster.meters)


@pytest.mark.parametrize("name", built_in())
def test_reads_this_machine_as_documented(name: str) -> None:
    """Here and now each sample has the documented type, unit and form of resource, and is accepted."""
    table, samples = documented(), read_here(built_in()[name])

    for sample in samples:
        kind, unit, resource = table[sample.name]
        form = re.sub("<(mountpoint|path)>", "/.*", re.escape(resource).replace("<host>", "web1"))
        assert (sample.type, sample.unit) == (kind, unit)
        assert re.fullmatch(re.sub(r"<\w+>", "[^/]+", form), sample.resource_id)
        assert sample.unit in UNITS
        assert sample.volume >= 0
        accepted(sample, 1, "test")
    pairs = [(sample.name, sample.resource_id) for sample in samples]
    assert len(set(pairs)) == len(pairs), "two samples of one series in a poll"


def test_this_machine_has_many_meters() -> None:
    """Any Linux machine gives at least 60 meters without being told which, disks or not."""
    ((source,), _) = parse(DEFAULT, "polling.yaml")
    names = {sample.name for pollster in built_in().values() for sample in read_here(pollster)}

    assert len([name for name in names if source.supports(name)]) >= 60


def test_what_costs_much_is_polled_on_request_only() -> None:
    """Pollsters whose cost grows with the machine are left out of the built-in polling."""
    ((source,), _) = parse(DEFAULT, "polling.yaml")
    asked = {name for name, each in built_in().items() if any(map(source.supports, each.meters))}

    assert set(built_in()) - asked == {"cgroup", "cpu_each", "process"}


def test_the_shipped_polling_is_the_built_in_one() -> None:
    """Whether polling.yaml is there or not, the same is polled."""
    ((built, *_), _) = parse(DEFAULT, "polling.yaml")
    ((shipped, *_), _) = parse((ROOT / "etc/meteragent/polling.yaml").read_text(), "polling.yaml")
    meters = [meter for each in built_in().values() for meter in each.meters]

    assert built.interval == shipped.interval
    assert list(map(built.supports, meters)) == list(map(shipped.supports, meters))
