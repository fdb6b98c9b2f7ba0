"""How what is around a callback is called: by keyword, whatever the callback itself takes by position."""

from collections.abc import Callable
from typing import Any

from meteragent.middleware.base import Middleware
from meteragent.plugins.bind import Bound, Context, bind
from meteragent.plugins.layers import Used
from meteragent.plugins.middleware import Stack

Callback = Callable[..., Any]


def used(middleware: Any) -> Used:
    """A middleware in use."""
    return Used("looks", "middleware:looks", middleware)


def bound(stack: Stack, callback: Callback) -> Bound:
    """A callback of a pollster with a stack around it."""
    return bind(callback, ["host"], Context("pollster", label="pollster:host.p", stack=stack))


def test_middleware_is_given_all_by_keyword() -> None:
    """Also what the plugin takes, or whoever calls gives, by position; the names are the plugin's."""
    seen: list[Any] = []

    def looks(callback: Callback) -> Callback:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            seen.append((args, kwargs))
            return callback(*args, **kwargs)

        return wrapper

    def read(host: str, /) -> str:
        return host

    def record(batch: str, place: int) -> tuple[str, int]:
        return batch, place

    stack = Stack([used(looks)])
    around = stack.around(record, Context("storage"), ())
    assert around is not None
    assert bound(stack, read)({"host": "web1"}) == "web1"
    assert around("a batch", 7) == ("a batch", 7)
    assert seen == [((), {"host": "web1"}), ((), {"batch": "a batch", "place": 7})]


def test_what_takes_its_arguments_by_position_is_called_so_without_middleware() -> None:
    """From the first call on, when the middleware has nothing to do."""

    def read(host: str, /) -> str:
        return host

    call = bound(Stack([used(Middleware())]), read)
    assert [call({"host": "web1"}), call({"host": "web2"})] == ["web1", "web2"]
    assert call._callback is read
