"""What the agent needs of a pollster."""

import re
import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from meteragent.clock import SECOND, Clock
from meteragent.plugins import catalog, loader
from meteragent.plugins.catalog import DISCOVERY
from meteragent.pollsters.caller import declared, names_state
from meteragent.pollsters.limits import Limits
from meteragent.sample import Sample
from meteragent.testing.fakes import ListDiscovery
from meteragent.testing.polls import Polled, Polls
from meteragent.testing.subject import HOST, Subject
from meteragent.testing.verdict import Breach, Check, Undecided, check

METER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_:-]*(\.[A-Za-z0-9_:-]+)*")
AT_ONCE = 2
MOST = 100_000
"""Samples of one poll; more is no end."""


def use(subject: Subject) -> None:
    """Poll once."""
    with _polls(subject, subject.make()) as polls:
        polls.poll()


@check("meters", "declare meters as a tuple of names")
def meters(subject: Subject) -> None:
    """Each once, of words with points between them, as patterns and other programs know them."""
    told = declared(subject.plugin())
    wrong = [name for name in told if not METER.fullmatch(name)]
    if wrong:
        raise Breach(
            f"no names for meters: {', '.join(map(repr, wrong))}", place=subject.place(),
            mend="use letters, digits and _, with points between words, as host.files.open",
        )  # fmt: skip
    twice = sorted({name for name in told if told.count(name) > 1})
    if twice:
        raise Breach(
            f"meters declared twice: {', '.join(twice)}", place=subject.place(), mend="name each once"
        )


@check("discovery", "name in default_discovery a discovery that is installed")
def discovery(subject: Subject) -> None:
    """The one that it names is installed."""
    named = getattr(subject.plugin(), "default_discovery", None)
    name = str(named or "").partition(":")[0]
    there = [each.name for each in catalog.find(DISCOVERY, subject.choice)]
    if named and name not in there:
        raise Breach(
            f"default_discovery {named!r} is not installed; installed: {', '.join(there)}",
            place=subject.place(), mend="name one of these, or bring it in the same package",
        )  # fmt: skip


@check("polls", "let get_samples raise nothing")
def polls(subject: Subject) -> None:
    """One poll is complete, within its time, and each sample is acceptable."""
    plugin = subject.plugin()
    with _polls(subject, plugin) as polls:
        _sound(subject, plugin, polls.poll())


@check("samples", "yield samples of the meters that are declared")
def samples(subject: Subject) -> None:
    """They are of declared meters, each series once, and one meter has one type and unit."""
    plugin = subject.plugin()
    told = declared(plugin)
    (polled,) = _polled(subject, plugin, 1)
    if not polled:
        raise Undecided(_NOTHING)
    place = subject.place(plugin.get_samples)
    strangers = sorted({each.name for each in polled if told and each.name not in told})
    if strangers:
        raise Breach(
            f"samples of meters that are not declared: {', '.join(strangers)}", place=place,
            mend="add the names to meters, else nobody can select them",
        )  # fmt: skip
    kinds = defaultdict(set)
    for each in polled:
        kinds[each.name].add((each.type, each.unit))
    mixed = [f"{name}: {sorted(told)}" for name, told in kinds.items() if len(told) > 1]
    if mixed:
        raise Breach(
            f"meters with several types or units: {'; '.join(mixed)}", place=place,
            mend="give one meter one type and one base unit; make another meter of the other",
        )  # fmt: skip


@check("stable resources", "give the same thing the same resource_id at each poll")
def stable(subject: Subject) -> None:
    """What is there at two polls has the same id, and its metadata do not change all the time."""
    plugin = subject.plugin()
    first, second = _polled(subject, plugin, 2)
    if not first or not second:
        raise Undecided(_NOTHING)
    place = subject.place(plugin.get_samples)
    before, after = ({each.resource_id for each in polled} for polled in (first, second))
    if not before & after:
        raise Breach(
            f"resource_id {min(before)!r} at one poll, {min(after)!r} at the next", place=place,
            mend="make it of what identifies the resource; no time, counter or random number in it",
        )  # fmt: skip
    metadata = [{each.resource_id: each.resource_metadata for each in polled} for polled in (first, second)]
    both = [each for each in before & after if metadata[0][each] and metadata[1][each]]
    if both and all(metadata[0][each] != metadata[1][each] for each in both):
        raise Breach(
            f"resource_metadata of {min(both)!r} are others at each poll", place=place,
            mend="put what changes into a meter: metadata are kept anew at each change",
        )  # fmt: skip


@check("counters", "yield a counter as it is")
def counters(subject: Subject) -> None:
    """A cumulative meter does not fall within two polls."""
    plugin = subject.plugin()
    first, second = _polled(subject, plugin, 2)
    before = {(each.name, each.resource_id): each.volume for each in first if each.type == "cumulative"}
    for each in second:
        volume = before.get((each.name, each.resource_id))
        if each.type == "cumulative" and volume is not None and each.volume < volume:
            raise Breach(
                f"cumulative {each.name} of {each.resource_id!r} fell from {volume} to {each.volume}",
                place=subject.place(plugin.get_samples),
                mend="make it a gauge when it is a level, a delta when it is what came since the last poll",
            )


