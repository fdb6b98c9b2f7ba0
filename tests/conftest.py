"""What all tests share: nothing but the plugins under test runs in the threads that calls are made in."""

import atexit
import gc
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from meteragent.cli.app import NAME
from tests.servers import brokers as brokers
from tests.servers import certificate as certificate
from tests.servers import harmed as harmed
from tests.servers import rabbitmq as rabbitmq
from tests.servers import redis_server as redis_server

# The gate asks the same examples of the same code each time; new ones are looked for with
# `tox -e explore`, whose finds are kept as @example.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("exploring", max_examples=1_000)
settings.load_profile("repeatable")

LONGEST = (
    "test_crash.py",
    "test_bus_crash.py",
    "storage/test_duckdb_contract.py",
    "storage/test_duckdb_powerloss.py",
    "storage/test_duckdb_statistics.py",
    "storage/test_duckdb_processes.py",
    "test_config_check.py",
    "test_running.py",
    "notifications/test_listener_faults.py",
    "notifications/test_listener.py",
    "cli/test_notification_tap.py",
    "test_plugin_guide.py",
)
"""Files that take longest, each as long as many others: begun first, they do not end alone at the last."""

# What a shell puts into the background ignores Ctrl-C, and so would each command that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The catalogue of plugins is kept for as long as the tests run, and away from the developer's own.
os.environ["CACHE_DIRECTORY"] = tempfile.mkdtemp(prefix="meteragent-cache-")
atexit.register(shutil.rmtree, os.environ["CACHE_DIRECTORY"], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest; the rest as collected."""
    here = Path(__file__).parent
    rank = {here / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


@pytest.fixture(autouse=True)
def no_callbacks_of_the_collector() -> Iterator[None]:
    """Hypothesis has one, which runs in any thread: what is thrown into a call there is lost and told."""
    callbacks = gc.callbacks[:]
    gc.callbacks.clear()
    yield
    gc.callbacks[:] = callbacks


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A command sets up logging for its process: its handler would write to what a test has closed."""
    yield
    root = logging.getLogger()
    for handler in [each for each in root.handlers if each.get_name() == NAME]:
        root.removeHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger(NAME).setLevel(logging.NOTSET)
