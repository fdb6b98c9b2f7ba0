"""Names that plugins provide: opened before a call, closed behind its last sample, only where named."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from meteragent.errors import PluginError
from meteragent.plugins.bind import Bound, Context, bind
from meteragent.plugins.catalog import PROVIDER, Found
from meteragent.plugins.layers import Used
from meteragent.plugins.middleware import Stack
from meteragent.plugins.option import Option
from meteragent.plugins.provider import Providers, check, provides

CONTEXT = Context("pollster", "p", "pollster:host.p", "s")


class Shelf:
    """Providers by name, as if they were installed; notes which are imported."""

    def __init__(self, **factories: Any) -> None:
        self.factories, self.imported = factories, list[str]()

    def providers(self) -> Providers:
        """All of them."""
        found = [Found(PROVIDER, "meteragent.provide", name, f"m:{name}") for name in self.factories]
        return Providers(found, {"conf": None, "host": "web1", "state_dir": None}, self._load)

    def bound(self, callback: Callable[..., Any]) -> Bound:
        """A callback that may name them."""
        stack = Stack(providers=self.providers())
        return bind(callback, ["at"], Context("pollster", "p", "pollster:host.p", "s", stack=stack))

    def _load(self, found: Found) -> Any:
        self.imported.append(found.name)
        return self.factories[found.name]


class Told:
    """Notes what is opened and closed."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def provider(self, name: str, value: Any = None) -> Any:
        """A generator function that provides a name."""

        @provides(name)
        def opens() -> Iterator[Any]:
            self.told.append(f"open {name}")
            try:
                yield value or f"a {name}"
            finally:
                self.told.append(f"close {name}")

        return opens


def test_a_name_is_provided_to_who_names_it() -> None:
    """Open from before the call to behind the last that it yields."""
    told = Told()

    def get_samples(at: int, db: str) -> Iterator[Any]:
        told.told.append("called")
        yield at
        yield db

    call = Shelf(db=told.provider("db")).bound(get_samples)
    assert list(call({"at": 7})) == [7, "a db"]
    assert told.told == ["open db", "called", "close db"]
    assert call.names == {"at"}
    assert call.provided == ("db",)


def test_nobody_else_pays_for_it() -> None:
    """A callback that names nothing is called bare, and the provider is not even imported."""

    def get_samples(at: int) -> list[int]:
        return [at]

    shelf = Shelf(db=Told().provider("db"))
    call = shelf.bound(get_samples)
    assert call._callback is get_samples
    assert shelf.imported == []


def test_it_is_closed_when_the_call_fails() -> None:
    """And the failure comes out."""
    told = Told()

    def get_samples(at: int, db: str) -> Iterator[Any]:
        yield at
        raise ValueError(db)

    result = Shelf(db=told.provider("db")).bound(get_samples)({"at": 7})
    with pytest.raises(ValueError, match=r"^a db$"):
        list(result)
    assert told.told == ["open db", "close db"]


def test_each_call_has_its_own() -> None:
    """Two that overlap do not share it."""
    opened = iter(range(9))

    @provides("db")
    def db() -> Iterator[int]:
        yield next(opened)

    call = Shelf(db=db).bound(lambda db: iter([db]))
    one, two = call({}), call({})
    assert (list(two), list(one)) == ([1], [0])


def test_a_provider_names_arguments_of_its_own() -> None:
    """Its options, the context of the call, and what others provide, which is opened first."""
    told = Told()

    @provides("session", options=[Option("retries", 2)])
    def session(db: str, options: Any, context: Context, host: str) -> Iterator[Any]:
        told.told.append("open session")
        yield db, options.retries, context.source, host
        told.told.append("close session")

    call = Shelf(db=told.provider("db"), session=session).bound(lambda session: [session])
    assert call({}) == [("a db", 2, "s", "web1")]
    assert told.told == ["open db", "open session", "close session", "close db"]


def test_names_that_need_each_other_are_refused() -> None:
    """The circle is told where something names one of them, whose calls fail."""

    @provides("one")
    def one(two: Any) -> Iterator[Any]:
        yield two

    @provides("two")
    def two(one: Any) -> Iterator[Any]:
        yield one

    call = Shelf(one=one, two=two).bound(lambda one: one)
    with pytest.raises(PluginError, match=r"^one cannot be provided: .* in a circle: one → two → one$"):
        call({})


def test_an_unknown_name_lists_those_that_are_provided() -> None:
    """Beside what the call offers."""
    with pytest.raises(PluginError, match=r"'dbs', which is not offered; offered are at, db$"):
        Shelf(db=Told().provider("db")).bound(lambda dbs: dbs)


