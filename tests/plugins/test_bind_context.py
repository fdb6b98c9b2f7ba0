"""Arguments that come from elsewhere than the call: given once, or provided around it."""

from collections.abc import Iterator
from typing import Any

import pytest

from meteragent.errors import PluginError
from meteragent.plugins.bind import Context, bind
from meteragent.plugins.contracts import CONTRACTS

GIVEN = {"conf": "the conf", "log": "the log", "options": {"warm": 3}}


def test_what_is_given_to_a_plugin_is_given_at_each_call() -> None:
    """Its options and the like need not be among the values of a call."""

    def publish(samples: list[int], options: Any, log: str = "none") -> tuple[Any, ...]:
        return samples, options["warm"], log

    bound = bind(publish, ["samples"], Context(given=GIVEN))
    assert bound({"samples": [1]}) == ([1], 3, "the log")
    assert bound.names == {"samples"}


def test_what_a_call_offers_wins() -> None:
    """A name that both have is the call's."""
    bound = bind(lambda conf: conf, ["conf"], Context(given=GIVEN))
    assert bound({"conf": "of this call"}) == "of this call"


def test_any_keywords_take_what_the_call_offers_alone() -> None:
    """Nobody is given what it does not name of the rest."""
    bound = bind(lambda **others: others, ["host"], Context(given=GIVEN))
    assert bound({"host": "web1"}) == {"host": "web1"}


def test_an_unknown_name_lists_what_is_given_too() -> None:
    """The message says what there is."""
    with pytest.raises(PluginError, match=r"'confs', .*; offered are conf, host, log, options$"):
        bind(lambda confs: confs, ["host"], Context(given=GIVEN))


@pytest.mark.parametrize("kind", ["pollster", "discovery", "publisher", "notification"])
def test_each_callback_may_name_what_all_are_given(kind: str) -> None:
    """conf, host, log and options pass the check at load, of a handler as of a pollster."""

    class Plugin:
        event_types = ("*",)
        priorities = ("info",)

        def get_samples(self, conf: Any, host: str, log: Any, options: Any) -> Iterator[Any]:
            yield from (conf, host, log, options)

        discover = publish = convert = get_samples

        def close(self) -> None:
            """Nothing."""

    CONTRACTS[kind].check(Plugin())
    with pytest.raises(PluginError, match=r"needs the argument 'db'"):
        CONTRACTS[kind].check(_needing_db(Plugin()))
    CONTRACTS[kind].check(_needing_db(Plugin()), provided=["db"])


def _needing_db(plugin: Any) -> Any:
    for name in ("get_samples", "discover", "publish", "convert"):
        setattr(plugin, name, lambda db: db)
    return plugin
