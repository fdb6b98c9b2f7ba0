"""Curves drawn in text: a line for each, its scale beside it; apart, as nothing in it knows the store."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TextIO

from meteragent.clock import iso
from meteragent.plain import printable

BLOCKS, PLAIN = "▁▂▃▄▅▆▇█", ".:-=+*#@"
NARROWEST = 8
"""Characters that a line has at least."""


class Curve(NamedTuple):
    """Values of one group by the instant at which their period begins."""

    label: str
    unit: str
    points: dict[int, int | float]


def drawn(curves: Sequence[Curve], period: int, output: TextIO) -> Iterator[str]:
    """Lines of a chart as wide as the terminal; curves of one unit have one scale, a gap is blank.

    Where there are more periods than room, a character stands for several and shows the largest.

    :param period: microseconds
    """
    if not curves:
        return
    instants = [at for curve in curves for at in curve.points]
    first, last = min(instants), max(instants)
    labels = [printable(f"{curve.label} [{curve.unit}]") for curve in curves]
    scales = {unit: _scale(curve for curve in curves if curve.unit == unit) for unit in _units(curves)}
    beside = [" to ".join(map(_short, _scale([curve]))) for curve in curves]
    width = shutil.get_terminal_size().columns
    margin = min(max(map(len, labels)), max(width // 3, NARROWEST))
    room = max(width - margin - max(map(len, beside)) - 2, NARROWEST)
    periods = (last - first) // period + 1
    together = -(-periods // room)
    blocks = _blocks(output)
    for curve, label, own in zip(curves, labels, beside, strict=True):
        cells: dict[int, int | float] = {}
        for at, value in curve.points.items():
            cell = (at - first) // period // together
            cells[cell] = max(value, cells.get(cell, value))
        low, high = scales[curve.unit]
        line = "".join(
            _block(cells[cell], low, high, blocks) if cell in cells else " "
            for cell in range(-(-periods // together))
        )
        yield f"{label[:margin]:<{margin}} {line} {own}"
    drawn_together = f"; a character is the largest of {together} periods" if together > 1 else ""
    yield f"{'':<{margin}} {iso(first)} to {iso(last + period)}{drawn_together}"


def _units(curves: Iterable[Curve]) -> set[str]:
    return {curve.unit for curve in curves}


def _scale(curves: Iterable[Curve]) -> tuple[int | float, int | float]:
    values = [value for curve in curves for value in curve.points.values()]
    return min(values), max(values)


def _block(value: int | float, low: int | float, high: int | float, blocks: str) -> str:
    if low == high:
        return blocks[0]
    # halves, as the difference of two doubles may be too large for one
    part = (value / 2 - low / 2) / (high / 2 - low / 2)
    return blocks[min(int(part * len(blocks)), len(blocks) - 1)]


def _blocks(output: TextIO) -> str:
    try:
        BLOCKS.encode(output.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return PLAIN
    return BLOCKS


def _short(value: int | float) -> str:
    return f"{value:.6g}"
