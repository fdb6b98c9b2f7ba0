"""What is told of plugins over the socket, whatever they say of themselves."""

from collections.abc import Sequence
from typing import Any

import msgspec

from meteragent.control.plugin_states import States, states
from meteragent.plugins.loader import Plugin


class Odd:
    """Says what it should not."""

    def __init__(self, meters: Sequence[Any]) -> None:
        self.meters = meters
        self.lacking = {"m.\udcff": "\ud800"}


class Raising:
    """Fails when it is asked."""

    @property
    def meters(self) -> list[str]:
        """None."""
        raise LookupError("none")


def plugin(made: object) -> Plugin:
    """One that is loaded."""
    return Plugin("pollster", "p", "pollster:host.p", "loaded", "", "acme", "1.0", made)


def test_one_that_says_what_cannot_be_told_hides_no_other() -> None:
    """Texts that are no Unicode are told in escapes; why one cannot be asked is told of it."""
    told = states(map(plugin, (Odd(["m.\ud800"]), Odd([1, "a"]), Raising())))

    assert msgspec.json.decode(msgspec.json.encode(States(told)), type=States).plugins == told
    assert [each.meters for each in told] == [["m.\\ud800"], [], []]
    assert told[0].reasons == ["lacks m.\\udcff: \\ud800"]
    assert told[1].reasons[1].startswith("what it says of itself cannot be told: AttributeError: ")
    assert told[2].reasons == ["what it says of itself cannot be told: LookupError: none"]
