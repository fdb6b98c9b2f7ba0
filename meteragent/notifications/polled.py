"""Takes the samples that other agents polled and sent over the bus."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from meteragent.documents import as_text, shown
from meteragent.errors import Rejected
from meteragent.notifications.base import Handler, Notification
from meteragent.notifications.declarative.rows import Faults
from meteragent.notifications.instant import instant_of
from meteragent.sample import Sample


class PolledSamples(Handler):
    """Each keeps its own ``id``, by which it is known again however often it is sent."""

    event_types = ("telemetry.polling",)

    def __init__(self, verify: Callable[[Mapping[str, Any]], bool] | None = None) -> None:
        """
        :param verify: tells whether the signature of a sample as it was sent is right; None asks for none
        """
        self._verify = verify

    def convert(self, notification: Notification, problems: list[str]) -> Iterator[Sample]:
        """Yield the samples in their order; one that is no good harms no other."""
        payload = notification.payload
        messages = payload.get("samples") if isinstance(payload, dict) else None
        if not isinstance(messages, list):
            raise Rejected(f"payload: {shown(payload)} has no list of samples")
        instants: dict[str, int] = {}
        faults = Faults(problems)
        for position, message in enumerate(messages):
            try:
                yield self._sample(message, instants)
            except Rejected as error:
                name = message.get("counter_name") if isinstance(message, dict) else None
                faults.add(f"sample {position + 1}, meter {shown(name)}: {error}")

    def _sample(self, message: Any, instants: dict[str, int]) -> Sample:
        """
        :param instants: times that were read already, as all of one poll have the same
        :raises Rejected: when it is no sample
        """
        if not isinstance(message, dict):
            raise Rejected(f"{shown(message)} is no mapping")
        if self._verify is not None and not self._verify(message):
            raise Rejected("message_signature: does not fit the sample")
        try:
            return _read(message, instants)
        except KeyError as error:
            raise Rejected(f"{error.args[0]}: missing") from None


def _read(message: Mapping[str, Any], instants: dict[str, int]) -> Sample:
    """
    :raises KeyError: when a field is missing
    """
    told, own = message["timestamp"], message["message_id"]
    at = instants.get(told) if isinstance(told, str) else None
    if at is None and told is not None:
        at = instants[told] = instant_of(told)
    return Sample(
        message["counter_name"],
        message["counter_type"],
        message["counter_unit"],
        message["counter_volume"],
        message["user_id"],
        message["project_id"],
        message["resource_id"],
        at,
        message["resource_metadata"],
        message["source"],
        None if own is None else as_text(own),
        message.get("monotonic_time"),
        message.get("user_name"),
        message.get("project_name"),
        _origin(message.get("origin")),
    )


def _origin(told: Any) -> int:
    """What the sender tells of it; 0 where it tells none.

    :raises Rejected: when it is none
    """
    if told is None:
        return 0
    if type(told) is not int or not 0 <= told < 1 << 63:
        raise Rejected(f"origin: {shown(told)} is no integer from 0 to 2^63 - 1")
    return told
