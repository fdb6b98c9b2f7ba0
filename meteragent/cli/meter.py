"""`meteragent meter list`: the meters that have samples, and what was heard of them last."""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from meteragent.cli.query import add_choice, chosen
from meteragent.cli.stored import OfStore
from meteragent.clock import iso

if TYPE_CHECKING:
    from meteragent.sample import Sample
    from meteragent.storage.base import StorageDriver


class MeterList(OfStore):
    """List the meters that have samples, with what was heard of them last."""

    columns = ("name", "type", "unit", "resources", "last_sample", "volume")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        add_choice(parser, "meters with newest samples")
        return parser

    def rows(self, driver: "StorageDriver", parsed_args: argparse.Namespace) -> Iterable[Sequence[Any]]:
        """By name; a type or unit that no series has any more is listed, too, unless some are chosen."""
        from meteragent.storage.base import Query

        query = chosen(parsed_args, self.settings(), None)
        newest: dict[tuple[str, str, str], list[Sample]] = defaultdict(list)
        for sample in driver.newest(query):
            newest[sample.name, sample.type, sample.unit].append(sample)
        if query == Query(timeout=query.timeout):
            for meter in driver.meters():
                newest.setdefault((meter.name, meter.type, meter.unit), [])
        for key in sorted(newest):
            samples = newest[key]
            resources = {(sample.source, sample.resource_id) for sample in samples}
            last = max((sample.timestamp or 0 for sample in samples), default=None)
            volume = samples[0].volume if len(samples) == 1 else None
            yield (*key, len(resources), None if last is None else iso(last), volume)
