"""What the agent needs of a discovery."""

import time
from typing import Any

from meteragent.discovery.discoverer import Discovered, Discoverer
from meteragent.pollsters.ancestor import Manager
from meteragent.pollsters.caller import key_of
from meteragent.testing.subject import HOST, Subject
from meteragent.testing.verdict import Breach, Check, check


def use(subject: Subject) -> None:
    """Ask once."""
    _asked(subject, subject.make())


@check("discovers", "let discover raise nothing; yield nothing when nothing is there")
def discovers(subject: Subject) -> None:
    """It answers within its time, with resources or none."""
    plugin, began = subject.plugin(), time.monotonic()
    found = _asked(subject, plugin)
    if found.problems:
        raise Breach(
            "; ".join(found.problems), place=subject.place(plugin.discover),
            mend="yield nothing when nothing is there, and give each request a time-out",
        )  # fmt: skip
    seconds = time.monotonic() - began
    if seconds > subject.given.seconds:
        raise Breach(
            f"it took {seconds:.1f} s, longer than {subject.given.seconds:g} s",
            place=subject.place(plugin.discover), mend="give each request a time-out",
        )  # fmt: skip


@check("stable resources", "let each resource be a text, or have an id")
def stable(subject: Subject) -> None:
    """Each is told from the others, and is the same when it is asked again."""
    plugin = subject.plugin()
    first, second = ([key_of(each) for each in _asked(subject, plugin).resources] for _ in range(2))
    place = subject.place(plugin.discover)
    twice = sorted({each for each in first if first.count(each) > 1})
    if twice:
        raise Breach(
            f"yielded twice: {', '.join(twice[:3])!r:.200}", place=place, mend="yield each resource once"
        )
    if first and second and not {*first} & {*second}:
        raise Breach(
            f"resource {first[0]!r:.100} at one call, {second[0]!r:.100} at the next", place=place,
            mend="yield texts, or objects with an id: what str() says of others has an address in it",
        )  # fmt: skip


CHECKS: tuple[Check, ...] = (discovers, stable)


def _asked(subject: Subject, plugin: Any) -> Discovered:
    manager = Manager(subject.conf)
    name, context = subject.one.name, subject.context(plugin)
    asked = Discoverer({name: plugin}, host=HOST, manager=manager, contexts={name: context})
    manager.discoverer = asked
    try:
        url = name if subject.given.param is None else f"{name}:{subject.given.param}"
        return asked.discover([url], {}, subject.given.seconds)
    finally:
        asked.close()
