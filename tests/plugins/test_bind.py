"""Arguments injected by name."""

from typing import Any

import pytest

from meteragent.errors import PluginError
from meteragent.plugins.bind import bind

VALUES = {"conf": "the conf", "host": "web1", "cache": {}}


def test_gives_what_is_named() -> None:
    """A callback gets the arguments it names, and no others."""

    def read(host: str) -> str:
        return host

    bound = bind(read, VALUES)

    assert bound(VALUES) == "web1"
    assert bound.names == {"host"}


def test_calls_what_names_nothing() -> None:
    """A callback without arguments is called without any."""
    assert bind(lambda: 1, VALUES)(VALUES) == 1


def test_keeps_defaults_that_are_not_offered() -> None:
    """An argument with a default that nobody offers keeps it; one that is offered is given."""

    def read(times: int = 3, host: str = "nobody") -> tuple[int, str]:
        return times, host

    assert bind(read, VALUES)(VALUES) == (3, "web1")


def test_gives_everything_to_any_keywords() -> None:
    """``**kwargs`` takes all that is offered and not named."""

    def read(host: str, **others: Any) -> list[str]:
        return [host, *sorted(others)]

    assert bind(read, VALUES)(VALUES) == ["web1", "cache", "conf"]


def test_gives_by_position_what_takes_no_name() -> None:
    """Arguments that are by position only are given so, up to the first that is not offered."""

    def read(host: str, times: int = 2, /, cache: Any = None, *more: Any, conf: str) -> list[Any]:
        return [host, times, cache, more, conf]

    assert bind(read, VALUES)(VALUES) == ["web1", 2, {}, (), "the conf"]


def test_binds_classes_and_methods() -> None:
    """A class is bound by its constructor, a method without its self."""

    class Reader:
        def __init__(self, host: str) -> None:
            self.host = host

        def read(self, conf: str) -> str:
            return f"{self.host} {conf}"

    reader = bind(Reader, VALUES)(VALUES)

    assert bind(reader.read, VALUES)(VALUES) == "web1 the conf"


def test_refuses_an_argument_nobody_offers() -> None:
    """The message names the callback, the argument, and what there is."""

    def read(hosst: str) -> str:
        return hosst

    with pytest.raises(PluginError, match=r"read needs the argument 'hosst', .* cache, conf, host$"):
        bind(read, VALUES)


def test_refuses_what_does_not_tell_its_arguments() -> None:
    """A callable whose signature cannot be had is refused by name."""
    with pytest.raises(PluginError, match=r"builtins\.iter: its arguments cannot be told"):
        bind(iter, VALUES)
