"""What the journal holds and what became of it: its lines of account, its soundness, its sinks."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cliff.columns import FormattableColumn

from meteragent.cli.command import Lister
from meteragent.clock import iso
from meteragent.errors import NotFound

if TYPE_CHECKING:
    from meteragent.config import Settings
    from meteragent.journal.status import Status as JournalStatus


def journal_path(settings: "Settings") -> Path:
    """Where the journal lies."""
    from meteragent.state_folder import JOURNAL

    return settings.state_dir / JOURNAL


class Parts(FormattableColumn[dict[str, int]]):
    """The parts of a line of account: a mapping for programs, a sum for people."""

    def human_readable(self) -> str:
        """The sum, without the parts that are 0."""
        return " + ".join(f"{count} {name}" for name, count in self._value.items() if count) or "0"


class OfJournal(Lister):
    """Base of what reads the status of the journal; without a journal there are no rows."""

    def status(self) -> "JournalStatus | None":
        """The journal's account, if there is a journal."""
        from meteragent.journal.status import read

        try:
            return read(journal_path(self.settings()))
        except NotFound as error:
            self.program.hint(f"{error}; meteragent run makes it")
            return None


class Status(OfJournal):
    """Show the journal's lines of account; exit code 1 when one does not add up."""

    columns = ("line", "whole", "parts", "balanced")

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """The lines: messages, samples read, and for each sink what became of those since it exists."""
        del parsed_args
        status = self.status()
        if status is None:
            return self.columns, []
        self.code = 0 if status.balanced else 1
        self.program.hint(
            f"journal {status.path} of agent {status.agent}: batches {status.first} to {status.last}, "
            f"{status.size} bytes"
        )
        messages = status.messages
        read = {"journaled": status.journaled, "refused": status.refused, "discarded": status.discarded}
        rows: list[tuple[Any, ...]] = [
            ("messages received", messages.received, Parts(messages.parts), messages.balanced),
            ("samples read", status.read, Parts(read), status.read == sum(read.values())),
        ]
        for sink in status.sinks:
            rows.append((f"sink {sink.name}", sink.journaled, Parts(sink.parts), sink.balanced))
        return self.columns, rows


class SinkList(OfJournal):
    """Show the sinks, where they stand, and what became of the samples they were given."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it, once the columns are known."""
        from meteragent.journal.schema import COUNTS

        self.columns = ("name", "mode", "sequence", "journaled", *COUNTS, "pending", "balanced")
        return super().get_parser(prog_name)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """A row for each sink."""
        del parsed_args
        status = self.status()
        sinks = status.sinks if status else []
        return self.columns, [[getattr(sink, column) for column in self.columns] for sink in sinks]


class SinkShow(Lister):
    """Show which batches a sink missed, and why."""

    columns = ("first", "last", "samples", "at", "reason")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the sink's name")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """A row for each range of batches, oldest first."""
        from meteragent.journal.status import detached

        ranges = detached(journal_path(self.settings()), parsed_args.name)
        return self.columns, [
            (each.first, each.last, each.samples, iso(each.at), each.reason) for each in ranges
        ]


class Verify(Lister):
    """Check every batch of the journal against its digest; exit code 1 when one is damaged."""

    columns = ("sequence", "reason")

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """The damaged batches."""
        del parsed_args
        from meteragent.journal.verify import verify

        found = verify(journal_path(self.settings()), self.shown.tell)
        self.code = 1 if found.damaged else 0
        self.program.hint(
            f"{found.batches} batches from {found.first} on: "
            + (f"{len(found.damaged)} faults" if found.damaged else "all sound")
        )
        return self.columns, [(damage.sequence, damage.reason) for damage in found.damaged]
