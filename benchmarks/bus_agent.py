"""A broker, an agent that listens to it and polls nothing, and what a plain SQL client sees of the agent."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bus_publisher import Destination, connect
from benchmarks.verdict import rows
from tests.servers import Certificate, RabbitMQ


class Roomy(RabbitMQ):
    """A broker that may take the memory which a million messages need."""

    def _configure(self, consumer_timeout: float, tls: Certificate | None) -> None:
        super()._configure(consumer_timeout, tls)
        file = self.folder / "rabbitmq.conf"
        file.write_text(file.read_text().replace("absolute = 256MB", "absolute = 4GB"))


@contextlib.contextmanager
def broker(consumer_timeout: float = 1800.0) -> Iterator[RabbitMQ]:
    """One that runs until the end of the block.

    :param consumer_timeout: seconds in which it wants to see an acknowledgement
    """
    server = Roomy(consumer_timeout)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def configure(
    folder: Path,
    url: str = "",
    notification: str = "",
    store: str = "sqlite:///samples.db",
    pipeline: str = "",
    more: str = "",
) -> Path:
    """Write the documents of an agent; returns the config folder.

    :param url: of the bus that it listens to, if any
    :param notification: further lines of that group
    :param pipeline: the pipeline document, where the default one does not do
    :param more: further groups
    """
    config = folder / "etc"
    config.mkdir(parents=True)
    (config / "polling.yaml").write_text("sources: []\n")
    if pipeline:
        (config / "pipeline.yaml").write_text(pipeline)
    listening = f"messaging_urls = {url}\n" if url else ""
    (config / "meteragent.conf").write_text(
        f"[DEFAULT]\nhost = {folder.name}\n[notification]\n{listening}{notification}\n"
        f"[storage]\nconnection = {store}\n{more}"
    )
    return config


def ready(destination: Destination) -> int:
    """Messages in a queue that no consumer has."""
    connection = connect(destination.url)
    try:
        return int(connection.channel().queue_declare(destination.queue, passive=True).message_count)
    finally:
        connection.close()


def recorded(store: Path) -> int:
    """Samples that were delivered so far; costs next to nothing, unlike a count of the rows."""
    try:
        return int(rows(store, "select coalesce(sum(delivered), 0) from batch")[0][0])
    except (sqlite3.OperationalError, FileNotFoundError):  # there is no store yet, or none of its tables
        return 0


def stored(store: Path) -> tuple[int, int]:
    """Rows of samples and of events."""
    try:
        return rows(store, "select (select count(*) from sample), (select count(*) from event)")[0]
    except (sqlite3.OperationalError, FileNotFoundError):
        return 0, 0
