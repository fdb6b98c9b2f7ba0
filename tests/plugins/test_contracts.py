"""What a handler of notifications must have, and what is told of one that has not."""

import re
from collections.abc import Iterable
from typing import Any

import pytest

from meteragent.errors import PluginError
from meteragent.notifications.base import Notification
from meteragent.plugins.catalog import NOTIFICATION
from meteragent.plugins.contracts import CONTRACTS


class Good:
    """A handler that derives from nothing."""

    event_types: Any = ("a.*", re.compile("b"))
    priorities: Any = ("info",)

    def convert(self, notification: Notification) -> Iterable[Any]:
        """Make nothing."""
        del notification
        return ()


class Asynchronous(Good):
    """One that is waited for."""

    async def convert(self, notification: Notification) -> Any:  # type: ignore[override]
        """Never called."""


class AsynchronousGenerator(Good):
    """The same."""

    async def convert(self, notification: Notification) -> Any:
        """Never called."""
        yield notification


def changed(**attributes: Any) -> Good:
    """A good one but for some attributes."""
    made = Good()
    vars(made).update(attributes)
    return made


@pytest.mark.parametrize(
    "handler", [Good(), changed(event_types=[]), Asynchronous(), AsynchronousGenerator()]
)
def test_a_handler_needs_no_base_class(handler: Any) -> None:
    """Its attributes count; that of no event type is asked for nothing, as where nothing is defined."""
    CONTRACTS[NOTIFICATION].check(handler)


@pytest.mark.parametrize(
    ("handler", "told"),
    [
        (object(), "with convert(notification, problems)"),
        (changed(event_types="a.b"), "wanted event_types: a list or tuple of text and regular expressions"),
        (changed(event_types=[5]), "found [5]"),
        (changed(event_types=None), "found None"),
        (changed(priorities=("INFO",)), "wanted priorities: a list or tuple, of audit, critical"),
        (changed(priorities="info"), "found 'info'"),
        (changed(convert=lambda bus: bus), "needs the argument 'bus', which is not offered"),
    ],
)
def test_a_handler_that_could_never_work_is_refused(handler: Any, told: str) -> None:
    """Before the first notification, with what is wanted and what was found."""
    with pytest.raises(PluginError, match=re.escape(told)):
        CONTRACTS[NOTIFICATION].check(handler)
