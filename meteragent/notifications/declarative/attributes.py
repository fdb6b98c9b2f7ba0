"""The attributes of samples that definitions name; apart, as definitions that name the same share them."""

from collections.abc import Mapping
from typing import Any

from meteragent.documents import shown
from meteragent.errors import Rejected
from meteragent.notifications.base import Notification
from meteragent.notifications.declarative.field import Field
from meteragent.notifications.reserved import Reserved
from meteragent.sample import NO_METADATA, Metadata


def whole(notification: Notification) -> dict[str, Any]:
    """The payload with the event type and the host: the attributes of a sample when none are named."""
    payload = notification.payload
    return {
        **(payload if isinstance(payload, dict) else {}),
        "event_type": notification.document.get("event_type"),
        "host": notification.document.get("publisher_id"),
    }


class Attributes:
    """What ``metadata`` and ``user_metadata`` of a definition say."""

    def __init__(self, fields: Mapping[Any, Field], of_user: Field | None, reserved: Reserved) -> None:
        self._fields, self._of_user, self._reserved = fields, of_user, reserved
        self.names_any = bool(fields) or of_user is not None

    def named(self, document: Mapping[str, Any]) -> dict[Any, Any]:
        """Those that a notification has and that are neither empty nor zero.

        :raises Rejected: when the attributes of the user are no mapping
        """
        found = {}
        for name, field in self._fields.items():
            value = field.first(document)
            if value:
                found[name] = value
        if self._of_user is not None:
            of_user = self._of_user.first(document)
            if of_user:
                if not isinstance(of_user, dict):
                    raise Rejected(f"user_metadata: {shown(of_user)} is no mapping")
                kept = self._reserved.kept(of_user, found)
                if kept:
                    found["user_metadata"] = kept
        return found


class Told:
    """A notification while its samples are made, with the attributes that several of them have."""

    def __init__(self, notification: Notification) -> None:
        self.notification, self.document = notification, notification.document
        self._whole: Metadata | None = None
        self._known: dict[int, Metadata] = {}

    def metadata(self, attributes: Attributes) -> Metadata:
        """The attributes as named, or all of the notification where none of them is there.

        :raises Rejected: when they cannot be kept
        """
        named = self._named(attributes)
        return self.whole() if named is NO_METADATA else named

    def metadata_of_each(self, attributes: Attributes) -> Metadata:
        """The attributes as named, though none of them be there; all of the notification where none is named.

        So, as many samples have them, a notification does not come to be written down once with each.

        :raises Rejected: when they cannot be kept
        """
        return self._named(attributes) if attributes.names_any else self.whole()

    def _named(self, attributes: Attributes) -> Metadata:
        known = self._known.get(id(attributes))
        if known is None:
            named = attributes.named(self.document)
            known = self._known[id(attributes)] = Metadata.of(named) if named else NO_METADATA
        return known

    def whole(self) -> Metadata:
        """All that the notification says, made once."""
        if self._whole is None:
            self._whole = Metadata.of(whole(self.notification))
        return self._whole
