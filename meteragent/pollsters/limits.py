"""How much and how long a poll may; apart, because the poller itself needs no configuration file."""

from typing import Any

import msgspec
from oslo_config import cfg

LONGEST_TIMEOUT = 86400
"""Seconds; much more than any poll needs, and little enough for every lock and queue to wait so long."""

OPTS = [
    cfg.IntOpt(
        "batch_size",
        default=20_000,
        min=1,
        max=1_000_000,
        help="Samples that are journaled in one transaction at most.",
    ),
    cfg.IntOpt(
        "batch_bytes",
        default=8 << 20,
        min=1 << 20,
        max=256 << 20,
        help="Bytes of resource metadata that are journaled in one transaction at most.",
    ),
    cfg.FloatOpt(
        "timeout",
        min=0.1,
        max=LONGEST_TIMEOUT,
        help="Seconds that a poll may take, counted from its tick; one that begins late has less, but half "
        "of it at least. A pollster that takes longer is abandoned: what it yielded is kept, the rest is a "
        "gap. Without it, the interval of the polling source less a twentieth, at most a day.",
    ),
    cfg.IntOpt(
        "max_samples",
        default=1_000_000,
        min=1,
        help="Samples that one pollster may yield at a tick. The rest is not asked for.",
    ),
    cfg.IntOpt(
        "max_abandoned",
        default=3,
        min=1,
        max=100,
        help="Abandoned calls of one pollster that may still be running. With as many it is disabled until "
        "one of them ends.",
    ),
]
"""Options of the group ``polling`` that bound a poll."""


class Limits(msgspec.Struct, frozen=True):
    """The bounds of a poll, as the options above explain them."""

    batch_size: int = 20_000
    batch_bytes: int = 8 << 20
    timeout: float | None = None
    """Seconds."""
    max_samples: int = 1_000_000
    max_abandoned: int = 3

    def seconds(self, interval: float) -> float:
        """How long a poll of a source of this interval may take."""
        return min(self.timeout if self.timeout is not None else interval * 0.95, LONGEST_TIMEOUT)


def limits(group: Any) -> Limits:
    """The limits that an option group says."""
    return Limits(**{name: getattr(group, name) for name in Limits.__struct_fields__})