@check("no resources", "yield nothing for an empty list of resources")
def nothing(subject: Subject) -> None:
    """An empty list of resources is no fault."""
    plugin = subject.plugin()
    with _polls(subject, plugin, resources=(), discovers=False) as polls:
        row = polls.poll().row
    if row.outcome != "complete":
        raise Breach(
            f"without resources the poll is {row.outcome}: {row.reason}",
            place=subject.place(plugin.get_samples), mend="go through resources with for",
        )  # fmt: skip


@check("state", "keep in state what JSON can say")
def state(subject: Subject) -> None:
    """What it keeps is JSON, and it goes on from it after a restart of the agent."""
    plugin = subject.plugin()
    if not names_state(plugin.get_samples):
        return
    with _polls(subject, plugin) as polls:
        for _ in range(2):
            row = polls.poll().row
            if "state" in row.reason:
                raise Breach(
                    row.reason, place=subject.place(plugin.get_samples),
                    mend="keep what JSON can say, with text keys, 64 KiB at most",
                )  # fmt: skip


@check("at once", "keep nothing in self that one call at a time may change")
def at_once(subject: Subject) -> None:
    """Calls may overlap, as those of two polling sources do."""
    plugin = subject.plugin()
    (alone,) = _polled(subject, plugin, 1)
    told: list[Polled] = []

    def poll() -> None:
        with _polls(subject, plugin) as polls:
            told.append(polls.poll())

    threads = [threading.Thread(target=poll, daemon=True) for _ in range(AT_ONCE)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(2 * subject.given.seconds)
    wrong = [each.row for each in told if each.row.outcome != "complete"]
    if wrong and alone:
        raise Breach(
            f"of {AT_ONCE} calls at once, one is {wrong[0].outcome}: {wrong[0].reason}",
            place=subject.place(plugin.get_samples),
            mend="keep nothing in self that a call changes; what has to last belongs into state",
        )  # fmt: skip


CHECKS: tuple[Check, ...] = (
    meters, discovery, polls, samples, stable, counters, nothing, state, at_once,
)  # fmt: skip
_NOTHING = "it yields no samples here: try it with resources"


def _polls(
    subject: Subject, plugin: Any, resources: Sequence[Any] | None = None, *, discovers: bool = True
) -> Polls:
    name = str(getattr(plugin, "default_discovery", None) or "").partition(":")[0]
    discoveries: dict[str, Any] = {name: ListDiscovery()}
    if discovers:
        found = [each for each in catalog.find(DISCOVERY, subject.choice) if each.name == name]
        loaded = loader.load(found, subject.values, subject.choice)
        discoveries = {each.name: each.object for each in loaded if each.state == "loaded"}
    return Polls(
        plugin,
        subject.given.resources if resources is None else resources,
        host=HOST,
        conf=subject.conf,
        discoveries=discoveries,
        limits=Limits(timeout=subject.given.seconds, max_samples=MOST),
        context=subject.context(plugin),
    )


def _polled(subject: Subject, plugin: Any, times: int) -> list[list[Sample]]:
    """The samples of so many polls, a tick apart.

    :raises Undecided: when one fails
    """
    tick = Clock().wall()
    found = []
    with _polls(subject, plugin) as polls:
        for number in range(times):
            polled = polls.poll(tick + number * SECOND)
            if polled.row.outcome != "complete":
                raise Undecided(f"the poll is {polled.row.outcome}: see polls")
            found.append(polled.samples)
    return found


def _sound(subject: Subject, plugin: Any, polled: Polled) -> None:
    """See that a poll was one as it should be."""
    row, place = polled.row, subject.place(plugin.get_samples)
    if row.outcome == "timed out":
        raise Breach(
            f"the poll took longer than {subject.given.seconds:g} s", place=place,
            mend="give each request a time-out, and yield what is there",
        )  # fmt: skip
    if row.samples >= MOST:
        raise Breach(
            f"the poll does not end within {MOST} samples", place=place,
            mend="yield one sample for each meter of each resource, and end",
        )  # fmt: skip
    if row.outcome != "complete":
        raise Breach(
            f"the poll is {row.outcome} after {row.samples} samples: {row.reason}", place=place,
            mend="yield nothing for a resource that is gone; raise PollsterPermanentError([resource]) for "
            "one that will never be",
        )  # fmt: skip
    if polled.refused:
        raise Breach(
            f"{len(polled.refused)} samples are not acceptable: {polled.refused[0].reason}", place=place,
            mend="let the sample have what is wanted; the whole list is in the plugin guide under Samples",
        )  # fmt: skip
