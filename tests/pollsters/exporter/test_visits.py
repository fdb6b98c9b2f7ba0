"""Asking many endpoints at once."""

import threading
from collections.abc import Iterator
from queue import Queue
from typing import Any

import pytest

from meteragent.pollsters.exporter import visits as module
from meteragent.pollsters.exporter.endpoint import Endpoint
from meteragent.pollsters.exporter.visits import AT_ONCE, Shown, Visits


class Place:
    """Answers with its own URL, but where it hangs."""

    def __init__(self) -> None:
        self.hanging: set[str] = set()
        self.asked: list[str] = []
        self.go_on = threading.Event()

    def ask(self, endpoint: Endpoint) -> Shown:
        """What an endpoint shows."""
        self.asked.append(endpoint.url)
        if endpoint.url in self.hanging:
            self.go_on.wait()
        return endpoint.url, ""


@pytest.fixture
def place() -> Iterator[Place]:
    """One where nothing hangs yet."""
    place = Place()
    yield place
    place.go_on.set()


def endpoints(count: int, timeout: float = 60) -> list[Endpoint]:
    """So many of them."""
    return [Endpoint({"url": f"http://h:{number + 1}/", "timeout": timeout}) for number in range(count)]


def test_answers_come_in_the_order_of_the_endpoints(place: Place) -> None:
    """So that the first of two that show the same series is the same at each poll."""
    many = endpoints(3 * AT_ONCE)
    assert [visit.shown() for visit in Visits(place.ask).made(many)] == [(each.url, "") for each in many]


def test_one_that_hangs_is_told_last_and_not_asked_again(place: Place) -> None:
    """Until its thread has ended; then it is asked as any other."""
    first, second = endpoints(2, timeout=0.7)
    visits, told = Visits(place.ask), list[str]()
    place.hanging.add(first.url)
    for visit in visits.made([first, second]):
        try:
            told.append(visit.shown()[0])
        except ValueError as error:
            told.append(str(error))
    assert told == [second.url, f"{first.url}: not finished after 0.7 s"]

    with pytest.raises(ValueError, match="not finished"):
        [visit.shown() for visit in visits.made([first])]
    assert sorted(place.asked) == [first.url, second.url]

    place.hanging.clear()
    place.go_on.set()
    for thread in threading.enumerate():
        if thread.name == "exporters":
            thread.join()
    assert [visit.shown()[0] for visit in visits.made([first])] == [first.url]


def test_those_that_were_late_come_last(place: Place) -> None:
    """However many hang, the others do not wait for them more than once."""
    many, visits = endpoints(2 * AT_ONCE, timeout=0.05), Visits(place.ask)
    place.hanging |= {each.url for each in many[:AT_ONCE]}
    assert len(list(visits.made(many))) == 2 * AT_ONCE

    assert [visit.endpoint for visit in visits.made(many)] == [*many[AT_ONCE:], *many[:AT_ONCE]]


class Counted(Queue[Any]):
    """Knows how many waits there were."""

    waits = 0

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Wait for one."""
        Counted.waits += 1
        return super().get(block, timeout)


def test_one_that_is_late_behind_one_in_its_turn_is_waited_for_at_rest(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its deadline, which is over, does not end the wait for the other at once, over and over."""
    monkeypatch.setattr(module, "SimpleQueue", Counted)
    monkeypatch.setattr(module, "IN_TURN", 0.2)
    monkeypatch.setattr(Counted, "waits", 0)
    slow = endpoints(1)[0]
    late = Endpoint({"url": "http://h:2/", "timeout": 0.05})
    place.hanging |= {slow.url, late.url}
    made = Visits(place.ask).made([slow, late])
    assert next(made).endpoint is late
    made.close()  # type: ignore[attr-defined]  # a generator
    assert 1 <= Counted.waits < 10


def test_what_asking_raises_is_raised_where_it_is_read(place: Place) -> None:
    """And costs no other."""

    def ask(endpoint: Endpoint) -> Shown:
        if endpoint.instance == "h:1":
            raise ValueError("no")
        return place.ask(endpoint)

    failing, good = Visits(ask).made(endpoints(2))
    with pytest.raises(ValueError, match=r"^no$"):
        failing.shown()
    assert good.shown()[0] == "http://h:2/"
