"""One attribute of many samples; apart from a field, as here a null stands for a sample, too."""

from typing import Any

from meteragent.documents import shown
from meteragent.notifications.declarative.field import Field


class Column:
    """All values that a notification has of what a definition with ``lookup`` names.

    ``fault`` says why it can have none, if it cannot.
    """

    __slots__ = ("_field", "fault")

    def __init__(self, field: Field) -> None:
        self._field, self.fault = field, ""
        if field.literal:
            told = f"{shown(field.literal[0])} is a number; allowed beside lookup is a path"
            self.fault = f"{field.name}: {told}"
        elif not field.makes_all:
            told = f"{field.name}: plugin: {shown(field.plugin_name)} makes one value only"
            self.fault = f"{told}; not allowed beside lookup"

    def values(self, document: Any) -> list[Any]:
        """All of them in the order of the paths, nulls among them, but for those that a trait plugin makes.

        :raises Rejected: when a path or the trait plugin does not fit the document
        """
        if self._field.plugin is not None:
            return self._field.every(document)
        return [value for path in self._field.paths for value in path.values(document)]
