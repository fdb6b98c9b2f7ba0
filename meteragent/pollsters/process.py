"""The processes of this machine by state and by user; apart, as reading each of them costs most."""

import os
import threading
from collections.abc import Iterator
from typing import Any

from meteragent.errors import PluginUnavailable, Unavailable
from meteragent.machine import table, user_name
from meteragent.pollsters.base import Meter, Pollster
from meteragent.sample import Metadata, Sample

LIMIT = 20_000
"""Processes that are read in a poll at most: some 0.2 s."""


def _state(name: str, meaning: str) -> Meter:
    return Meter(f"host.processes.{name}", "gauge", "process", meaning)


COUNT = _state("count", "All processes, threads of the kernel included; each is in one of the states.")
STATES = {
    b"R": _state("running", "Those that run or wait for a processor."),
    b"S": _state("sleeping", "Those that wait for something to happen."),
    b"D": _state("blocked", "Those that wait and cannot be stopped, mostly for a disk."),
    b"T": _state("stopped", "Those that were stopped, debugged ones included."),
    b"Z": _state("zombie", "Those that ended and that their parent has not asked about."),
    b"I": _state("idle", "Threads of the kernel without work."),
}
ALIKE = {b"t": b"T", b"P": b"S", b"K": b"S", b"W": b"S", b"X": b"Z", b"x": b"Z"}
"""Further letters, most of them of old kernels, and the state they count as."""
USER = "<host>.user.<uid>"
CPU = Meter(
    "host.user.cpu",
    "cumulative",
    "s",
    "Processor time that a user's processes took, as far as the agent saw it since it started.",
    USER,
)
MEMORY = Meter(
    "host.user.memory",
    "gauge",
    "B",
    "Memory of a user's processes that is not swapped; what several share is counted at each.",
    USER,
)
PROCESSES = Meter("host.user.processes", "gauge", "process", "Processes of a user.", USER)


class ProcessPollster(Pollster):
    """Processes in each state, and what each user's processes hold and take.

    The time of a living process tells nothing of those that ended, and their sum falls. So what each
    process took since the last poll is added up, over all polling sources. Never seen is what a
    process took between the last poll and its end. Where more is to be billed, control groups count
    all of it.
    """

    default_discovery = "local_host"
    declares = (COUNT, *STATES.values(), CPU, MEMORY, PROCESSES)
    meters = tuple(meter.name for meter in declares)

    def __init__(
        self,
        host: str,
        proc: str = "/proc",
        limit: int = LIMIT,
        ticks: int = os.sysconf("SC_CLK_TCK"),
        page: int = os.sysconf("SC_PAGE_SIZE"),
    ) -> None:
        """
        :param proc: folder where the kernel shows processes
        :param limit: processes that may be read in a poll
        :param ticks: in which the kernel counts a second
        :param page: bytes in a page
        :raises PluginUnavailable: when the processes of others are not shown
        """
        self._host, self._proc, self._limit, self._ticks, self._page = host, proc, limit, ticks, page
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[bytes, int]] | None = None
        self._taken: dict[int, int] = {}
        try:
            table(os.path.join(proc, "1", "stat"))
        except OSError as error:
            raise PluginUnavailable(f"{proc} does not show all processes: {error}") from None

    def get_samples(self, resources: list[Any]) -> Iterator[Sample]:  # noqa: ARG002  always this machine
        """Yield the states of the host and what there is of each user that has a process now.

        :raises Unavailable: when there are more processes than may be read
        :raises OSError: when one cannot be read
        """
        states = dict.fromkeys(STATES, 0)
        users: dict[int, list[int]] = {}
        with self._lock:
            seen, taken, before = {}, self._taken.copy(), self._seen
            for process, uid, fields in self._read():
                state = fields[0]
                states[ALIKE.get(state, state)] += 1
                held = users.setdefault(uid, [0, 0])
                held[0] += 1
                held[1] += int(fields[21])
                time = int(fields[11]) + int(fields[12])
                seen[process] = (fields[19], time)
                if before is not None:  # what was taken before the first poll is not the agent's to tell
                    start, earlier = before.get(process, (b"", 0))
                    grown = time - earlier if start == fields[19] else time
                    taken[uid] = taken.get(uid, 0) + max(grown, 0)
            self._seen, self._taken = seen, taken  # both or, where a process cannot be read, neither
        yield COUNT.sample(sum(states.values()), self._host)
        for letter, count in states.items():
            yield STATES[letter].sample(count, self._host)
        for uid, (count, pages) in users.items():
            user, name = (f"{self._host}.user.{uid}", Metadata.of({"uid": uid})), user_name(uid)
            yield CPU.sample(taken.get(uid, 0) / self._ticks, *user, name)
            yield MEMORY.sample(pages * self._page, *user, name)
            yield PROCESSES.sample(count, *user, name)

    def _read(self) -> Iterator[tuple[str, int, list[bytes]]]:
        """Id, user and fields of each process; what ended meanwhile is none any more."""
        processes = [name for name in os.listdir(self._proc) if name.isdigit()]
        if len(processes) > self._limit:
            raise Unavailable(f"{len(processes)} processes are more than the {self._limit} that are read")
        for process in processes:
            folder = f"{self._proc}/{process}"
            try:
                uid = os.stat(folder).st_uid
                text = table(f"{folder}/stat")
            except (FileNotFoundError, ProcessLookupError):
                continue  # no other error: one that is only left out counts as new when it is seen again
            fields = text[text.rfind(b")") + 2 :].split()  # a name may hold spaces and brackets
            if ALIKE.get(fields[0], fields[0]) in STATES:
                yield process, uid, fields
