"""Counts the requests to web services and their responses, as the audit middleware announces them."""

import re
from collections.abc import Iterator

from meteragent.documents import shown
from meteragent.errors import Rejected
from meteragent.notifications.base import Handler, Notification
from meteragent.notifications.declarative.attributes import whole
from meteragent.sample import Metadata, Sample


class Requests(Handler):
    """One sample for each request; who asked stands in the headers that it came with."""

    event_types = (re.compile(r"http\.request"),)

    def convert(self, notification: Notification, problems: list[str]) -> Iterator[Sample]:  # noqa: ARG002
        """Yield one sample."""
        payload, event_type = notification.payload, notification.event_type
        request = payload.get("request") if isinstance(payload, dict) else None
        if not isinstance(request, dict):
            raise Rejected(f"payload: {shown(payload)} has no mapping request")
        yield Sample(
            event_type,
            "delta",
            event_type.split(".")[1],
            1,
            request.get("HTTP_X_USER_ID"),
            request.get("HTTP_X_PROJECT_ID"),
            request.get("HTTP_X_SERVICE_NAME"),  # type: ignore[arg-type]  # a sample without one is refused
            resource_metadata=Metadata.of(whole(notification)),
        )


class Responses(Requests):
    """One sample for each response."""

    event_types = (re.compile(r"http\.response"),)
