"""Two agents poll the same resources into one store, one of them killed and started anew again and again.

python -m benchmarks.two_agents [TIMES]
"""

import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.crash import INTERVAL, METERS, RESOURCES, Victim, configure
from benchmarks.verdict import judge, rows


def compete(folder: Path, times: int, seed: int = 1) -> dict[str, Any]:
    """Kill one and start it so often, the other going on; the verdict over both."""
    chance = random.Random(seed)
    store = folder / "samples.db"
    config = configure(folder, store=f"sqlite:///{store}")
    places = [folder / "first", folder / "second"]
    for place in places:
        place.mkdir()
        (place / "plugins").symlink_to(folder / "plugins")
    agents = [Victim(place, config, place / "state") for place in places]
    for _ in range(times):
        which = chance.randrange(2)
        agents[which].wait_for(chance.choice(("store open", "store committed", "position open", "poll")), 5)
        agents[which].kill()
        agents[which] = Victim(places[which], config, places[which] / "state")
        agents[which].wait_for("store committed", 20)
    time.sleep(3 * INTERVAL)
    for agent in agents:
        agent.interrupt()
    delivered = others = 0
    faults: list[str] = []
    for place in places:
        faults += [
            fault
            for fault in judge(place / "state", INTERVAL, RESOURCES, METERS, store)["faults"]
            if "missed runs" not in fault and "samples.jsonl" not in fault
        ]  # what one agent missed the other has polled
        ((new, again),) = rows(
            place / "state" / "journal.db",
            "select delivered, duplicate + superseded from sink where name = 'store'",
        )
        delivered, others = delivered + new, others + again
    counted = rows(store, "select count(*) from sample_view")[0][0]
    if counted != delivered:
        faults.append(f"{counted} samples stored, {delivered} told as delivered")
    return {"faults": faults, "samples": counted, "delivered": delivered, "polled twice": others}


def main() -> None:
    """Print the verdict; exit 1 when there is a fault."""
    with tempfile.TemporaryDirectory() as folder:
        verdict = compete(Path(folder), int(sys.argv[1]) if len(sys.argv) > 1 else 50)
    print(json.dumps(verdict, indent=1))
    sys.exit(bool(verdict["faults"]))


if __name__ == "__main__":
    main()
