"""``null:`` lets samples go."""

from meteragent.publishers.base import Publisher
from meteragent.publishers.null import NullPublisher


def test_everything_counts_as_delivered() -> None:
    """Nothing is told, which says that all were delivered; it promises nothing more."""
    publisher = NullPublisher()
    assert isinstance(publisher, Publisher)
    publisher.publish([])
    assert publisher.guarantee == "best effort"
    publisher.close()
