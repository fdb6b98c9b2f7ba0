"""Makes types known to msgspec while modules are imported; apart, for the reason below.

msgspec looks at a type when it first converts something to it, and two threads that do so at once can
end the process without a word (0.22). An import is done by one thread.
"""

from typing import Any

import msgspec


def known(*types: Any) -> None:
    """Let msgspec look at these types, and at those within them, now."""
    for each in types:
        msgspec.json.Decoder(each)
