"""Events that the store keeps: a list of them, one message's whole, and the traits that there are."""

import argparse
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from meteragent.cli.arguments import add_limit, add_range
from meteragent.cli.query import add_timeout
from meteragent.cli.stored import PAGE, AskPage, Key, OfStore
from meteragent.cli.trait import KINDS, conditions, trait
from meteragent.clock import iso
from meteragent.errors import MeteragentError
from meteragent.plain import near

if TYPE_CHECKING:
    from meteragent.event import Event
    from meteragent.storage.base import EventQuery, StorageDriver

DEFAULT_LIMIT = 100
"""Events that are listed unless told otherwise."""
IN_WORDS = ("table", "csv", "value")
"""Formats that have no lists and mappings."""


class EventList(OfStore):
    """List events, newest first."""

    columns = ("generated", "event_type", "message_id", "traits")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--event-type", metavar="GLOB", help="only events of this type; * is any text, ? a character"
        )
        parser.add_argument(
            "--trait",
            metavar="CONDITION",
            type=trait,
            action="append",
            default=[],
            help="only events with such a trait: 'NAME OP VALUE' such as 'state = active'; may be repeated",
        )
        add_range(parser, "events")
        add_limit(parser, DEFAULT_LIMIT)
        add_timeout(parser)
        return parser

    def rows(self, driver: "StorageDriver", parsed_args: argparse.Namespace) -> Iterable[Sequence[Any]]:
        """Newest first."""
        from meteragent.storage.base import EventQuery

        in_words, event = parsed_args.formatter in IN_WORDS, None
        told = driver.traits(parsed_args.event_type) if parsed_args.trait else []
        try:
            chosen = tuple(each for wanted in parsed_args.trait for each in conditions(wanted, told))
        except argparse.ArgumentTypeError as error:
            self.parser.error(f"argument --trait: {error}")
        query = EventQuery(
            event_type=parsed_args.event_type,
            start=parsed_args.start,
            end=parsed_args.end,
            traits=chosen,
            timeout=parsed_args.timeout or self.settings().conf.storage.query_timeout,
        )
        for event in self.newest(_pages(driver, query), parsed_args.limit, "events"):
            yield iso(event.generated), event.event_type, event.message_id, _traits(event, in_words=in_words)
        if event is None:
            names = {each.name for each in told}
            unknown = {wanted.name for wanted in parsed_args.trait} - names
            self.hint = _nothing(driver, parsed_args.event_type, sorted(unknown), names)


class EventShow(OfStore):
    """Show the events of a message whole, with the notification where it was kept; a row for each."""

    columns = ("generated", "event_type", "message_id", "traits", "raw")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        parser.add_argument("id", metavar="MESSAGE_ID", help="the id of the message")
        add_range(parser, "events")
        add_timeout(parser)
        return parser

    def rows(self, driver: "StorageDriver", parsed_args: argparse.Namespace) -> Iterable[Sequence[Any]]:
        """Newest first."""
        from meteragent.storage.base import EventQuery

        in_words, event = parsed_args.formatter in IN_WORDS, None
        query = EventQuery(
            message_id=parsed_args.id,
            start=parsed_args.start,
            end=parsed_args.end,
            raw=True,
            timeout=parsed_args.timeout or self.settings().conf.storage.query_timeout,
        )
        for event in self.read(_pages(driver, query), PAGE, "events"):
            raw = event.raw or None
            yield (
                iso(event.generated), event.event_type, event.message_id, _traits(event, in_words=in_words),
                json.dumps(raw, ensure_ascii=False) if in_words and raw else raw,
            )  # fmt: skip
        if event is None:
            within = "" if parsed_args.start is None and parsed_args.end is None else " in this range"
            raise MeteragentError(
                f"no event of message {parsed_args.id!r:.80} is kept{within};"
                " meteragent event list shows others"
            )


class TraitList(OfStore):
    """List the traits that events have, with the type of their values."""

    columns = ("event_type", "name", "type")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--event-type", metavar="GLOB", help="only of events of this type; * is any text, ? a character"
        )
        return parser

    def rows(self, driver: "StorageDriver", parsed_args: argparse.Namespace) -> Iterable[Sequence[Any]]:
        """By event type and name."""
        traits = driver.traits(parsed_args.event_type)
        for each in traits:
            yield each.event_type, each.name, KINDS[each.kind]
        if not traits:
            self.hint = _nothing(driver, parsed_args.event_type, [], set())


def _pages(driver: "StorageDriver", query: "EventQuery") -> "AskPage[Event]":
    def ask(limit: int, after: Key) -> "tuple[list[Event], Key]":
        page = driver.events(query, limit, after)
        return page.events, page.after

    return ask


def _traits(event: "Event", *, in_words: bool) -> "str | dict[str, Any]":
    """A mapping; where several have one name, of that name to their values."""
    told = event.as_dict()["traits"]
    if in_words:
        return ", ".join(f"{name}={value}" for name, _, value in told)
    found: dict[str, list[Any]] = {}
    for name, _, value in told:
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _nothing(driver: "StorageDriver", event_type: str | None, unknown: list[str], names: set[str]) -> str:
    """Why there are no rows, as far as that can be told."""
    from meteragent.storage.event_query import is_pattern

    if event_type is not None and not is_pattern(event_type):
        types = driver.event_types()
        if event_type not in types:
            return f"no events of type {event_type!r:.80} are kept; {_meant(event_type, types)}"
    if unknown:
        return f"no events have a trait {unknown[0]!r:.80}; {_meant(unknown[0], names)}"
    return ""


def _meant(word: str, words: Iterable[str]) -> str:
    """Those that are perhaps meant, or what shows all."""
    meant = near(word, words, 3)
    return f"perhaps: {meant}" if meant else "meteragent trait list shows those that there are"
