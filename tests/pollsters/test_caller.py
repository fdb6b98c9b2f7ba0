"""Which resources a pollster is called with."""

from collections.abc import Iterator
from typing import Any

import pytest

from meteragent.errors import PollsterPermanentError
from meteragent.pollsters.sharing import Sharing
from meteragent.sample import Sample
from meteragent.testing.fakes import CallPollster, ListDiscovery, ListPollster, sample
from tests.pollsters.polling import Polling


def test_resources_come_from_source_and_discovery() -> None:
    """Static resources and what discovery finds are given together, each once."""
    pollster = ListPollster(sample())
    polling = Polling(
        {"p": pollster},
        "meters: ['*']\nresources: [a, b]\ndiscovery: ['d:x']",
        discoveries={"d": ListDiscovery("b", "c"), "default": ListDiscovery("never")},
    )

    polling.poll()

    assert pollster.asked == [["a", "b", "c"]]
    assert polling.row("p").resources == 3


def test_the_default_discovery_helps_when_there_is_nothing_else() -> None:
    """A pollster's own discovery is asked when the source gives no resources."""
    pollster = ListPollster(sample(), discovery="default")
    discoveries = {"default": ListDiscovery("x"), "empty": ListDiscovery()}

    Polling({"p": pollster}, discoveries=discoveries).poll()
    Polling({"p": pollster}, "meters: ['*']\ndiscovery: [empty]", discoveries=discoveries).poll()
    Polling({"p": pollster}, "meters: ['*']\nresources: [r]", discoveries=discoveries).poll()

    assert pollster.asked == [["x"], ["x"], ["r"]]


def test_a_pollster_without_resources_is_not_called() -> None:
    """When discovery finds nothing, the row says so; one that nobody tells what to read is called."""
    found, alone = ListPollster(sample(), discovery="empty"), ListPollster(sample())
    polling = Polling({"found": found, "alone": alone}, discoveries={"empty": ListDiscovery()})

    polling.poll()

    assert (found.asked, alone.asked) == ([], [[]])
    assert polling.row("found").reason == "no resources found"
    assert polling.row("found").outcome == "complete"


def test_a_failing_discovery_stands_in_the_row() -> None:
    """With other resources the poll is partial, without any it has failed."""
    discoveries = {"broken": ListDiscovery(OSError("gone"))}
    some = Polling(
        {"p": ListPollster(sample())},
        "meters: ['*']\nresources: [r]\ndiscovery: [broken]",
        discoveries=discoveries,
    )
    none = Polling(
        {"p": ListPollster(sample())}, "meters: ['*']\ndiscovery: [broken]", discoveries=discoveries
    )

    some.poll()
    none.poll()

    assert (some.row("p").outcome, some.row("p").reason) == ("partial", "discovery 'broken': OSError: gone")
    assert none.row("p").outcome == "failed"
    assert none.row("p").reason == "NotFound: discovery 'broken': OSError: gone"


class Disk:
    """A resource as many libraries have it: equal text, different ids."""

    def __init__(self, id: str) -> None:
        self.id = id

    def __str__(self) -> str:
        return "<Disk>"


@pytest.mark.parametrize("kind", [str, Disk, lambda name: {"id": name}, lambda name: {"size": name}])
def test_resources_of_a_permanent_error_are_not_asked_for_again(kind: Any) -> None:
    """What a pollster gives up on is left out from then on, and stands in the row of that tick."""
    asked: list[int] = []

    def read(resources: list[Any]) -> Iterator[Sample]:
        asked.append(len(resources))
        yield sample()
        if len(resources) > 2:
            raise PollsterPermanentError(resources[:1])

    class Finds(ListDiscovery):
        def discover(self, param: str | None = None) -> Iterator[Any]:
            del param
            return map(kind, "abc")

    polling = Polling({"p": CallPollster(read)}, "meters: ['*']\ndiscovery: [d]", discoveries={"d": Finds()})
    polling.poll()
    row = polling.row("p")
    assert (row.outcome, len(row.failed), row.resources) == ("partial", 1, 3)
    assert row.reason == "PollsterPermanentError: gave up for good on 1 resources"

    polling.poll()
    assert asked == [3, 2]
    assert polling.row("p").reason == "1 resources were given up for good"
    assert polling.row("p").outcome == "complete"


