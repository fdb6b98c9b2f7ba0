"""`meteragent notification tap`: what arrives on a bus and what becomes of it, as it comes."""

import argparse
import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from meteragent.cli.arguments import at_least_one, seconds
from meteragent.cli.bus import add_url, chosen
from meteragent.cli.command import Command
from meteragent.clock import Clock, iso
from meteragent.plain import printable

if TYPE_CHECKING:
    from meteragent.message import Message
    from meteragent.notifications.dispatcher import Dispatcher

COLUMNS = ("time", "event_type", "message_id", "result", "samples", "events", "problems")
_WIDTHS = (27, 32, 36, 9, 7, 6)
_WIDEST = 200
"""Characters of a cell that are shown in a table."""


class NotificationTap(Command):
    """Show what is sent on a message bus and what becomes of it, as it comes; nothing is taken or stored.

    It listens in on the exchanges and topics that [notification] names, with a queue of its own.
    """

    columns = COLUMNS

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        add_url(parser)
        parser.add_argument(
            "--event-type",
            metavar="GLOB",
            help="only notifications of this event type, and those that are refused; * is any text, ? a "
            "character, and a bracket is itself",
        )
        parser.add_argument("--limit", metavar="NUMBER", type=at_least_one, help="end after so many")
        parser.add_argument(
            "--stop-after", metavar="SECONDS", type=seconds, help="end by itself after so many seconds"
        )
        parser.add_argument(
            "-f", "--format", choices=("table", "json"), default="table",
            help="a table, or a line of JSON for each notification; default: table",
        )  # fmt: skip
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Show them until it is to end."""
        from meteragent.notifications.bindings import Bindings
        from meteragent.notifications.dispatcher import Dispatcher
        from meteragent.notifications.handlers import installed
        from meteragent.notifications.tap import Tap

        settings = self.settings()
        url, tls = chosen(settings, parsed_args)
        bindings = Bindings.of(settings.conf.notification)
        bindings.check()
        dispatcher = Dispatcher(installed(settings.given), settings.conf.sample_source)
        tap = Tap(url, bindings, tls)
        try:
            self._begin(parsed_args.format, ", ".join(bindings.topics))
            shown = 0
            for message in tap.messages(parsed_args.stop_after):
                row = _row(dispatcher, message)
                if _is_wanted(row, parsed_args.event_type):
                    self._show(parsed_args.format, row)
                    shown += 1
                if shown == parsed_args.limit:
                    break
        except KeyboardInterrupt:  # as intended
            pass
        finally:
            tap.close()
        return 0

    def _begin(self, form: str, topics: str) -> None:
        self.program.hint(f"listening in on the topics {topics}; Ctrl-C ends it")
        if form == "table":
            self._write(_line(dict(zip(COLUMNS, COLUMNS, strict=True)), COLUMNS[-1]))

    def _show(self, form: str, row: dict[str, Any]) -> None:
        if form == "json":
            self._write(json.dumps(row))  # which writes out what could steer a terminal
            return
        first, *others = row["problems"] or [""]
        self._write(_line(row, first))
        for problem in others:
            self._write("    " + _cell(problem))

    def _write(self, line: str) -> None:
        self.app.stdout.write(f"{line.rstrip()}\n")
        self.app.stdout.flush()


def _is_wanted(row: dict[str, Any], event_type: str | None) -> bool:
    """What is refused has no event type, and might be of any."""
    if event_type is None or row["result"] == "refused":
        return True
    return fnmatchcase(row["event_type"], event_type.replace("[", "[[]"))


def _line(row: dict[str, Any], problem: str) -> str:
    cells = (f"{_cell(row[name]):<{width}}" for name, width in zip(COLUMNS, _WIDTHS, strict=False))
    return "  ".join((*cells, _cell(problem)))


def _cell(value: Any) -> str:
    return printable(str(value)[:_WIDEST])


def _row(dispatcher: "Dispatcher", message: "Message") -> dict[str, Any]:
    """What a message is and what becomes of it."""
    return dict(zip(COLUMNS, (iso(Clock().wall()), *_told(dispatcher, message)), strict=True))


def _told(dispatcher: "Dispatcher", message: "Message") -> Iterator[Any]:
    from meteragent.errors import Rejected
    from meteragent.notifications.envelope import unpack

    try:
        notification = unpack(
            message.body, message.content_type, message.content_encoding, message.routing_key
        )
    except Rejected as error:
        yield from ("", "", "refused", 0, 0, [str(error)])
        return
    event_type, message_id = notification.event_type, str(notification.metadata.get("message_id"))
    conversion = dispatcher.dispatch(notification)
    result = "converted" if dispatcher.handles(notification) else "ignored"
    yield from (event_type, message_id, result)
    yield from (len(conversion.samples), len(conversion.events), [str(each) for each in conversion.problems])
