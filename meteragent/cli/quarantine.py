"""What was refused and waits for a person: see it, offer it again, or let go of it under one's name."""

import argparse
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from meteragent.cli.arguments import at_least_one, name
from meteragent.cli.command import Lister
from meteragent.cli.journal import journal_path
from meteragent.clock import iso
from meteragent.errors import NotFound, Rejected

if TYPE_CHECKING:
    from meteragent.journal.quarantine import Entry, Quarantine

COLUMNS = (
    "id", "at", "category", "sink", "polling_source", "pollster", "event_type", "message_id", "reason",
    "samples", "size", "state",
)  # fmt: skip
LABELS = ("routing_key", "content_type", "content_encoding")
"""What a broker tells of a message."""


class OfQuarantine(Lister):
    """Base of what opens the quarantine."""

    def quarantine(self) -> "closing[Quarantine]":
        """The quarantine, closed afterwards.

        :raises NotFound: when there is no journal
        """
        from meteragent.journal.quarantine import Quarantine

        return closing(Quarantine(journal_path(self.settings())))

    def row(self, entry: "Entry") -> list[Any]:
        """An entry as a row of these columns."""
        values = {"at": iso(entry.at)}
        if "payload" in self.columns:
            values |= _held(entry)
        return [values[name] if name in values else getattr(entry, name) for name in self.columns]


def _held(entry: "Entry") -> dict[str, Any]:
    """The payload for people: samples as JSON, a message as it came; and what a broker told of that."""
    from meteragent.journal.quarantine import shown_message

    labels = dict.fromkeys(LABELS)
    try:
        if not entry.of_message:
            return {"payload": _samples(entry), **labels}
        message = shown_message(entry)
    except Rejected:
        return {"payload": entry.payload.decode(errors="backslashreplace"), **labels}
    return {
        "payload": message.body.decode(errors="backslashreplace"),
        **{name: getattr(message, name) for name in LABELS},
    }


def _samples(entry: "Entry") -> str:
    """The samples as JSON.

    :raises Rejected: when it holds none
    """
    import msgspec

    from meteragent.journal.quarantine import samples_of

    return msgspec.json.encode([sample.as_dict() for sample in samples_of(entry)]).decode()


class QuarantineList(OfQuarantine):
    """List what is in quarantine, oldest first."""

    columns = COLUMNS

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """A row for each entry."""
        del parsed_args
        try:
            with self.quarantine() as quarantine:
                return self.columns, [self.row(entry) for entry in quarantine.list()]
        except NotFound as error:
            self.program.hint(f"{error}; meteragent run makes it")
            return self.columns, []


class QuarantineShow(OfQuarantine):
    """Show entries of the quarantine whole, with what stood against them and what they hold."""

    columns = (*COLUMNS, "by", "detail", *LABELS, "payload")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        parser.add_argument("id", metavar="ID", type=at_least_one, nargs="+", help="the entry's id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """A row for each of them."""
        with self.quarantine() as quarantine:
            return self.columns, [self.row(quarantine.show(number)) for number in parsed_args.id]


class _Settle(OfQuarantine):
    """Base of what a person decides about entries."""

    columns = ("entries", "samples")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        parser.add_argument("id", metavar="ID", type=at_least_one, nargs="*", help="the entry's id")
        parser.add_argument("--all", action="store_true", help="all entries instead of some")
        parser.add_argument("--by", metavar="NAME", type=name, required=True, help="who decides this")
        return parser

    def check(self, parsed_args: argparse.Namespace) -> None:
        """Entries are named, or all are meant."""
        if bool(parsed_args.id) == parsed_args.all:
            self.parser.error("name entries by their ids, or take --all")

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """How many entries and samples it concerned."""
        with self.quarantine() as quarantine:
            numbers = list(dict.fromkeys(parsed_args.id)) or self.all(quarantine)
            self.shown.tell("settling entries", len(numbers), 0)
            return self.columns, [(len(numbers), self.settle(quarantine, numbers, parsed_args.by))]

    def all(self, quarantine: "Quarantine") -> list[int]:
        """The ids that ``--all`` stands for."""
        return [entry.id for entry in quarantine.list()]

    @abstractmethod
    def settle(self, quarantine: "Quarantine", numbers: list[int], by: str) -> int:
        """Do it; how many samples it concerns."""


class QuarantineReplay(_Settle):
    """Offer samples to their sink again, and convert messages again, once the reason is gone."""

    def all(self, quarantine: "Quarantine") -> list[int]:
        """Those that still hold samples of a sink, or a message."""
        from meteragent.journal.quarantine import check_replayable

        found, others = [], 0
        numbers = super().all(quarantine)
        for place, number in enumerate(numbers):
            self.shown.tell("reading entries", place, len(numbers))
            try:
                check_replayable(quarantine.show(number))
                found.append(number)
            except Rejected:
                others += 1
        if others:
            self.program.hint(f"{others} entries cannot be replayed, only discarded")
        return found

    def settle(self, quarantine: "Quarantine", numbers: list[int], by: str) -> int:
        """Mark them for the agent."""
        samples = quarantine.replay(numbers, by)
        if not self.settings().conf.notification.messaging_urls:
            messages = sum(not quarantine.show(number).sink for number in numbers)
            if messages:
                self.program.hint(
                    f"{messages} of them are messages, which an agent converts again only where"
                    " [notification] messaging_urls names a bus"
                )
        return samples


class QuarantineDiscard(_Settle):
    """Let go of entries for good; the account keeps who did."""

    def settle(self, quarantine: "Quarantine", numbers: list[int], by: str) -> int:
        """Count them as discarded."""
        return quarantine.discard(numbers, by)
