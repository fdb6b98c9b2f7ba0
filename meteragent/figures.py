"""What the agent tells about itself: the table of figures, and their text for Prometheus.

Apart from what is counted where, so that the socket and the pollster tell the same under one name.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

Type = Literal["cumulative", "gauge"]


class Kind(msgspec.Struct, frozen=True):
    """A kind of figure."""

    name: str
    """As a meter it begins with ``meteragent.``, for Prometheus with ``meteragent_``."""
    type: Type
    unit: str
    help: str
    by: tuple[str, ...] = ()
    """What there is a figure of each for: names of labels."""

    @property
    def meter(self) -> str:
        """Its name as a meter."""
        return f"meteragent.{self.name}"

    @property
    def metric(self) -> str:
        """Its name for Prometheus, with the unit."""
        words = ["meteragent", *self.name.split(".")]
        unit = UNITS[self.unit]
        if unit and unit not in words:
            words.append(unit)
        if self.type == "cumulative":
            words.append("total")
        return "_".join(words)


class Figure(msgspec.Struct, frozen=True):
    """A value of a kind."""

    kind: Kind
    value: int | float
    owner: tuple[str, ...] = ()
    """A value for each label of ``kind.by``."""


UNITS = {
    "sample": "samples",
    "message": "messages",
    "batch": "batches",
    "tick": "ticks",
    "poll": "polls",
    "s": "seconds",
    "B": "bytes",
    "1": "",
}
"""How Prometheus calls a unit."""
SINK, SOURCE, POLLSTER = ("sink",), ("polling_source",), ("polling_source", "pollster")
LISTENER = ("listener",)
OUTCOMES = {"complete": "complete", "partial": "partial", "failed": "failed", "timed out": "timed_out"}
"""Outcomes of a poll, and what they are called here."""

LINES = {
    "delivered": "were published and taken",
    "duplicate": "were there already with the same content",
    "superseded": "were there already from another poll of their tick",
    "conflict": "are in quarantine, as they contradict what is there",
    "unmatched": "the sink does not take",
    "absorbed": "a transformer has made into others",
    "quarantined": "are in quarantine for another reason",
    "discarded": "a person let go of",
    "detached": "were missed as the sink lagged too far or was not configured",
}


def _type(line: str) -> Type:
    """What is in quarantine can be taken out of it again."""
    return "gauge" if line in ("conflict", "quarantined") else "cumulative"


_KINDS = [
    Kind("messages.received", "cumulative", "message", "Messages that came from buses and were taken in."),
    Kind(
        "messages.converted", "cumulative", "message", "Messages that became samples or events, or tell none."
    ),
    Kind("messages.ignored", "cumulative", "message", "Messages that no handler asks for."),
    Kind("messages.quarantined", "gauge", "message", "Messages that wait in quarantine."),
    Kind("messages.discarded", "cumulative", "message", "Messages in quarantine that a person let go of."),
    Kind(
        "listener.received",
        "cumulative",
        "message",
        "Messages that a bus delivered, again included.",
        LISTENER,
    ),
    Kind("listener.pending", "gauge", "message", "Messages delivered and not acknowledged yet.", LISTENER),
    Kind("listener.reconnects", "cumulative", "1", "Connections to the bus after the first.", LISTENER),
    Kind("listener.waiting", "gauge", "1", "1 while nothing comes from the bus, else 0.", LISTENER),
    Kind("samples.read", "cumulative", "sample", "Samples that came out of pollsters and messages."),
    Kind("samples.journaled", "cumulative", "sample", "Samples that were journaled."),
    Kind("samples.refused", "gauge", "sample", "Samples refused at intake that wait in quarantine."),
    Kind("samples.discarded", "cumulative", "sample", "Refused samples that a person let go of."),
    *(
        Kind(f"sink.{line}", _type(line), "sample", f"Samples that {what}.", SINK)
        for line, what in LINES.items()
    ),
    Kind("sink.pending", "gauge", "sample", "Samples that the sink has not published yet.", SINK),
    Kind("sink.lag.batches", "gauge", "batch", "Batches that the sink has not published yet.", SINK),
    Kind("sink.lag", "gauge", "s", "Age of the oldest batch that the sink has not published yet.", SINK),
    Kind("sink.waiting", "gauge", "1", "1 while the sink cannot publish, else 0.", SINK),
    Kind("journal.pending", "gauge", "B", "Batches in the journal that some sink has not published yet."),
    Kind("journal.holding", "gauge", "1", "1 while the agent does not accept everything, else 0."),
    Kind("quarantine", "gauge", "B", "What is in quarantine."),
    Kind("source.polled", "cumulative", "tick", "Ticks at which the source was polled.", SOURCE),
    Kind("source.missed", "cumulative", "tick", "Ticks at which the source was not polled.", SOURCE),
    Kind("source.busy", "cumulative", "s", "Time that polls of the source took.", SOURCE),
    Kind("source.late", "cumulative", "s", "Time by which polls began after their ticks.", SOURCE),
    Kind("source.last.duration", "gauge", "s", "Time that the last poll took.", SOURCE),
    Kind("source.last.lateness", "gauge", "s", "Time by which the last poll began after its tick.", SOURCE),
    *(
        Kind(
            f"pollster.{outcome}", "cumulative", "poll", f"Polls of the pollster that ended {told}.", POLLSTER
        )
        for told, outcome in OUTCOMES.items()
    ),
    Kind("pollster.samples", "cumulative", "sample", "Samples that the pollster yielded.", POLLSTER),
    Kind("pollster.busy", "cumulative", "s", "Time that polls of the pollster took.", POLLSTER),
    Kind(
        "plugin.calls", "cumulative", "1", "Calls of the plugin, where the stopwatch is in use.", ("plugin",)
    ),
    Kind(
        "plugin.busy",
        "cumulative",
        "s",
        "Time that calls of the plugin took, to the end of what they yielded.",
        ("plugin",),
    ),
    Kind("reload.accepted", "cumulative", "1", "Reloads of the configuration that were accepted."),
    Kind("reload.refused", "cumulative", "1", "Reloads of the configuration that were refused."),
    Kind("process.cpu", "cumulative", "s", "Processor time of the process."),
    Kind("process.resident", "gauge", "B", "Memory that the process holds."),
    Kind("process.start.time", "gauge", "s", "When the process began, since the epoch."),
    Kind("build", "gauge", "1", "1; the version is in the label.", ("version",)),
]
KINDS = {kind.name: kind for kind in _KINDS}
"""All of them by name."""


def prometheus(figures: Iterable[Figure]) -> str:
    """The text that Prometheus reads, version 0.0.4; kinds in the order of the table."""
    lines: dict[str, list[str]] = {}
    for figure in figures:
        labels = ",".join(
            f'{name}="{_escaped(value)}"'
            for name, value in zip(figure.kind.by, figure.owner, strict=True)
        )  # fmt: skip
        shown = f"{{{labels}}}" if labels else ""
        lines.setdefault(figure.kind.name, []).append(f"{figure.kind.metric}{shown} {figure.value!r}\n")
    text = []
    for name, kind in KINDS.items():
        if name in lines:
            told = "counter" if kind.type == "cumulative" else "gauge"
            text += [f"# HELP {kind.metric} {kind.help}\n", f"# TYPE {kind.metric} {told}\n", *lines[name]]
    return "".join(text)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
