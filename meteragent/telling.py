"""What a running agent says of itself; apart from running, which none of it changes."""

import shlex
from typing import TYPE_CHECKING, Any

from meteragent.config import Settings
from meteragent.journal.schema import COUNTS
from meteragent.journal.status import Status
from meteragent.plain import printable, without_password
from meteragent.plan import Plan
from meteragent.running import Running

if TYPE_CHECKING:
    from meteragent.notifications.listener import Listener


def greeting(plan: Plan, running: Running | None, *, new: bool) -> str:
    """What is metered, where it is kept, how to ask.

    :param new: whether the journal was just made
    """
    sources = [polling.source for polling in running.sources] if running else []
    meters = sorted(set().union(*(source.meters for source in sources)))
    example = shlex.quote(meters[0]) if meters else "METER"
    every = ", ".join(f"{source.name} every {source.interval} s" for source in sources) or "nothing"
    settings = plan.settings
    folder, store = settings.state_dir, shown_store(settings)
    journal = f"the journal in {folder}{', which is new,' if new else ''}"
    sinks = ", ".join(f"{sink.name} ({', '.join(sink.publishers)})" for sink in plan.sinks.values())
    lines = [f"meteragent polls {len(meters)} meters: {every}"]
    if plan.listening is not None:
        topics = ", ".join(plan.listening.bindings.topics)
        lines.append(f"listens to the topics {topics} of {', '.join(plan.listening.urls)}")
    lines += [
        f"sends them through {journal} to {without_password(sinks or 'no sink')}; store: is {store}",
        f"ask with: meteragent --state-dir {shlex.quote(str(folder))} meter list"
        f" | sample list -m {example} | gap list",
    ]
    return "\n".join(map(printable, lines))


def waiting(running: Running | None) -> list[str]:
    """What does not get on, and why."""
    if running is None:
        return []
    return [
        *(f"{sink.name} waits: {sink.trouble}" for sink in running.sinks if sink.trouble),
        *(f"{each.label} waits: {each.trouble}" for each in running.listeners if each.trouble),
        *(
            f"{each.source.name} waits: {each.ticker.waiting}"
            for each in running.sources
            if each.ticker.waiting
        ),
    ]


def running(running: Running | None) -> dict[str, Any]:
    """What runs, as JSON can say it."""
    return {
        "polling_sources": [
            {
                "name": each.source.name,
                "interval": each.source.interval,
                "last": each.ticker.schedule.last,
                "due": each.ticker.schedule.due,
                "waiting": each.ticker.waiting,
            }
            for each in (running.sources if running else ())
        ],
        "listeners": [_of_listener(each) for each in (running.listeners if running else ())],
        "sinks": [
            {"name": each.name, "mode": each.mode, "pending": each.pending, "trouble": each.trouble}
            for each in (running.sinks if running else ())
        ],
    }


def _of_listener(each: "Listener") -> dict[str, Any]:
    return {
        "name": each.label,
        "received": each.received,
        "pending": each.pending,
        "reconnects": each.reconnects,
        "trouble": each.trouble,
    }


def of_account(account: Status) -> list[str]:
    """The lines of the account, shortly."""
    lines = [f"read {account.read:,} = journaled {account.journaled:,} + refused {account.refused:,}"]
    if account.discarded:
        lines[0] += f" + discarded {account.discarded:,}"
    if account.messages.received:
        parts = " + ".join(f"{name} {count:,}" for name, count in account.messages.parts.items() if count)
        lines.append(f"messages received {account.messages.received:,} = {parts}")
    for sink in account.sinks:
        told = [f"{sink.delivered:,} delivered"]
        told += [f"{count:,} {name}" for name in (*COUNTS[1:], "pending") if (count := getattr(sink, name))]
        lines.append(f"{sink.name}: " + ", ".join(told))
    return lines


def shown_store(settings: Settings) -> str:
    """The URL of the store without a password in it."""
    return without_password(settings.conf.storage.connection)
