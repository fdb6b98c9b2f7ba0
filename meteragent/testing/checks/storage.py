"""What can be told of a storage driver without its own suite, which is ``meteragent.testing.storage``."""

from meteragent.testing.checks.closing import closes
from meteragent.testing.subject import Subject
from meteragent.testing.verdict import Check, Undecided, check


def use(subject: Subject) -> None:
    """Make it and close it."""
    subject.make().close()


@check("stores", "let it pass meteragent.testing.storage.StorageContract")
def stores(subject: Subject) -> None:
    """Its own suite takes minutes, and is pytest's."""
    del subject
    raise Undecided(
        "derive a test class from meteragent.testing.storage.StorageContract, and run it with pytest"
    )


CHECKS: tuple[Check, ...] = (closes, stores)
