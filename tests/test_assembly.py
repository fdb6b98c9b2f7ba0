"""What is made out of the configuration, and what is said of it when it fits nothing."""

import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.plugin_folder import install
from meteragent.agent import Agent
from meteragent.assembly import (
    make_driver,
    make_targets,
    plan_sinks,
    polling_sources,
    warn_of_source,
)
from meteragent.batch import Batch, Missed
from meteragent.clock import Clock
from meteragent.config import Settings, load
from meteragent.errors import ConfigError
from meteragent.loaded import Pollsters
from meteragent.telling import shown_store

ROOT = Path(__file__).resolve().parent.parent
Configured = Callable[..., Settings]


@pytest.fixture
def configured(tmp_path: Path) -> Configured:
    """Settings out of these texts."""

    def write(polling: str = "sources: []", pipeline: str | None = None, options: str = "") -> Settings:
        (tmp_path / "polling.yaml").write_text(polling)
        if pipeline is not None:
            (tmp_path / "pipeline.yaml").write_text(pipeline)
        (tmp_path / "meteragent.conf").write_text(options)
        return load([], [str(tmp_path)], str(tmp_path / "state"))

    return write


def journal(batch: Batch, refused: object, read: int) -> Batch:
    """Takes everything."""
    del refused, read
    return batch


def miss(missed: Missed) -> None:
    """Takes a missed run."""
    del missed


def said(settings: Settings, caplog: pytest.LogCaptureFixture) -> str:
    """What is warned of while everything is made."""
    with caplog.at_level(logging.WARNING, "meteragent"):
        plugins = Pollsters(settings)
        for definition in polling_sources(settings):
            warn_of_source(plugins, definition)
        plan_sinks(settings, plugins)
    return caplog.text


def test_patterns_that_fit_nothing_are_named(
    configured: Configured, caplog: pytest.LogCaptureFixture
) -> None:
    """A slip in polling.yaml, in pipeline.yaml, in the namespaces and in what is disabled."""
    settings = configured(
        "sources: [{name: a, interval: 9, meters: ['host.laod.*', host.cpu.count]}]",
        "{sources: [{name: s, meters: ['host.mem'], sinks: [k]}], sinks: [{name: k, publishers: ['null:']}]}",
        "[polling]\nnamespaces = host,hots\n[plugins]\ndisable = publisher:fiel,pollster:host.cpx\n",
    )
    text = said(settings, caplog)
    for slip in ("host.laod.*", "host.mem", "hots", "publisher:fiel", "pollster:host.cpx"):
        assert text.count(repr(slip)) == 1, (slip, text)


def test_what_fits_is_not_warned_of(configured: Configured, caplog: pytest.LogCaptureFixture) -> None:
    """Names, wildcards, exclusions and disabled plugins that are there."""
    settings = configured(
        "sources: [{name: a, interval: 9, meters: ['host.load.*', host.cpu.count]},"
        " {name: b, interval: 8, meters: ['!host.cpu.*']}]",
        "{sources: [{name: s, meters: ['*'], sinks: [k]}], sinks: [{name: k, publishers: ['null:']}]}",
        "[plugins]\ndisable = publisher:file\n",
    )
    assert said(settings, caplog) == ""


def test_the_examples_in_the_shipped_files_fit(
    configured: Configured, caplog: pytest.LogCaptureFixture
) -> None:
    """With the # of the examples taken away, both files are good and every pattern fits something."""
    folder = ROOT / "etc" / "meteragent"
    polling = re.sub(r"^  # (- |  )", r"  \1", (folder / "polling.yaml").read_text(), flags=re.M)
    pipeline = re.sub(r"^#(  - |    \w)", r"\1", (folder / "pipeline.yaml").read_text(), flags=re.M)
    assert "- name: capacity" in re.sub("#.*", "", polling)
    settings = configured(polling, pipeline)
    assert said(settings, caplog) == ""
    assert {sink.name for sink in plan_sinks(settings)} == {"store", "disk_file"}


@pytest.mark.parametrize("url", ["postgresql://u:p[@h/d", "mysql:rest", "sqlite://[x"])
def test_a_store_that_cannot_be_used_is_refused_without_its_secret(configured: Configured, url: str) -> None:
    """One line, no traceback, no password."""
    settings = configured(options=f"[storage]\nconnection = {url}\n")
    with pytest.raises(ConfigError) as refused:
        Agent(settings).start()
    assert "p[" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///samples.db", "sqlite:///samples.db"),
        ("postgresql://me:se:cr@et@here/db", "postgresql://me:***@here/db"),
        ("postgresql://me@here/db", "postgresql://me@here/db"),
        ("postgresql://u:p[@h/d", "postgresql://u:***@h/d"),
    ],
)
def test_a_password_is_never_shown(configured: Configured, url: str, shown: str) -> None:
    """Whatever it is made of."""
    assert shown_store(configured(options=f"[storage]\nconnection = {url}\n")) == shown


