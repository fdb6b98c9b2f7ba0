"""Finding plugins without touching them."""

import importlib.metadata
import sys
from pathlib import Path
from typing import Any

import pytest

from meteragent.plugins.catalog import DISCOVERY, POLLSTER, PUBLISHER, Found, find


def distribute(folder: Path, name: str, entry_points: str) -> None:
    """Make a folder look like an installed distribution."""
    info = folder / f"{name}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(entry_points)


def test_finds_our_own_without_importing_them() -> None:
    """The built-in pollsters are found with their distribution, and their modules stay unloaded."""
    loaded = {name for name in sys.modules if name.startswith("meteragent.pollsters.")}

    found = {each.name: each for each in find(POLLSTER, ["host"])}

    assert found["cpu"].value == "meteragent.pollsters.cpu:CPUPollster"
    assert found["cpu"].distribution == "meteragent"
    assert found["cpu"].version
    assert {name for name in sys.modules if name.startswith("meteragent.pollsters.")} == loaded


def test_finds_those_of_other_distributions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever distribution brings an entry point, it is found as soon as it is there."""
    distribute(tmp_path, "acme", "[meteragent.poll.gpu]\nfan = acme.fan:Fan\n")
    monkeypatch.syspath_prepend(tmp_path)

    assert find(POLLSTER, ["gpu", "gpu", "none"]) == [
        Found(POLLSTER, "meteragent.poll.gpu", "fan", "acme.fan:Fan", "acme", "1.2")
    ]


def test_takes_back_what_is_installed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution that changes its entry points right after it was looked at is seen as it is."""
    distribute(tmp_path, "acme", "[meteragent.poll.gpu]\nfan = acme.fan:Fan\n")
    monkeypatch.syspath_prepend(tmp_path)
    find(POLLSTER, ["gpu"])

    (tmp_path / "acme-1.2.dist-info" / "entry_points.txt").write_text(
        "[meteragent.poll.gpu]\nfan = acme.fan:Fan\ntemperature = acme.heat:Heat\n"
    )

    assert [each.name for each in find(POLLSTER, ["gpu"])] == ["fan", "temperature"]


@pytest.mark.parametrize("metadata", [b"", b"\xff\xfe\x00"])
def test_finds_those_whose_distribution_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadata: bytes
) -> None:
    """A distribution without a readable name brings its plugins all the same."""
    distribute(tmp_path, "acme", "[meteragent.poll.gpu]\nfan = acme.fan:Fan\n")
    (tmp_path / "acme-1.2.dist-info" / "METADATA").write_bytes(metadata)
    monkeypatch.syspath_prepend(tmp_path)

    assert find(POLLSTER, ["gpu"]) == [Found(POLLSTER, "meteragent.poll.gpu", "fan", "acme.fan:Fan")]


def test_what_is_installed_is_read_once_a_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes a file of each distribution."""
    read, groups = importlib.metadata.entry_points, []

    def counted(**group: Any) -> Any:
        groups.append(group)
        return read(**group)

    monkeypatch.setattr(importlib.metadata, "entry_points", counted)
    find(PUBLISHER)
    assert groups == [{"group": "meteragent.publisher"}]


def test_finds_the_other_kinds_in_groups_of_their_own() -> None:
    """Discoveries and publishers are found without a namespace."""
    assert {"local_host", "static"} <= {each.name for each in find(DISCOVERY)}
    assert {"store", "file", "null"} <= {each.name for each in find(PUBLISHER)}


def test_labels_tell_kind_namespace_and_name() -> None:
    """A label is what the config calls a plugin."""
    assert Found(POLLSTER, "meteragent.poll.host", "cpu", "").label == "pollster:host.cpu"
    assert Found(PUBLISHER, "meteragent.publisher", "file", "").label == "publisher:file"
