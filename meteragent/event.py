"""The event: what happened to something, with its traits; the ancestor's model."""

from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec

from meteragent.clock import iso

NONE: Final = 0
TEXT: Final = 1
INTEGER: Final = 2
FLOAT: Final = 3
DATETIME: Final = 4
Kind = Literal[0, 1, 2, 3, 4]
"""The ancestor's numbers of the types of traits; a trait without type holds text."""


class Trait(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A named value of an event; a time is microseconds since the epoch."""

    name: str
    kind: Kind
    value: str | int | float


class Event(msgspec.Struct, frozen=True, array_like=True):
    """One notification, boiled down to its traits.

    ``generated`` is microseconds since the epoch; ``raw`` is the whole notification where that is
    wanted, else empty.
    """

    message_id: str
    event_type: str
    generated: int
    traits: list[Trait] = []
    raw: dict[str, Any] = {}

    def as_dict(self, text: Callable[[int], str] = iso) -> dict[str, Any]:
        """The ancestor's keys, traits as [name, number of the type, value].

        :param text: how a time is told, by default as ISO text
        """
        return {
            "message_id": self.message_id,
            "event_type": self.event_type,
            "generated": text(self.generated),
            "traits": [
                [each.name, each.kind, text(int(each.value)) if each.kind == DATETIME else each.value]
                for each in self.traits
            ],
            "raw": self.raw,
        }