@pytest.mark.parametrize(
    ("urls", "owner"),
    [
        ("'file:journal.db'", "the agent"),
        ("'file:../state/agent.lock'", "the agent"),
        ("'file://{}/state/journal.db-wal'", "the agent"),
        ("'file:samples.db'", "[storage] connection"),
        ("'file:a', 'file:./a'", "publisher 'file:a' of sink 'b'"),
    ],
)
def test_a_publisher_may_not_write_to_a_file_of_another(
    configured: Configured, tmp_path: Path, urls: str, owner: str
) -> None:
    """By whatever name: it would destroy the journal, the store, or lines of a neighbour."""
    settings = configured(
        pipeline="sources: [{name: a, meters: ['*'], sinks: [b]}]\n"
        f"sinks:\n- name: b\n  publishers: [{urls.format(tmp_path)}]\n"
    )
    with pytest.raises(ConfigError) as refused:
        Agent(settings).start()
    assert str(refused.value).startswith(f"{tmp_path}/pipeline.yaml:3: sink 'b': publisher 'file:")
    assert str(refused.value).endswith(f"which is a file of {owner}")


@pytest.mark.parametrize("url", ["file:a", "file:./a", "file:b"])
def test_two_sinks_may_not_write_to_one_file(configured: Configured, tmp_path: Path, url: str) -> None:
    """By one URL or two, and also through a link: its length is part of a sink's position."""
    settings = configured(
        pipeline="sources: [{name: a, meters: ['*'], sinks: [x, y]}]\n"
        f"sinks:\n- {{name: x, publishers: ['file:a']}}\n- {{name: y, publishers: ['{url}']}}\n"
    )
    (settings.make_state_dir() / "b").symlink_to("a")
    with pytest.raises(ConfigError) as refused:
        make_targets(settings, Clock(), plan_sinks(settings))
    assert str(refused.value).startswith(
        f"{tmp_path}/pipeline.yaml:4: sink 'y': publisher {url!r} would write"
    )
    assert str(refused.value).endswith("which is a file of publisher 'file:a' of sink 'x'")


def test_the_store_may_not_be_the_journal(configured: Configured) -> None:
    """Whichever of the two came first would be spoilt."""
    settings = configured(options="[storage]\nconnection = sqlite:///journal.db\n")
    with pytest.raises(ConfigError, match=r"\[storage\] connection would write to .*/journal\.db"):
        Agent(settings).start()


def test_what_a_sink_cannot_use_is_told_with_its_place(configured: Configured, tmp_path: Path) -> None:
    """File, line and sink, and no password."""
    settings = configured(
        pipeline="sources: [{name: a, meters: ['*'], sinks: [b]}]\n"
        "sinks:\n- name: b\n  publishers: ['kafka://u:secret@h']\n"
    )
    with pytest.raises(ConfigError) as refused:
        Agent(settings).start()
    assert str(refused.value).startswith(
        f"{tmp_path}/pipeline.yaml:3: sink 'b': publisher 'kafka' is not inst"
    )
    assert "secret" not in str(refused.value)


def test_a_missing_document_is_told_with_its_option(configured: Configured) -> None:
    """Whoever wrote the option need not guess which one it is."""
    settings = configured(options="[polling]\ncfg_file = /nowhere.yaml\n")
    with pytest.raises(ConfigError, match=r"^\[polling\] cfg_file = '/nowhere.yaml' is not there$"):
        Agent(settings).start()


NOTING = """
import os


class Noting:
    def publish(self, samples):
        pass

    def close(self):
        os.environ["METERAGENT_NOTED"] += "closed "
"""


def test_publishers_that_were_made_are_closed_when_another_one_is_refused(
    configured: Configured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each refused reload would leave some open; the publishers of its own sink, too."""
    install(tmp_path / "site", "noting", NOTING, {"meteragent.publisher": {"noting": "Noting"}})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("METERAGENT_NOTED", "")
    settings = configured(
        pipeline="sources: [{name: s, meters: ['*'], sinks: [a, b]}]\n"
        "sinks: [{name: a, publishers: ['noting:']}, {name: b, publishers: ['noting:x', 'file:journal.db']}]"
    )
    with pytest.raises(ConfigError, match=r"sink 'b': .* is a file of the agent"):
        make_targets(settings, Clock(), plan_sinks(settings))
    assert os.environ["METERAGENT_NOTED"] == "closed closed "


def test_a_store_whose_publisher_is_refused_is_let_go(configured: Configured) -> None:
    """DuckDB keeps a file open while anybody has it."""
    pytest.importorskip("duckdb")
    settings = configured(options="[storage]\nconnection = duckdb:///s.duckdb\n")
    settings.make_state_dir()
    driver = make_driver(settings, Clock())
    driver.expire(0)
    driver.close()
    settings.conf.set_override("disable", ["publisher:store"], "plugins")
    with pytest.raises(ConfigError, match="disabled by"):
        make_targets(settings, Clock(), plan_sinks(settings))
    beside = "import duckdb, sys; duckdb.connect(sys.argv[1]).close()"
    subprocess.run([sys.executable, "-c", beside, settings.state_dir / "s.duckdb"], check=True)
