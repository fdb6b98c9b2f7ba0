"""Makes the stand-ins of pollsters out of what the catalog found and the configuration grants."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from meteragent.errors import ConfigError, PluginError
from meteragent.plugins import option
from meteragent.plugins.bind import bind
from meteragent.plugins.catalog import POLLSTER, Found
from meteragent.plugins.choice import Choice
from meteragent.plugins.confined import crossing, frames, options
from meteragent.plugins.confined.ahead import AHEAD
from meteragent.plugins.confined.pollster import FAREWELL, StandIn, flat, raised
from meteragent.plugins.confined.process import Ended, Process, settle
from meteragent.plugins.confined.terms import Order
from meteragent.plugins.confined.wide import wide
from meteragent.plugins.contracts import CONTRACTS

LOG = logging.getLogger(__name__)


def stand_in(found: Found, conf: Any, host: str, state_dir: Path) -> StandIn:
    """The stand-in of a pollster, whose process is started to see what it yields.

    :raises PluginError: when it cannot be loaded, or not be confined
    :raises PluginUnavailable: as it says itself
    """
    told = order(found, conf, host, state_dir)
    made = StandIn(told, started=AHEAD.take(told))
    if made.unguarded:
        lacks = "; ".join(made.unguarded)
        LOG.warning("%s is confined, but for what this system lacks: %s", found.label, lacks)
    CONTRACTS[POLLSTER].check(made, ())
    return made


def ahead(
    found: Iterable[Found], conf: Any, host: str, state_dir: Path
) -> contextlib.AbstractContextManager[None]:
    """Start processes for these, which are about to be made one by one."""
    orders = []
    for each in found:
        with contextlib.suppress(PluginError):  # told as it is made
            orders.append(order(each, conf, host, state_dir))
    return AHEAD.start(orders)


def stand_in_for(found: Found, pollster: Any, conf: Any, host: str, state_dir: Path) -> StandIn:
    """The stand-in of a pollster that other polling sources use in the agent; started at the first call.

    :raises PluginError: when no plugin can be confined
    """
    try:
        names = sorted(bind(pollster.get_samples, crossing.CROSSES).names)
    except PluginError:  # which its process says, too, at the first call
        names = []
    hello = frames.Hello(
        getattr(pollster, "meters", None),
        getattr(pollster, "lacking", None) or {},
        getattr(pollster, "default_discovery", None),
        names,
    )
    return StandIn(order(found, conf, host, state_dir), hello)


def end(pollsters: Iterable[Any]) -> None:
    """Have the processes ended of those that are stand-ins; nobody waits for it."""
    for each in pollsters:
        if isinstance(each, StandIn):
            each.end()


def unguarded(conf: Any, host: str, state_dir: Path) -> list[str]:
    """What this machine lacks to confine plugins, found by confining none.

    :raises PluginError: when none can be
    """
    process = Process(order(Found(POLLSTER, "", "none", ":"), conf, host, state_dir)).load()
    try:
        first = process.receive(options.terms(conf).start_timeout)
    except (Ended, TimeoutError) as error:
        raise PluginError(str(error) or "its process does not start") from None
    finally:
        process.close()
        settle(FAREWELL)
    if isinstance(first, frames.End) and first.fault is not None:
        raise raised(first.fault)
    return [flat(each) for each in getattr(first, "lacking", ())]


def order(found: Found, conf: Any, host: str, state_dir: Path) -> Order:
    """What a plugin's process is started with.

    :raises PluginError: when it cannot be confined
    """
    if found.kind != POLLSTER:
        raise PluginError(f"a {found.kind} cannot run in a process of its own, only pollsters can")
    try:
        terms = options.terms(conf)
    except ConfigError as error:
        raise PluginError(str(error)) from None
    written = [os.path.expanduser(each) for each in (*(conf.config_dir or ()), *(conf.config_file or ()))]
    return Order(
        terms,
        tuple(path for path in sys.path if os.path.isabs(path)),
        tuple(os.path.abspath(path) for path in (state_dir, *written)),
        found.label,
        found.value,
        found.file,
        host,
        dict(option.values(conf, found)),
        dict(Choice.of(conf).forbidden) if found.file else {},
        found.version if found.file else "",
        wide(),
    )
