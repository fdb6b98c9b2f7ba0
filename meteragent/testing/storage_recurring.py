"""The part of the contract of storage about what polls tell again and again, which drivers may remember."""

from typing import Any

import pytest

from meteragent.batch import Published
from meteragent.sample import Metadata, Sample
from meteragent.storage.base import StorageDriver
from meteragent.testing.storage_given import MINUTE, NOON, StorageCase, Writer, a_sample, as_text, everything

OTHER_CONTENT: dict[str, Any] = {
    "volume": 11,
    "the kind of the volume": 10.0,
    "unit": "B",
    "type": "delta",
    "project_id": "another",
    "no project": None,
    "user_id": "another",
    "user_name": "Another",
    "project_name": "Another",
    "resource_metadata": Metadata.of({"flavor": "large"}),
}
FIELDS = {"the kind of the volume": "volume", "no project": "project_id"}
"""The names above that are no fields, and the fields that they mean."""


class RecurringContract(StorageCase):
    """What was remembered of one poll is taken for the next only where that tells the same."""

    @pytest.mark.parametrize("field", [*OTHER_CONTENT, "name", "source", "resource_id"])
    def test_what_a_poll_tells_anew_is_not_taken_for_what_it_told_before(
        self, driver: StorageDriver, field: str
    ) -> None:
        """Most rows of a poll come again as they were; one that differs in any field is kept as it comes."""
        record, expected = Writer(driver), []
        other = {FIELDS.get(field, field): OTHER_CONTENT.get(field, "another")}
        for tick, fields in enumerate(({}, {}, other, other, other, {}, other)):
            instant = NOON + tick * MINUTE
            samples = [
                a_sample(timestamp=instant),
                a_sample(**{"resource_id": "b", "timestamp": instant} | fields),
            ]
            assert record(*samples) == Published(2)
            expected += samples
        assert as_text(everything(driver)) == as_text(expected)

    def test_what_was_superseded_is_believed_in_nothing(self, driver: StorageDriver) -> None:
        """Its attributes were not kept, so those of the next poll that tells the same are new."""
        record = Writer(driver)

        def row(minute: int, **fields: Any) -> list[Sample]:
            at = NOON + minute * MINUTE
            return [a_sample(timestamp=at, resource_id=name, **fields) for name in "ab"]

        record(*row(0))
        assert record(*row(0, unit="B")) == Published(0, superseded=2)
        later = [row(1, unit="B"), row(2, project_id="another"), row(3, unit="B")]
        for samples in later:
            assert record(*samples) == Published(2)
        assert as_text(everything(driver)) == as_text(
            [*row(0), *(each for samples in later for each in samples)]
        )
