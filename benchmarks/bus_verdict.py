"""Judges what agents kept of the notifications that a broker had; plain SQL, knows nothing of meteragent.

The number of a notification stands in the volume of its samples, and its message id in its event, so that
what is missing, doubled or made up can be named.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.bus_notifications import Kind, message_id, told
from benchmarks.verdict import rows, unbalanced

SHOWN = 5
"""Faults of one sort that are named; the others are counted."""


def judge(
    store: Path,
    states: Sequence[Path],
    kinds: Sequence[Kind],
    sent: int,
    confirmed: Collection[int],
    run: int = 1,
) -> dict[str, Any]:
    """Faults found, and figures; no fault means that each notification counts once and all lines balance.

    :param states: folders of the agents that share the store
    :param sent: how many may be in it
    :param confirmed: the numbers of those that must be
    """
    found = Counter(rows(store, "select volume, meter, resource_id from sample_view"))
    due = {sample for number in confirmed for sample in told(kinds, number)}
    allowed = {sample for number in range(sent) for sample in told(kinds, number)}
    faults = _named("sample missing", due - found.keys())
    faults += _named("sample that nobody sent", found.keys() - allowed)
    faults += _named("sample more than once", [each for each, count in found.items() if count > 1])
    events = Counter(message for (message,) in rows(store, "select message_id from event_view"))
    faults += _named("event missing", {message_id(run, each) for each in confirmed} - events.keys())
    faults += _named("event more than once", [each for each, count in events.items() if count > 1])
    lines: Counter[str] = Counter()
    for state in states:
        faults += [f"{state.name}: {fault}" for fault in unbalanced(state / "journal.db")]
        lines.update(account(state / "journal.db"))
    if lines["delivered"] != found.total():
        faults.append(f"{found.total()} samples stored, {lines['delivered']} told as delivered")
    for part in ("ignored", "quarantined", "discarded", "refused", "conflict"):
        if lines[part]:
            faults.append(f"{lines[part]} {part}")
    return {"faults": faults, "samples": found.total(), "events": events.total(), "messages": dict(lines)}


def account(journal: Path) -> dict[str, int]:
    """What became of the messages, and of the samples in the sink ``store``."""
    lines = dict(rows(journal, "select name, value from account"))
    found = {
        name.removeprefix("messages "): value for name, value in lines.items() if name[:9] == "messages "
    }
    for columns in rows(journal, "select delivered, duplicate, conflict from sink where name = 'store'"):
        found.update(zip(("delivered", "duplicate", "conflict"), columns, strict=True))
    return {**found, "refused": lines["refused"]}


def _named(sort: str, which: Collection[Any]) -> list[str]:
    more = [f"{sort}: {len(which) - SHOWN} more"] if len(which) > SHOWN else []
    return [f"{sort}: {each}" for each in islice(which, SHOWN)] + more
