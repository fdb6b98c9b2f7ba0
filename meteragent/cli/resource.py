"""Resources that have samples: a list of them, and one with what it has."""

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from meteragent.cli.arguments import add_limit
from meteragent.cli.query import add_choice, chosen
from meteragent.cli.stored import OfStore
from meteragent.clock import iso
from meteragent.errors import MeteragentError

if TYPE_CHECKING:
    from meteragent.sample import Sample
    from meteragent.storage.base import StorageDriver

DEFAULT_LIMIT = 1000
"""Resources that are listed unless told otherwise."""


class ResourceList(OfStore):
    """List the resources that have samples, each as its newest sample tells it."""

    columns = ("resource_id", "source", "project_id", "user_id", "meters", "last_sample")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        parser.add_argument("-m", "--meter", metavar="METER", help="only resources with this meter")
        add_choice(parser, "resources with newest samples")
        add_limit(parser, DEFAULT_LIMIT)
        return parser

    def rows(self, driver: "StorageDriver", parsed_args: argparse.Namespace) -> Iterable[Sequence[Any]]:
        """By id and source."""
        query = chosen(parsed_args, self.settings(), parsed_args.meter)
        found = list(islice(_resources(driver.newest(query)), parsed_args.limit + 1))
        if len(found) > parsed_args.limit:
            self.hint = f"the first {parsed_args.limit} are shown, there are more; --limit shows more"
        for samples in found[: parsed_args.limit]:
            last = max(samples, key=_at)
            yield (
                last.resource_id, last.source, last.project_id, last.user_id, len(samples), iso(_at(last)),
            )  # fmt: skip


class ResourceShow(OfStore):
    """Show a resource as its newest sample tells it, with its meters; a row for each source."""

    columns = (
        "resource_id", "source", "project_id", "project_name", "user_id", "user_name", "first_sample",
        "last_sample", "samples", "meters", "metadata",
    )  # fmt: skip

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        parser.add_argument("id", metavar="ID", help="the resource's id")
        return parser

    def rows(self, driver: "StorageDriver", parsed_args: argparse.Namespace) -> Iterable[Sequence[Any]]:
        """By source."""
        from meteragent.storage.base import Query

        in_words = parsed_args.formatter in ("table", "csv", "value")
        query = Query(resource_id=parsed_args.id, timeout=float(self.settings().conf.storage.query_timeout))
        counted = list(driver.statistics(query, (), ("source",)))
        for samples in _resources(driver.newest(query)):
            last = max(samples, key=_at)
            own = [each for each in counted if each.group == (last.source,)]
            meters = sorted({each.name for each in samples})
            metadata = dict(last.resource_metadata)
            yield (
                last.resource_id, last.source, last.project_id, last.project_name, last.user_id,
                last.user_name, iso(min(each.first for each in own)), iso(_at(last)),
                sum(each.count for each in own), ", ".join(meters) if in_words else meters,
                json.dumps(metadata, ensure_ascii=False) if in_words else metadata,
            )  # fmt: skip
        if not counted:
            raise MeteragentError(
                f"no resource {parsed_args.id!r:.80} has samples; meteragent resource list shows others"
            )


def _at(sample: "Sample") -> int:
    return sample.timestamp or 0


def _resources(newest: Iterable["Sample"]) -> Iterator[list["Sample"]]:
    """The newest samples of each resource, in the order of ids and sources."""
    for _, samples in groupby(newest, key=attrgetter("resource_id")):
        by_source = sorted(samples, key=attrgetter("source"))
        for _, own in groupby(by_source, key=attrgetter("source")):
            yield list(own)
