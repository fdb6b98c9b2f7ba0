"""Single calls: every shape of get_samples, every argument, every kind of garbage."""

import asyncio
import functools
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from meteragent.pollsters import round as engine
from meteragent.pollsters.limits import Limits
from meteragent.sample import Metadata, Sample
from meteragent.testing.fakes import NOON, ListPollster, sample
from tests.pollsters.polling import Polling


class Plain:
    """Returns a list."""

    def get_samples(self) -> list[Sample]:
        """Two."""
        return [sample(), sample(name="n")]


class Generator:
    """Yields."""

    def get_samples(self) -> Iterator[Sample]:
        """Two."""
        yield from Plain().get_samples()


class Coroutine:
    """Returns a list when awaited."""

    async def get_samples(self) -> list[Sample]:
        """Two."""
        await asyncio.sleep(0)
        return Plain().get_samples()


class AsyncGenerator:
    """Yields asynchronously."""

    async def get_samples(self) -> AsyncIterator[Sample]:
        """Two."""
        for each in Plain().get_samples():
            await asyncio.sleep(0)
            yield each


def hidden(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that does not say what it decorates."""

    def call(self: Any) -> Any:
        return function(self)

    return call


class Decorated:
    """Is asynchronous, which nobody can see."""

    get_samples = hidden(AsyncGenerator.get_samples)


class Wrapped:
    """Is asynchronous behind a decorator that tells what it wraps."""

    @functools.wraps(Coroutine.get_samples)
    def get_samples(self) -> Any:
        """Two."""
        return Coroutine().get_samples()


class AwaitedGenerator:
    """Returns an asynchronous generator when awaited."""

    async def get_samples(self) -> AsyncIterator[Sample]:
        """Two."""
        return AsyncGenerator().get_samples()


@pytest.mark.parametrize(
    "kind", [Plain, Generator, Coroutine, AsyncGenerator, Decorated, Wrapped, AwaitedGenerator]
)
def test_get_samples_may_have_any_shape(kind: Callable[[], Any]) -> None:
    """Plain, generator, coroutine or asynchronous generator: what comes out is the same."""
    polling = Polling({"p": kind()})

    polling.poll()

    assert [each.name for each in polling.samples] == ["m", "n"]
    assert polling.row("p").outcome == "complete"


def test_one_that_yields_too_much_cleans_up_where_it_yielded() -> None:
    """An asynchronous one, whose clean-up may wait: not when its event loop ends."""
    tasks = []

    class Many:
        async def get_samples(self) -> AsyncIterator[Sample]:
            tasks.append(asyncio.current_task())
            try:
                for _ in range(5):
                    yield sample()
            finally:
                await asyncio.sleep(0)
                tasks.append(asyncio.current_task())

    polling = Polling({"p": Many()}, limits=Limits(max_samples=2))

    polling.poll()

    assert polling.row("p").samples == 2
    begun, cleaned_up = tasks
    assert cleaned_up is begun


def test_get_samples_gets_what_it_names() -> None:
    """All arguments are offered, and the cache is one for all pollsters of a tick."""
    seen: list[dict[str, Any]] = []

    class Curious:
        def get_samples(self, **given: Any) -> list[Sample]:
            given["cache"][self] = True
            seen.append(given)
            return []

    polling = Polling({"a": Curious(), "b": Curious()}, "meters: ['*']\nresources: [r]", conf="the conf")
    polling.poll(NOON)
    polling.poll(NOON + 1)

    assert sorted(seen[0]) == ["at", "cache", "conf", "host", "log", "manager", "resources"]
    assert (seen[0]["at"], seen[0]["conf"], seen[0]["host"]) == (NOON, "the conf", "web1")
    assert seen[0]["resources"] == ["r"]
    assert seen[0]["cache"] is seen[1]["cache"]
    assert seen[0]["cache"] is not seen[2]["cache"]


class BadText:
    """Cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class BadAttribute:
    """Looks like a sample until its volume is read."""

    name, type, unit, resource_id, user_id, project_id = "m", "gauge", "", "r", None, None
    resource_metadata: dict[str, Any] = {}  # noqa: RUF012

    @property
    def volume(self) -> int:
        """Nobody knows."""
        raise OSError("the sensor\nis gone")


RECURSIVE: dict[str, Any] = {}
RECURSIVE["self"] = RECURSIVE

GARBAGE: dict[str, tuple[Any, str]] = {
    "none": (None, "NoneType None is no sample"),
    "int": (7, "int 7 is no sample"),
    "text": ("cpu", "str 'cpu' is no sample"),
    "bytes": (b"cpu", "bytes b'cpu' is no sample"),
    "dict": ({"name": "m"}, "dict {'name': 'm'} is no sample"),
    "list": ([1], "list [1] is no sample"),
    "tuple": ((1, 2), "tuple (1, 2) is no sample"),
    "class": (Sample, "volume: <member 'volume' of 'Sample' objects>"),
    "object": (object(), "object <object object at"),
    "unshowable": (BadText(), "BadText <BadText> is no sample"),
    "bad attribute": (BadAttribute(), "volume: cannot be read, OSError: the sensor is gone"),
    "bad id": (sample(resource_id=BadText()), "resource_id: <BadText> cannot be made text"),
    "unknown type": (sample(type="counter"), "type: 'counter' is none of cumulative, delta, gauge"),
    "nan": (sample(volume=float("nan")), "volume: nan is not finite"),
    "infinite": (sample(volume=float("-inf")), "volume: -inf is not finite"),
    "bool": (sample(volume=True), "volume: True is no number"),
    "no volume": (sample(volume=None), "volume: None is no number"),
    "words": (sample(volume="many"), "volume: 'many' is no number"),
    "huge": (sample(volume=2**70), f"volume: {2**70} is beyond 64 bits"),
    "no resource": (sample(resource_id=None), "resource_id: missing"),
    "empty resource": (sample(resource_id=""), "resource_id: empty"),
    "no name": (sample(name=None), "name: missing"),
    "long name": (sample(name="x" * 5000), "name: 'xxxxxxxxxxxxxxxxxxxx'… has 5000 characters"),
    "big metadata": (sample(resource_metadata={"x": "y" * 10_000_000}), "resource_metadata: 100000"),
    "recursive metadata": (sample(resource_metadata=RECURSIVE), "resource_metadata: "),
    "no metadata": (sample(resource_metadata=7), "resource_metadata: 7 is no mapping"),
    "odd metadata": (
        sample(resource_metadata={"x": object()}),
        "resource_metadata: object is nothing that JSON can say",
    ),
    "surrogates": (
        sample(resource_metadata={"x": "\udc80"}),
        "resource_metadata: 'utf-8' codec can't encode",
    ),
    "broken metadata": (sample(resource_metadata=Metadata(None)), "Sample: TypeError: object of"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_is_refused_with_field_and_value(kind: str) -> None:
    """What is no sample goes to quarantine with its reason, in JSON; the next sample is taken."""
    thing, reason = GARBAGE[kind]
    polling = Polling({"p": ListPollster(thing, sample(name="after"))})

    polling.poll()

    assert [each.name for each in polling.samples] == ["after"]
    (refused,) = polling.refused
    assert refused.reason.startswith(reason)
    assert (refused.polling_source, refused.pollster, refused.samples) == ("s", "p", 1)
    assert len(refused.payload) <= 64 << 10
    assert len(json.loads(refused.payload)) == 1
    assert polling.row("p").outcome == "complete"


def test_a_pollster_that_yields_itself_is_refused() -> None:
    """It has no sample's attributes."""

    class Vain:
        def get_samples(self) -> Iterator[Any]:
            yield self

    polling = Polling({"p": Vain()})
    polling.poll()
    assert "is no sample" in polling.refused[0].reason


def test_what_is_refused_can_be_read_again() -> None:
    """The payload holds the fields as they came, as far as JSON can say them."""
    bad = sample(volume=float("nan"), resource_metadata={"a": 1}, user_name="z" * 9000)
    polling = Polling({"p": ListPollster(bad)})

    polling.poll()

    (fields,) = json.loads(polling.refused[0].payload)
    assert (fields["name"], fields["volume"], fields["resource_metadata"]) == ("m", "nan", {"a": 1})
    assert len(fields["user_name"]) == 2000


def test_refusals_of_one_reason_are_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one batch they are counted, the first ones shown; more than 64 reasons share an entry."""
    monkeypatch.setattr(engine, "LINGER", 60.0)  # a slow machine makes no second batch of it
    many = [sample(volume=None)] * 5000 + [sample(volume=f"v{number}") for number in range(100)]
    polling = Polling({"p": ListPollster(*many, sample())})

    polling.poll()

    counts = {each.reason: each.samples for each in polling.refused}
    assert counts["volume: None is no number"] == 5000
    assert counts["more than 64 other reasons"] == 37
    assert sum(counts.values()) == 5100
    assert polling.collected.read == 5101
    shown = json.loads(next(each.payload for each in polling.refused if each.samples == 5000))
    assert 100 < len(shown) < 5000


@pytest.mark.parametrize("result", [None, 3, Sample])
def test_a_result_that_is_no_iterable_fails_the_poll(result: Any) -> None:
    """A pollster that returns nothing to iterate over has failed."""

    class Wrong:
        def get_samples(self) -> Any:
            return result

    polling = Polling({"p": Wrong()})
    polling.poll()
    assert polling.row("p").outcome == "failed"
    assert "object is not iterable" in polling.row("p").reason


def test_an_asynchronous_pollster_is_cancelled_after_its_time() -> None:
    """What it yielded is kept, and its clean-up runs."""
    cleaned: list[str] = []

    class Slow:
        async def get_samples(self) -> AsyncIterator[Sample]:
            try:
                yield sample()
                await asyncio.sleep(60)
            finally:
                cleaned.append("yes")

    polling = Polling({"p": Slow()}, limits=Limits(timeout=0.2))
    polling.poll()

    assert (polling.row("p").outcome, polling.row("p").samples) == ("timed out", 1)
    end = time.monotonic() + 5
    while not cleaned and time.monotonic() < end:
        time.sleep(0.005)
    assert cleaned == ["yes"]


def test_a_generator_that_is_stopped_is_closed() -> None:
    """The clean-up of a pollster runs when the limit ends it."""
    closed: list[str] = []

    class Endless:
        def get_samples(self) -> Iterator[Sample]:
            try:
                while True:
                    yield sample()
            finally:
                closed.append("yes")

    polling = Polling({"p": Endless()}, limits=Limits(max_samples=10))
    polling.poll()

    assert closed == ["yes"]
    assert polling.row("p").samples == 10
