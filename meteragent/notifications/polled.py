"""Takes the samples of other agents: as they were polled, or as a sink of theirs published them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from meteragent.documents import as_text, shown
from meteragent.errors import Rejected
from meteragent.notifications.base import Handler, Notification
from meteragent.notifications.declarative.rows import Faults
from meteragent.notifications.instant import instant_of
from meteragent.notifications.origin import checked
from meteragent.sample import Sample
from meteragent.signing import verifier


class PolledSamples(Handler):
    """Each keeps its own ``id``, by which it is known again however often it is sent."""

    event_types = ("telemetry.polling", "metering")

    def __init__(self, verify: Callable[[Mapping[str, Any]], bool] | None = None, conf: Any = None) -> None:
        """
        :param verify: tells whether the signature of a sample as it was sent is right
        :param conf: says how, where ``verify`` does not; without both none is asked for
        """
        self._verify = verify if verify is not None or conf is None else verifier(conf)

    def convert(self, notification: Notification, problems: list[str]) -> Iterator[Sample]:
        """Yield the samples in their order; one that is no good harms no other.

        Polled ones stand in ``samples``, published ones in the payload itself.
        """
        payload = notification.payload
        bare = notification.event_type == "metering"
        messages = payload if bare else payload.get("samples") if isinstance(payload, dict) else None
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
    told, own, origin = message["timestamp"], message["message_id"], message.get("origin")
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
        0 if origin is None else checked(origin),
    )
