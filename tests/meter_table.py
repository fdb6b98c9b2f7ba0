"""Writes the table of meters in doc/meters.rst from what the pollsters declare; apart, as a test asks, too.

``make meters`` runs it.
"""

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "doc" / "meters.rst"
BEGIN, END = ".. made by `make meters`: not to be edited from here\n", ".. to here\n"
HEAD = """\

.. list-table::
   :header-rows: 1
   :widths: 30 10 8 18 26 8

   * - Name
     - Type
     - Unit
     - Resource
     - Meaning
     - Pollster
"""


def current() -> str:
    """The page as it should be."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}{HEAD}{''.join(rows())}\n{END}{rest.partition(END)[2]}"


def rows() -> Iterator[str]:
    """A row for each meter that a pollster of the namespace host declares."""
    for pollster in importlib.metadata.entry_points(group="meteragent.poll.host"):
        if pollster.dist is None or pollster.dist.name != "meteragent":
            continue
        for meter in pollster.load().declares:
            yield (
                f"   * - ``{meter.name}``\n"
                f"     - {meter.type}\n"
                f"     - {meter.unit}\n"
                f"     - ``{meter.resource}``\n"
                f"     - {meter.meaning}\n"
                f"     - {pollster.name}\n"
            )


if __name__ == "__main__":
    PAGE.write_text(current())