def test_the_ancestors_permanent_error_is_one_too() -> None:
    """An exception of that name with a list of resources counts, whatever module it is of."""

    class PollsterPermanentError(Exception):
        fail_res_list = ("a", "b")

    pollster = ListPollster(PollsterPermanentError("for ever"))
    polling = Polling({"p": pollster}, "meters: ['*']\nresources: [a, b]")

    polling.poll()
    assert (polling.row("p").outcome, polling.row("p").failed) == ("failed", ["a", "b"])
    polling.poll()
    assert len(pollster.asked) == 1


def test_a_resource_of_two_sources_is_polled_once() -> None:
    """Of sources with one interval, whoever comes first polls a resource until it lets it go."""
    sharing, found = Sharing(), ListDiscovery("a", "b")
    pollster = ListPollster(sample())
    one = Polling(
        {"p": pollster},
        "meters: ['*']\ndiscovery: [d]",
        name="one",
        discoveries={"d": found},
        sharing=sharing,
    )
    two = Polling({"p": pollster}, "meters: ['*']\nresources: [b, c]", name="two", sharing=sharing)
    other = Polling(
        {"p": pollster}, "meters: ['*']\nresources: [b, c]", name="other", interval=20, sharing=sharing
    )

    for polling in (one, two, other, one, two):
        polling.poll()
    assert pollster.asked == [["a", "b"], ["c"], ["b", "c"], ["a", "b"], ["c"]]
    assert two.row("p").reason == "1 resources are polled by another polling source"

    found.resources = ("a",)
    pollster.asked.clear()
    for polling in (one, two, one):
        polling.poll()
    assert pollster.asked == [["a"], ["b", "c"], ["a"]]


def test_sources_of_different_meters_poll_a_resource_each() -> None:
    """A meter that only one of two sources selects is measured, whoever came first."""
    sharing, names = Sharing(), ("m1", "m2", "m3")
    pollster = ListPollster(*(sample(name=name) for name in names), meters=names)
    a = Polling({"p": pollster}, "meters: [m1, m2]\nresources: [r]", name="a", sharing=sharing)
    b = Polling({"p": pollster}, "meters: [m2, m3]\nresources: [r]", name="b", sharing=sharing)

    for _ in range(2):
        for polling, measured in ((a, ["m1", "m2"]), (b, ["m2", "m3"])):
            polling.poll()
            assert [each.name for each in polling.samples] == measured
            assert polling.row("p").reason == ""


def test_sources_that_select_the_same_meters_in_other_words_share() -> None:
    """What counts are the meters that a pollster declares, not the patterns."""
    sharing, pollster = Sharing(), ListPollster(sample(), meters=("m", "n"))
    a = Polling({"p": pollster}, "meters: ['*']\nresources: [r]", name="a", sharing=sharing)
    b = Polling({"p": pollster}, "meters: [n, m]\nresources: [r]", name="b", sharing=sharing)

    a.poll()
    b.poll()

    assert (len(a.samples), len(b.samples)) == (1, 0)


def test_a_source_that_ends_leaves_its_resources_to_others() -> None:
    """At their next poll."""
    sharing, pollster = Sharing(), ListPollster(sample())
    one = Polling({"p": pollster}, "meters: ['*']\nresources: [a, b]", name="one", sharing=sharing)
    two = Polling({"p": pollster}, "meters: ['*']\nresources: [b, c]", name="two", sharing=sharing)
    again = Polling({"p": pollster}, "meters: ['*']\nresources: [b]", name="again", sharing=sharing)
    for polling in (one, two, again):
        polling.poll()
    one.poller.close()
    pollster.asked.clear()
    two.poll()
    again.poll()
    assert pollster.asked == [["b", "c"]]


def test_a_source_that_comes_later_takes_no_resource_from_one_that_polls() -> None:
    """As by a reload: it was alone before, and what it polls is its own nevertheless."""
    sharing, pollster = Sharing(), ListPollster(sample())
    one = Polling({"p": pollster}, "meters: ['*']\nresources: [a, b]", name="one", sharing=sharing)
    one.poll()
    two = Polling({"p": pollster}, "meters: ['*']\nresources: [b, c]", name="two", sharing=sharing)
    pollster.asked.clear()
    two.poll()
    one.poll()
    assert pollster.asked == [["c"], ["a", "b"]]
