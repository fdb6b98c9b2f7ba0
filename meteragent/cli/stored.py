"""What the store holds, told whether the agent runs or not."""

import argparse
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

from meteragent.cli.arguments import add_limit, add_range, check_range
from meteragent.cli.command import Lister
from meteragent.cli.query import add_choice, chosen, no_such_meter
from meteragent.clock import iso
from meteragent.errors import NotFound

if TYPE_CHECKING:
    from meteragent.sample import Sample
    from meteragent.storage.base import Query, StorageDriver

T = TypeVar("T")
Key = tuple[int, ...] | None
AskPage = Callable[[int, Key], tuple[Sequence[T], Key]]
"""Gives at most so many, going on behind a key, and the key to go on with; None at the end."""

DEFAULT_LIMIT = 100
"""Samples that are listed unless told otherwise."""
PAGE = 1000
"""Samples, or events, that are read at once."""
SAMPLE_COLUMNS = (
    "timestamp", "name", "type", "unit", "volume", "resource_id", "project_id", "user_id", "source", "id",
)  # fmt: skip


class OfStore(Lister):
    """Base of what reads the store; where there is no store yet, there are no rows."""

    hint = ""
    """What ``rows`` has to say when they are shown, as that there are more, or why there are none."""

    def check(self, parsed_args: argparse.Namespace) -> None:
        """An empty range is a slip."""
        if "start" in parsed_args:
            check_range(self.parser, parsed_args)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """The rows.

        :raises ConfigError: when the storage driver is not installed, or cannot use its URL
        """
        from meteragent.control.reading import reader

        try:
            with closing(reader(self.settings())) as driver:
                return self.columns, list(self.rows(driver, parsed_args))
        except NotFound as error:
            self.program.hint(str(error))
            return self.columns, []

    def after(self) -> None:
        """Say it."""
        if self.hint:
            self.program.hint(self.hint)

    @abstractmethod
    def rows(self, driver: "StorageDriver", parsed_args: argparse.Namespace) -> Iterable[Sequence[Any]]:
        """What is asked for."""

    def read(self, ask: AskPage[T], most: int, what: str) -> Iterator[T]:
        """At most so many, page by page."""
        count, after = 0, None
        while count < most:
            found, after = ask(min(most - count, PAGE), after)
            yield from found
            count += len(found)
            self.shown.tell(f"reading {what}", count, 0)
            if after is None:
                return

    def newest(self, ask: AskPage[T], limit: int, what: str) -> Iterator[T]:
        """At most so many; one more than that tells whether there are more."""
        for number, each in enumerate(self.read(ask, limit + 1, what)):
            if number == limit:
                self.hint = f"the newest {limit} are shown, there are more; --limit shows more"
                return
            yield each


class SampleList(OfStore):
    """List samples of a meter, newest first."""

    columns = SAMPLE_COLUMNS

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        parser.add_argument("-m", "--meter", metavar="METER", required=True, help="the meter's name")
        add_choice(parser, "samples")
        add_limit(parser, DEFAULT_LIMIT)
        return parser

    def rows(self, driver: "StorageDriver", parsed_args: argparse.Namespace) -> Iterable[Sequence[Any]]:
        """Newest first."""
        query, sample = chosen(parsed_args, self.settings(), parsed_args.meter), None
        for sample in self.newest(_pages(driver, query), parsed_args.limit, "samples"):
            yield sample_row(sample)
        if sample is None:
            self.hint = no_such_meter(driver, parsed_args.meter)


def _pages(driver: "StorageDriver", query: "Query") -> "AskPage[Sample]":
    def ask(limit: int, after: Key) -> "tuple[list[Sample], Key]":
        page = driver.samples(query, limit, after)
        return page.samples, page.after

    return ask


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

    def rows(self, driver: "StorageDriver", parsed_args: argparse.Namespace) -> Iterable[Sequence[Any]]:
        """As the store derives them."""
        for gap in driver.gaps(parsed_args.start, parsed_args.end):
            yield (
                gap.polling_source, gap.resource_id, gap.name, iso(gap.start), iso(gap.end), gap.ticks,
                gap.reason,
            )  # fmt: skip
