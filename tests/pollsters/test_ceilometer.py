"""Pollsters of a real ceilometer, which meter a virtual machine of libvirt's test driver.

They run in an environment of their own, where the agent is installed beside ceilometer.
"""

import contextlib
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.verdict import rows
from tests.servers import RabbitMQ, eventually, need

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv" / "ceilometer" / "bin"
"""Made by ``make .venv/ceilometer/installed``."""
NAME = "polled-by-ceilometer"
"""Exchange and topic; those of others on the same broker may be of another kind."""
NODE = Path(__file__).with_name("libvirt_node.xml")
SAME = (
    "select meter, type, unit, user_id, project_id, resource_id, metadata,"
    " case when meter like 'network.%' then null else volume end"
    " from sample join series on series.id = sample.series"
    " join attributes on attributes.id = sample.attributes where source = ?"
    " group by 1, 2, 3, 4, 5, 6, 7, 8 order by 1, 6"
)
"""What both agents must store; the test driver makes the counters of a network of the time of day."""


def documents(folder: Path, bus: str = "") -> Path:
    """The configuration of an agent that polls with ceilometer's compute pollsters; its folder."""
    config = folder / "etc"
    config.mkdir()
    (folder / "ceilometer.conf").write_text(
        f"[DEFAULT]\nlibvirt_uri = test://{NODE}\nhost = node1\nsample_source = ancestor\n"
        f"transport_url = {bus.replace('amqp:', 'rabbit:') or 'fake:'}\n"
        f"control_exchange = {NAME}\n[oslo_messaging_notifications]\ntopics = {NAME}\n"
        f"[polling]\ncfg_file = {config}/polling.yaml\n"
    )
    (config / "polling.yaml").write_text("sources:\n- {name: all, interval: 3, meters: ['*']}\n")
    (config / "meteragent.conf").write_text(
        "[DEFAULT]\nhost = node1\nsample_source = ours\n[polling]\nnamespaces =\n"
        "extra_namespaces = ceilometer.poll.compute\n"
        f"extra_config_files = {folder}/ceilometer.conf\n"
        f"[notification]\nmessaging_urls = {bus}\nexchanges = {NAME}\ntopics = {NAME}\n"
    )
    return config


@contextlib.contextmanager
def running(folder: Path, name: str, *command: str | Path) -> Iterator[None]:
    """A process that is ended with the block; what it says is in a file of its name."""
    need(command[0])
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def test_they_give_the_samples_that_they_give_under_their_own_agent(
    tmp_path: Path, rabbitmq: RabbitMQ
) -> None:
    """Ceilometer's polling agent sends its samples over the bus to the agent that polls the same itself."""
    config, store = documents(tmp_path, rabbitmq.url()), tmp_path / "state" / "samples.db"
    agent: list[str | Path] = [
        BIN / "python",
        "-W",
        "ignore",
        "-m",
        "meteragent",
        "run",
        "--config-dir",
        config,
    ]
    ancestor: list[str | Path] = [BIN / "ceilometer-polling", "--config-file", tmp_path / "ceilometer.conf"]

    def found(source: str) -> list[tuple[Any, ...]]:
        with contextlib.suppress(FileNotFoundError, sqlite3.OperationalError):  # its tables are not there yet
            return rows(store, SAME, source)
        return []

    with (
        running(tmp_path, "agent", *agent, "--state-dir", store.parent),
        running(tmp_path, "ancestor", *ancestor, "--polling-namespaces", "compute"),
    ):
        eventually(lambda: found("ours") and found("ours") == found("ancestor"), 60)
    assert found("ours") == found("ancestor")
    meters = {meter for meter, *_ in found("ours")}
    assert {"cpu", "power.state", "disk.root.size", "network.incoming.bytes"} <= meters
    assert len(meters) >= 15


def test_files_of_options_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    """One that is not there, and one whose value is wrong."""
    config = documents(tmp_path)
    told = tmp_path / "ceilometer.conf"
    told.write_text("[compute]\ninstance_discovery_method = guess\n")
    assert "instance_discovery_method" in refused(config)
    told.unlink()
    assert f"{told}: there is no such file" in refused(config)


def refused(config: Path) -> str:
    """The one line in which a poll is refused."""
    need(BIN / "python")
    done = subprocess.run(
        [BIN / "python", "-W", "ignore", "-m", "meteragent", "poll", "--config-dir", config],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "[polling] extra_config_files: " in line
    return line
