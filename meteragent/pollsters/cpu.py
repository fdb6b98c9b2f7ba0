"""What the processors of this machine did; apart because the kernel tells all of it in one table.

Utilisation is no meter: a level would hold for the time since an earlier poll only, which one of
several polling sources may have made. It is computed of these times, for any period and exactly.
"""

import os
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from meteragent.errors import PluginUnavailable
from meteragent.machine import table
from meteragent.pollsters.base import Meter, Pollster
from meteragent.sample import Sample

MODES = tuple(
    Meter(f"host.cpu.{mode}", "cumulative", "s", meaning)
    for mode, meaning in (
        ("user", "Time of all processors together in programs, that of virtual machines included."),
        ("nice", "The same, in programs of lowered priority."),
        ("system", "… in the kernel on behalf of programs."),
        ("idle", "… with nothing to do."),
        ("iowait", "… with nothing to do but to wait for a disk."),
        ("irq", "… in interrupts of devices."),
        ("softirq", "… in the deferred part of interrupts, most of it network traffic."),
        ("steal", "… in which this machine, a virtual one, wanted to run and others ran."),
    )
)
"""In the kernel's order; each moment of each processor is counted in exactly one."""
COUNT = Meter("host.cpu.count", "gauge", "cpu", "Processors online, each hardware thread counted.")
LINES = {
    Meter(
        "host.context.switches", "cumulative", "switch", "Changes of a processor from one thread to another."
    ): b"\nctxt ",
    Meter("host.interrupts", "cumulative", "interrupt", "Interrupts of devices and timers."): b"\nintr ",
    Meter(
        "host.interrupts.soft", "cumulative", "interrupt", "Parts of them that were deferred."
    ): b"\nsoftirq ",
    Meter("host.forks", "cumulative", "process", "Processes and threads that were begun."): b"\nprocesses ",
    Meter(
        "host.threads.running",
        "gauge",
        "thread",
        "Threads that run or wait for a processor, the agent's too.",
    ): b"\nprocs_running ",
    Meter("host.threads.blocked", "gauge", "thread", "Threads that wait for a disk."): b"\nprocs_blocked ",
}
"""How the line begins in which each stands."""


class Rising:
    """Times as the kernel counts them, kept from falling a little; in any thread.

    What a processor that sleeps waits for is told in hindsight, so ``idle`` or ``iowait`` may fall by
    seconds. As a counter that started again, which such a fall is none of, it would count twice.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._highest: dict[bytes, list[int]] = {}

    def held(self, processor: bytes, times: Iterable[bytes]) -> list[int]:
        """The times of a processor, each at least what it was unless it fell by half or more."""
        now = [int(time) for time in times]
        with self._lock:
            before = self._highest.get(processor, now)
            now = [old if time < old < 2 * time else time for old, time in zip(before, now, strict=True)]
            self._highest[processor] = now
        return now


class CPUPollster(Pollster):
    """Seconds that all processors together spent in each mode since boot, and what they dealt with."""

    default_discovery = "local_host"
    declares = (*MODES, COUNT, *LINES)
    meters = tuple(meter.name for meter in declares)

    def __init__(self, host: str, proc: str = "/proc", ticks: int = os.sysconf("SC_CLK_TCK")) -> None:
        """
        :param proc: folder where the kernel shows its tables
        :param ticks: in which the kernel counts a second
        :raises PluginUnavailable: when the processor times cannot be read
        """
        self._host, self._ticks, self._path = host, ticks, os.path.join(proc, "stat")
        self._times = Rising()
        try:
            text = table(self._path)
        except OSError as error:
            raise PluginUnavailable(f"{self._path}: {error.strerror}") from None
        if not text.startswith(b"cpu "):
            raise PluginUnavailable(f"{self._path} does not begin with the processor times")
        known = len(text[: text.index(b"\n")].split()) - 1
        lacking = {meter.name: "this kernel does not tell it" for meter in MODES[known:]}
        self._lines = {meter: line for meter, line in LINES.items() if line in text}
        for meter, line in LINES.items() - self._lines.items():
            lacking[meter.name] = f"{self._path} has no {line.strip().decode()}"
        self._lack(lacking)

    def get_samples(self, resources: list[Any]) -> Iterator[Sample]:  # noqa: ARG002  always this machine
        """Yield one sample a meter; the resource is the host."""
        text, host = table(self._path), self._host
        all_, *times = text[: text.index(b"\n")].split()
        # guests follow, who are counted already
        for meter, time in zip(MODES, self._times.held(all_, times), strict=False):
            yield meter.sample(time / self._ticks, host)
        yield COUNT.sample(text.count(b"\ncpu"), host)
        for meter, line in self._lines.items():
            start = text.index(line) + len(line)
            yield meter.sample(int(text[start : start + 20].split(maxsplit=1)[0]), host)
