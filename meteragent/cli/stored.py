"""What the store holds, told whether the agent runs or not."""

import argparse
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from meteragent.cli.arguments import add_range, at_least_one, check_range
from meteragent.cli.command import Lister
from meteragent.cli.query import add_choice, chosen, no_such_meter
from meteragent.clock import iso
from meteragent.errors import NotFound

if TYPE_CHECKING:
    from meteragent.sample import Sample
    from meteragent.storage.base import Query, StorageDriver

DEFAULT_LIMIT = 100
"""Samples that are listed unless told otherwise."""
PAGE = 1000
"""Samples that are read at once."""
SAMPLE_COLUMNS = (
    "timestamp", "name", "type", "unit", "volume", "resource_id", "project_id", "user_id", "source", "id",
)  # fmt: skip


class OfStore(Lister):
    """Base of what reads the store; where there is no store yet, there are no rows."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """The rows."""
        try:
            with self.store() as driver:
                return self.columns, list(self.rows(driver, parsed_args))
        except NotFound as error:
            self.program.hint(str(error))
            return self.columns, []

    @contextmanager
    def store(self) -> Iterator["StorageDriver"]:
        """The storage driver that the config names, for reading only.

        :raises ConfigError: when it is not installed, or cannot use its URL
        """
        from meteragent.cli.reading import reader

        driver = reader(self.settings())
        try:
            yield driver
        finally:
            driver.close()

    @abstractmethod
    def rows(self, driver: "StorageDriver", parsed_args: argparse.Namespace) -> Iterable[Sequence[Any]]:
        """What is asked for."""


class SampleList(OfStore):
    """List samples of a meter, newest first."""

    columns = SAMPLE_COLUMNS
    _hint = ""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        parser.add_argument("-m", "--meter", metavar="METER", required=True, help="the meter's name")
        add_choice(parser, "samples")
        parser.add_argument(
            "--limit",
            metavar="NUMBER",
            type=at_least_one,
            default=DEFAULT_LIMIT,
            help=f"at most so many, {DEFAULT_LIMIT} unless told otherwise",
        )
        return parser

    def check(self, parsed_args: argparse.Namespace) -> None:
        """An empty range is a slip."""
        check_range(self.parser, parsed_args)

    def rows(self, driver: "StorageDriver", parsed_args: argparse.Namespace) -> Iterable[Sequence[Any]]:
        """Read page by page; one more than asked for tells whether there are more."""
        query = chosen(parsed_args, self.settings(), parsed_args.meter)
        for number, sample in enumerate(_samples(driver, query, parsed_args.limit + 1)):
            if number == parsed_args.limit:
                self._hint = f"the newest {parsed_args.limit} are shown, there are more; --limit shows more"
                return
            yield sample_row(sample)
        self._hint = no_such_meter(driver, parsed_args.meter)

    def after(self) -> None:
        """Say when there are more, or why there are none."""
        if self._hint:
            self.program.hint(self._hint)


def _samples(driver: "StorageDriver", query: "Query", most: int) -> Iterator["Sample"]:
    after: tuple[int, ...] | None = None
    while most > 0:
        page = driver.samples(query, min(most, PAGE), after)
        yield from page.samples
        most, after = most - len(page.samples), page.after
        if after is None:
            return


def sample_row(sample: "Sample") -> list[Any]:
    """A sample as a row of SAMPLE_COLUMNS."""
    told = {"timestamp": iso(sample.timestamp or 0), "id": sample.identifier}
    return [told[name] if name in told else getattr(sample, name) for name in SAMPLE_COLUMNS]


class GapList(OfStore):
    """List where samples are missing, and why."""

    columns = ("polling_source", "resource_id", "name", "start", "end", "ticks", "reason")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        add_range(parser, "gaps with ticks")
        return parser

    def check(self, parsed_args: argparse.Namespace) -> None:
        """An empty range is a slip."""
        check_range(self.parser, parsed_args)

    def rows(self, driver: "StorageDriver", parsed_args: argparse.Namespace) -> Iterable[Sequence[Any]]:
        """As the store derives them."""
        for gap in driver.gaps(parsed_args.start, parsed_args.end):
            yield (
                gap.polling_source, gap.resource_id, gap.name, iso(gap.start), iso(gap.end), gap.ticks,
                gap.reason,
            )  # fmt: skip
