"""Runs every check, each on its own: one that fails or hangs is a finding and holds up no other."""

import logging
import threading
from collections.abc import Iterator

from meteragent.doctor import buses, confinement, machine, metering, state
from meteragent.doctor.finding import Check, Finding, Installation
from meteragent.errors import MeteragentError
from meteragent.plain import reason_of
from meteragent.progress import Tell, untold

LOG = logging.getLogger(__name__)

CHECKS: tuple[tuple[str, Check], ...] = (
    ("python", machine.python),
    ("sqlite", machine.sqlite),
    ("clock", machine.clock),
    ("limits", machine.limits),
    ("disk", machine.disk),
    ("configuration", metering.configuration),
    ("plugins", metering.plugins),
    ("confinement", confinement.confinement),
    ("state folder", state.folder),
    ("agent", state.agent),
    ("journal", state.journal),
    ("ticks", state.ticks),
    ("sinks", state.sinks),
    ("quarantine", state.quarantine),
    ("store", metering.store),
    ("polling", metering.sources),
    ("buses", buses.buses),
)
"""Every check by its name, in the order in which they are shown."""
PATIENCE = 20.0
"""Seconds that a check may take."""


def examine(
    installation: Installation,
    checks: tuple[tuple[str, Check], ...] = CHECKS,
    patience: float = PATIENCE,
    tell: Tell = untold,
) -> Iterator[tuple[str, Finding]]:
    """The findings of every check, behind its name.

    :param patience: seconds that one of them may take
    :param tell: is told of checks
    """
    for number, (name, check) in enumerate(checks):
        tell(f"checking: {name}", number, len(checks))
        found: list[Finding] = []
        thread = threading.Thread(target=_run, args=(check, installation, found), name=name, daemon=True)
        thread.start()
        thread.join(patience)
        seen = [*found]
        if thread.is_alive():
            seen.append(
                Finding(
                    "fault", f"not finished after {patience:g} s", "see what it waits for: disk or network"
                )
            )
        yield from ((name, finding) for finding in seen)


def _run(check: Check, installation: Installation, found: list[Finding]) -> None:
    """Add what a check finds."""
    try:
        found.extend(check(installation))
    except MeteragentError as error:
        found.append(Finding("fault", str(error), "mend what it names, and ask again"))
    except OSError as error:
        told = reason_of(error)
        told = f"{error.filename}: {told}" if error.filename else told
        found.append(Finding("fault", told, "see to its owner and permissions, or ask as the agent's user"))
    except Exception as error:  # boundary: a check of a broken installation may meet anything
        LOG.debug("the check failed", exc_info=True)
        told = f"the check itself failed: {type(error).__name__}: {error}"
        found.append(Finding("fault", told, "meteragent doctor --debug shows where; report it"))
