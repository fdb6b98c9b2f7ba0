"""A sample as the meter message of the ancestor; apart, as every sink to a bus sends this one form."""

from typing import Any

from meteragent.clock import iso
from meteragent.sample import Metadata, Sample
from meteragent.signing import sign


def meter_message(
    sample: Sample, secret: str | bytes | None, publisher_id: str | None = None
) -> dict[str, Any]:
    """The signed meter message of a sample, its time in UTC without a zone.

    ``origin`` is added where it is not 0, and signed like all else: the ancestor signs and checks
    whatever keys there are. Where it is 0 the ``message_id``, derived from the identity, tells it.

    :param publisher_id: who sends it, where the way of sending wants that told
    :raises ValueError: when the message cannot be signed
    """
    metadata, at = sample.resource_metadata, sample.timestamp
    message = {
        "source": sample.source,
        "counter_name": sample.name,
        "counter_type": sample.type,
        "counter_unit": sample.unit,
        "counter_volume": sample.volume,
        "user_id": sample.user_id,
        "user_name": sample.user_name,
        "project_id": sample.project_id,
        "project_name": sample.project_name,
        "resource_id": sample.resource_id,
        "timestamp": None if at is None else iso(at).removesuffix("Z"),
        "resource_metadata": metadata.as_dict() if isinstance(metadata, Metadata) else metadata,
        "message_id": sample.identifier if sample.id is None else sample.id,
        "monotonic_time": sample.monotonic_time,
    }
    if sample.origin:
        message["origin"] = sample.origin
    if publisher_id is not None:
        message["publisher_id"] = publisher_id
    message["message_signature"] = sign(message, secret)
    return message
