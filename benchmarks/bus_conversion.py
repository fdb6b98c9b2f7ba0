"""What the conversion of notifications alone costs here, as ``bus_ancestor`` measures the ancestor's.

    python -m benchmarks.bus_conversion COUNT

The built-in handlers and definitions are driven in this process, from notifications that are decoded
already: no bus, no journal, no store. To decode and unpack them is told beside that.
"""

import gc
import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.bus_notifications import SETS, Bodies
from meteragent.config import load
from meteragent.notifications import handlers
from meteragent.notifications.dispatcher import Dispatcher
from meteragent.notifications.envelope import unpack


def main() -> None:
    """Measure, and print the microseconds of CPU of each notification."""
    bodies = Bodies(SETS["single"])
    given = [bodies.body(number) for number in range(int(sys.argv[1]))]
    with tempfile.TemporaryDirectory() as folder:
        settings = load([], [folder], str(Path(folder) / "state"))
        dispatcher = Dispatcher(handlers.installed(settings.given), settings.conf.sample_source)
    gc.collect()
    began = time.process_time()
    notifications = [unpack(body, "application/json", "utf-8", "info") for body in given]
    unpacked = time.process_time()
    made = [dispatcher.dispatch(each) for each in notifications]
    ended = time.process_time()
    figures = {
        "messages": len(given),
        "samples": sum(len(each.samples) for each in made),
        "events": sum(len(each.events) for each in made),
        "decode_us": (unpacked - began) / len(given) * 1e6,
        "conversion_us": (ended - unpacked) / len(given) * 1e6,
    }
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