def test_one_that_cannot_be_opened_fails_the_call_with_the_reason() -> None:
    """What was opened before it is closed."""
    told = Told()

    @provides("session")
    def session(db: str) -> Iterator[Any]:
        raise OSError(f"no route to {db}")
        yield

    call = Shelf(db=told.provider("db"), session=session).bound(lambda session: [session])
    with pytest.raises(PluginError, match=r"^provider:session cannot be opened: OSError: no route to a db$"):
        call({})
    assert told.told == ["open db", "close db"]


def test_a_class_of_context_managers_provides() -> None:
    """It is made and entered for each call."""

    @provides("db")
    class Db:
        def __init__(self, host: str) -> None:
            self.told = [host]

        def __enter__(self) -> "Db":
            self.told.append("open")
            return self

        def __exit__(self, *_: Any) -> None:
            self.told.append("closed")

    (db,) = Shelf(db=Db).bound(lambda db: [db])({})
    assert db.told == ["web1", "open", "closed"]


def test_what_has_a_close_is_closed() -> None:
    """A function that returns a connection or the like."""

    class Connection:
        closed = False

        def close(self) -> None:
            self.closed = True

    (made,) = Shelf(db=provides("db")(lambda: Connection())).bound(lambda db: [db])({})
    assert made.closed is True


@provides("db")
async def asynchronous(host: str) -> AsyncIterator[str]:
    """Opened and closed in an event loop."""
    await asyncio.sleep(0)
    asynchronous.told.append("open")  # type: ignore[attr-defined]
    yield f"{host} in {id(asyncio.get_running_loop())}"
    await asyncio.sleep(0)
    asynchronous.told.append("closed")  # type: ignore[attr-defined]


def test_an_asynchronous_provider_serves_a_plain_callback() -> None:
    """In a loop of its own."""
    asynchronous.told = []  # type: ignore[attr-defined]
    (given,) = Shelf(db=asynchronous).bound(lambda db: iter([db]))({})
    assert given.startswith("web1 in ")
    assert asynchronous.told == ["open", "closed"]  # type: ignore[attr-defined]


def test_an_asynchronous_provider_shares_the_loop_of_an_asynchronous_callback() -> None:
    """What it opened there can be used there."""
    asynchronous.told = []  # type: ignore[attr-defined]

    async def get_samples(db: str) -> AsyncIterator[Any]:
        yield db, f"web1 in {id(asyncio.get_running_loop())}"

    async def gathered() -> list[Any]:
        return [each async for each in Shelf(db=asynchronous).bound(get_samples)({})]

    ((given, here),) = asyncio.run(gathered())
    assert given == here
    assert asynchronous.told == ["open", "closed"]  # type: ignore[attr-defined]


def test_middleware_is_around_what_is_provided() -> None:
    """A call that is made again has it opened again."""
    told = Told()

    def twice(callback: Callable[..., Any]) -> Callable[..., Any]:
        return lambda **kwargs: [*callback(**kwargs), *callback(**kwargs)]

    stack = Stack([Used("twice", "middleware:twice", twice)], Shelf(db=told.provider("db")).providers())
    call = bind(lambda db: [db], [], Context(label="pollster:host.p", stack=stack))
    assert call({}) == ["a db", "a db"]
    assert told.told == ["open db", "close db", "open db", "close db"]


@pytest.mark.parametrize("factory", [lambda: None, 3, provides("not a name")(lambda: None)])
def test_what_is_not_marked_is_no_provider(factory: Any) -> None:
    """The message says how."""
    with pytest.raises(PluginError, match=r"^wanted a function or class marked by @provides with the name"):
        check(factory)


def test_a_provider_has_the_name_of_its_entry_point() -> None:
    """Else nobody would know by the entry point what is provided."""
    call = Shelf(db=Told().provider("dbs")).bound(lambda db: db)
    with pytest.raises(PluginError, match=r"provider:db: wanted @provides\('db'\); found 'dbs'$"):
        call({})


def test_one_that_cannot_be_loaded_fails_the_calls_that_name_it(caplog: pytest.LogCaptureFixture) -> None:
    """With the reason, which is logged when that is found out; other callbacks are not harmed."""

    class Broken(Shelf):
        def _load(self, found: Found) -> Any:
            raise PluginError(f"{found.label}: ModuleNotFoundError: No module named 'psycopg'")

    shelf = Broken(db=None)
    call, other = shelf.bound(lambda db: db), shelf.bound(lambda at: at)
    with pytest.raises(PluginError, match=r"^db cannot be provided: provider:db: ModuleNotFoundError"):
        call({})
    assert other({"at": 7}) == 7
    assert caplog.messages == [
        "pollster:host.p: db cannot be provided: provider:db: ModuleNotFoundError: No module named 'psycopg'"
    ]
