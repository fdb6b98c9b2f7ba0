"""Curves drawn into a picture; apart, because only it needs matplotlib, which is an extra."""

import importlib
import importlib.util
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from meteragent.cli.chart import Curve
from meteragent.clock import SECOND
from meteragent.errors import MeteragentError

MOST_NAMED = 20
"""Curves that are named in the picture; a longer legend would hide them."""


def require() -> None:
    """See that pictures can be drawn here.

    :raises MeteragentError: when matplotlib is not installed
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise MeteragentError("--plot needs matplotlib, which is not installed: pip install meteragent[plot]")


def plotted(curves: Sequence[Curve], path: Path, title: str) -> None:
    """Draw them into a PNG file, which is replaced when there is one.

    :raises OSError: when the file cannot be written
    :raises MeteragentError: when they reach to where matplotlib's calendar ends
    """
    try:
        _draw(curves, path, title)
    except (ValueError, OverflowError) as error:
        raise MeteragentError(
            f"--plot cannot draw this: {str(error)[:200]}; narrow the range with --start and --end"
        ) from None


def _draw(curves: Sequence[Curve], path: Path, title: str) -> None:
    figure = importlib.import_module("matplotlib.figure").Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots()
    for curve in curves:
        instants = [datetime.fromtimestamp(at / SECOND, UTC) for at in curve.points]
        # a leading underscore or a dollar sign means something to matplotlib
        label = f"{curve.label} [{curve.unit}]".replace("$", r"\$").lstrip("_")
        axes.plot(instants, [float(value) for value in curve.points.values()], marker=".", label=label)
    axes.set_title(title.replace("$", r"\$"))
    axes.grid(visible=True, alpha=0.3)
    if 0 < len(curves) <= MOST_NAMED:
        figure.legend(loc="outside right upper")
    figure.autofmt_xdate()
    figure.savefig(path, format="png")
