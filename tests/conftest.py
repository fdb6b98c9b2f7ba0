"""What all tests share: nothing but the plugins under test runs in the threads that calls are made in."""

import gc
import logging
from collections.abc import Iterator

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
