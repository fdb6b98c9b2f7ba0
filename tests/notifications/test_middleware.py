"""Requests to web services, counted."""

from typing import Any

import pytest

from meteragent.errors import Rejected
from meteragent.notifications.base import Handler, Notification
from meteragent.notifications.middleware import Requests, Responses
from meteragent.sample import Metadata, Sample

HEADERS = {"HTTP_X_USER_ID": "u1", "HTTP_X_PROJECT_ID": "p1", "HTTP_X_SERVICE_NAME": "compute", "PATH": "/v2"}


def samples(handler: Handler, event_type: str, payload: Any) -> list[Any]:
    """What becomes of a notification."""
    document = {"event_type": event_type, "payload": payload, "publisher_id": "web-1"}
    return list(handler.convert(Notification(document), []))


@pytest.mark.parametrize(("handler", "word"), [(Requests(), "request"), (Responses(), "response")])
def test_one_is_counted_for_who_asked(handler: Handler, word: str) -> None:
    """The service is the resource; what the middleware tells of the request goes with it."""
    told = {"request": HEADERS, "response": {"status": "200 OK"}}
    metadata = Metadata.of({**told, "event_type": f"http.{word}", "host": "web-1"})
    assert samples(handler, f"http.{word}", told) == [
        Sample(f"http.{word}", "delta", word, 1, "u1", "p1", "compute", resource_metadata=metadata)
    ]


@pytest.mark.parametrize("payload", [None, {}, {"request": None}, {"request": "GET"}, []])
def test_a_notification_without_a_request_is_refused(payload: Any) -> None:
    """Nobody can be told to have asked."""
    with pytest.raises(Rejected, match="no mapping request"):
        samples(Requests(), "http.request", payload)


def test_only_the_beginning_of_the_event_type_is_looked_at() -> None:
    """What audits requests announces more kinds of them."""
    (expression,) = Requests.event_types
    assert expression.match("http.request.slow")
    assert not expression.match("audit.http.request")
    assert not expression.match("http.response")
