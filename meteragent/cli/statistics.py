"""`meteragent statistics`: aggregates of a meter's samples by period and group, as rows, chart or picture."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meteragent.cli.arguments import period
from meteragent.cli.chart import Curve, drawn
from meteragent.cli.query import add_choice, chosen, no_such_meter
from meteragent.cli.stored import OfStore
from meteragent.clock import SECOND, iso
from meteragent.errors import QueryError

if TYPE_CHECKING:
    from meteragent.storage.base import Statistic, StorageDriver

DEFAULT_AGGREGATES = ("count", "min", "max", "avg", "sum")


class Statistics(OfStore):
    """Show aggregates of a meter's samples, by period and group."""

    columns = (
        "name", "unit", "period_start", "period_end", *DEFAULT_AGGREGATES, "duration_start", "duration_end",
        "duration",
    )  # fmt: skip
    _drawn = ""
    _curves: Sequence[Curve] = ()

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        add = parser.add_argument
        add("-m", "--meter", metavar="METER", required=True, help="the meter's name")
        add_choice(parser, "samples")
        add("--period", metavar="SPAN", type=period,
            help="a row for each period so long: seconds, or a number with s, m, h, d or w")  # fmt: skip
        add("--group-by", metavar="FIELDS", type=_names, default=[],
            help="a row for each value of these fields, with commas between")  # fmt: skip
        add("--aggregate", metavar="LIST", type=_names,
            help="some of count, min, max, avg, sum, stddev, cardinality/FIELD; commas between")  # fmt: skip
        add(
            "--chart",
            action="store_true",
            help="draw an aggregate in text instead of rows: the first of LIST, or avg",
        )
        add("--plot", metavar="FILE", type=_picture,
            help="draw that aggregate into this PNG file, too; needs meteragent[plot]")  # fmt: skip
        return parser

    def check(self, parsed_args: argparse.Namespace) -> None:
        """What does not go together is a slip."""
        from meteragent.storage.query import check_statistics

        super().check(parsed_args)
        if (parsed_args.chart or parsed_args.plot) and parsed_args.period is None:
            self.parser.error("--chart and --plot draw one point a period; give --period")
        if parsed_args.chart and parsed_args.formatter != "table":
            self.parser.error(f"--chart takes the place of rows; leave out -f {parsed_args.formatter}")
        self._drawn = parsed_args.aggregate[0] if parsed_args.aggregate else "avg"
        parsed_args.aggregate = parsed_args.aggregate or list(DEFAULT_AGGREGATES)
        try:
            check_statistics(parsed_args.period, parsed_args.group_by, parsed_args.aggregate)
        except QueryError as error:
            self.parser.error(str(error))
        if parsed_args.plot:
            from meteragent.cli.plot import require

            require()
        self.columns = (
            "name", *parsed_args.group_by, "unit", "period_start", "period_end", *parsed_args.aggregate,
            "duration_start", "duration_end", "duration",
        )  # fmt: skip

    def rows(self, driver: "StorageDriver", parsed_args: argparse.Namespace) -> Iterable[Sequence[Any]]:
        """By group, unit and period."""
        query = chosen(parsed_args, self.settings(), parsed_args.meter)
        found = driver.statistics(query, parsed_args.aggregate, parsed_args.group_by, parsed_args.period)
        if not found:
            self.hint = no_such_meter(driver, parsed_args.meter)
        self._curves = _curves(found, parsed_args.aggregate.index(self._drawn))
        if parsed_args.plot:
            from meteragent.cli.plot import plotted

            plotted(self._curves, parsed_args.plot, f"{self._drawn} of {parsed_args.meter}")
        return [_row(statistic) for statistic in found]

    def show(
        self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Iterable[Sequence[Any]]
    ) -> int:
        """The chart, or the rows."""
        if not parsed_args.chart:
            return super().show(parsed_args, column_names, data)
        for line in drawn(self._curves, parsed_args.period, self.app.stdout):
            self.app.stdout.write(f"{line}\n")
        return 0


def _names(text: str) -> list[str]:
    """Names with commas between."""
    found = [name.strip() for name in text.split(",")]
    if not all(found):
        raise argparse.ArgumentTypeError(f"{text!r:.80} lacks a name; write names with commas between")
    if len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"{text!r:.80} has a name twice")
    return found


def _picture(text: str) -> Path:
    """A file that a picture may be written to."""
    path = Path(text)
    if path.suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"{text!r:.80} is no name of a PNG file; it ends in .png")
    return path


def _row(statistic: "Statistic") -> list[Any]:
    start, end = (None if at is None else iso(at) for at in (statistic.start, statistic.end))
    first, last = statistic.first, statistic.last
    return [
        statistic.name, *statistic.group, statistic.unit, start, end, *statistic.values, iso(first),
        iso(last), (last - first) / SECOND,
    ]  # fmt: skip


def _curves(found: Sequence["Statistic"], place: int) -> list[Curve]:
    """The aggregate at one place, of each group over time."""
    curves: dict[tuple[Any, ...], Curve] = {}
    for statistic in found:
        label = " ".join(map(str, statistic.group)) or statistic.name
        curve = curves.setdefault((statistic.group, statistic.unit), Curve(label, statistic.unit, {}))
        curve.points[statistic.start or 0] = statistic.values[place]
    return list(curves.values())
