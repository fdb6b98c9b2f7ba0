"""`meteragent notification`: what notifications become, without a bus and without storing any of it."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from meteragent.cli.command import Lister
from meteragent.clock import iso
from meteragent.errors import NotFound
from meteragent.plain import reason_of

if TYPE_CHECKING:
    from meteragent.notifications.dispatcher import Conversion, Dispatcher

_KEYS = ("timestamp", "name", "type", "unit", "volume", "resource_id", "project_id", "user_id")


class NotificationTest(Lister):
    """Show what notifications become; exit code 1 when one has a problem.

    Each line of the input is a notification as JSON: as it lies on the bus, or as a listener delivers it.
    With --meters or --events only these definitions are asked, else all handlers that are installed.
    """

    columns = ("line", "result", *_KEYS, "text")
    doing = "converting"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--meters", metavar="PATH", help="definitions of meters: a YAML file, or a folder of them"
        )
        parser.add_argument("--events", metavar="PATH", help="definitions of events: the same")
        parser.add_argument(
            "--priority", default="info", help="of notifications that tell none; default: info"
        )
        parser.add_argument(
            "file", metavar="FILE", nargs="?", default="-", help="lines of JSON; - for standard input"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """Convert each line."""
        problems: list[str] = []
        dispatcher = self._dispatcher(parsed_args, problems)
        self._problems = problems
        with opened(parsed_args.file) as lines:
            rows = [
                row
                for number, line in enumerate(lines, 1)
                if line.strip()
                for row in _rows(number, _converted(dispatcher, line, parsed_args.priority))
            ]
        self.code = int(bool(problems) or any(row[1] == "problem" for row in rows))
        return self.columns, rows

    def after(self) -> None:
        """Tell which definitions cannot be used."""
        for problem in self._problems:
            self.app.stderr.write(f"meteragent: {problem}\n")

    def _dispatcher(self, parsed_args: argparse.Namespace, problems: list[str]) -> "Dispatcher":
        from meteragent.notifications.dispatcher import Dispatcher
        from meteragent.notifications.handlers import defined, files, installed

        settings = self.settings()
        source = settings.conf.sample_source
        if parsed_args.meters is None and parsed_args.events is None:
            return Dispatcher(installed(settings.given), source)
        meters = None if parsed_args.meters is None else files(parsed_args.meters)
        events = None if parsed_args.events is None else files(parsed_args.events)
        return Dispatcher(defined(settings.given, meters, events, problems), source)


@contextmanager
def opened(name: str) -> Iterator[IO[bytes]]:
    """The input, line by line.

    :raises NotFound: when it cannot be read
    """
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        with open(name, "rb") as file:
            yield file
    except OSError as error:
        raise NotFound(f"{name}: cannot be read: {reason_of(error)}") from None


def _converted(dispatcher: "Dispatcher", line: bytes, priority: str) -> "Conversion":
    """What becomes of a line; one that is no notification is a problem."""
    from meteragent.errors import Rejected
    from meteragent.notifications.dispatcher import Conversion
    from meteragent.notifications.envelope import unpack

    try:
        notification = unpack(line, None, None, priority)
    except Rejected as error:
        return Conversion(problems=[str(error)])
    conversion = dispatcher.dispatch(notification)
    if not dispatcher.handles(notification):
        conversion.problems.append(f"event type {notification.event_type!r:.200}: no handler asks for it")
    return conversion


def _rows(number: int, conversion: "Conversion") -> Iterator[tuple[Any, ...]]:
    nothing = (None,) * (len(_KEYS) - 2)
    for sample in conversion.samples:
        told = (getattr(sample, key) for key in _KEYS[1:])
        yield number, "sample", iso(sample.timestamp or 0), *told, None
    for event in conversion.events:
        traits = ", ".join(f"{name}={value}" for name, _, value in event.as_dict()["traits"])
        yield number, "event", iso(event.generated), event.event_type, *nothing, traits
    for problem in conversion.problems:
        yield number, "problem", None, None, *nothing, problem
