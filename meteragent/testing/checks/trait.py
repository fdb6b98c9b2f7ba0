"""What the agent needs of a trait plugin."""

import copy
from typing import Any

from meteragent.testing.subject import Subject
from meteragent.testing.verdict import Breach, Check, check

MATCHES: tuple[list[tuple[str, Any]], ...] = (
    [],
    [("payload.a", "text")],
    [("payload.a", 1), ("payload.b", 2.5)],
)


def use(subject: Subject) -> None:
    """Ask it."""
    plugin = subject.make()
    for each in MATCHES:
        plugin.trait_values(copy.deepcopy(each))


@check("values", "give a list with a value for each that was found, None for what fits not")
def values(subject: Subject) -> None:
    """A list, whatever was found, also nothing."""
    plugin = subject.plugin()
    place = subject.place(plugin.trait_values)
    for matches in MATCHES:
        given = copy.deepcopy(matches)
        try:
            found = plugin.trait_values(given)
        except Exception as error:  # boundary: trait plugins are foreign code
            raise subject.told(
                error, f"trait_values({matches!r})", "give None for what does not fit"
            ) from None
        if not isinstance(found, list | tuple):
            raise Breach(
                f"trait_values({matches!r}) gave {found!r:.80}",
                place=place,
                mend="return a list, which may be empty",
            )
        if given != matches:
            raise Breach("it changes what it is given", place=place, mend="make a list of your own")


CHECKS: tuple[Check, ...] = (values,)
