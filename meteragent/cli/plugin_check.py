"""Whether plugins keep what the agent needs of them; checked in other processes, whatever they do there."""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from meteragent.cli.command import Lister
from meteragent.errors import ConfigError, MeteragentError, NotFound
from meteragent.plain import printable, reason_of

CHECKING = "meteragent.testing.checking"
BREACH = "breach"
LONGEST = 3600.0


class PluginCheck(Lister):
    """Check whether plugins keep what the agent needs of them; the exit code is 1 after a breach."""

    columns = ("label", "check", "outcome", "problem", "place", "mend")
    doing = "checking"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        add = parser.add_argument
        add("wanted", metavar="PACKAGE|LABEL|FILE", help="an installed package, a plugin such as "
            "pollster:host.cpu, or a .py file with plugins")  # fmt: skip
        add("--resource", action="append", default=[], metavar="RESOURCE",
            help="what a pollster reads; may be repeated; without, what its discovery finds")  # fmt: skip
        add("--param", metavar="TEXT", help="what a discovery is asked for")
        add("--url", metavar="URL", default="", help="where a publisher is to send to; without, a file")
        add("--notification", metavar="FILE", help="a notification as JSON for a handler")
        add("--seconds", type=float, default=10.0, metavar="SECONDS",
            help="how long a use of a plugin may take; without, 10")  # fmt: skip
        return parser

    def check(self, parsed_args: argparse.Namespace) -> None:
        """Refuse a time that is none."""
        if not 0 < parsed_args.seconds <= LONGEST:
            self.parser.error(f"--seconds {parsed_args.seconds:g}: allowed is more than 0, up to {LONGEST:g}")

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """A row for each check, as it is done."""
        return self.columns, self._rows(parsed_args)

    def show(
        self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Iterable[Sequence[Any]]
    ) -> int:
        """For people, a line for each check; rows for programs, and where columns are chosen."""
        if parsed_args.formatter != "table" or parsed_args.columns or parsed_args.sort_columns:
            return super().show(parsed_args, column_names, data)
        for row in data:
            self.app.stdout.write(printable(_line(dict(zip(column_names, row, strict=True)))) + "\n")
            self.app.stdout.flush()
        return 0

    def _rows(self, parsed_args: argparse.Namespace) -> Iterator[list[str]]:
        """
        :raises NotFound: when there is nothing to check
        :raises MeteragentError: when the checks end before their end
        """
        with subprocess.Popen(
            [sys.executable, "-P", "-m", CHECKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(self._asked(parsed_args)).encode())
            process.stdin.close()
            last = ""
            for line in process.stdout:
                told = json.loads(line)
                last = f" after {told.get('label')}: {told.get('check')}"
                if "refused" in told:
                    raise NotFound(told["refused"])
                self.code = 1 if told["outcome"] == BREACH else self.code
                yield [told.get(name, "") for name in self.columns]
        if process.returncode:
            raise MeteragentError(f"the checks were ended{last}, with code {process.returncode}")

    def _asked(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        options = self.app.options
        return {
            "wanted": parsed_args.wanted, "resources": parsed_args.resource, "param": parsed_args.param,
            "url": parsed_args.url, "notification": _document(parsed_args.notification),
            "seconds": parsed_args.seconds, "config_files": options.config_file,
            "config_dirs": options.config_dir, "state_dir": options.state_dir,
            "loud": options.verbose_level > 0 or options.debug,
        }  # fmt: skip


def _document(file: str | None) -> dict[str, Any] | None:
    """
    :raises ConfigError: when it is no notification
    """
    if file is None:
        return None
    try:
        document = json.loads(Path(file).read_bytes())
    except OSError as error:
        raise ConfigError(f"--notification {file}: {reason_of(error)}") from None
    except ValueError as error:
        raise ConfigError(f"--notification {file}: no JSON: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("event_type"), str):
        raise ConfigError(f"--notification {file}: wanted a mapping with event_type, a text")
    return document


def _line(told: dict[str, Any]) -> str:
    """A check in one line."""
    line = f"{told['label']}: {told['check']}: {told['outcome']}"
    line += f": {told['problem']}" if told["problem"] else ""
    line += f"; at {told['place']}" if told["place"] else ""
    return line + (f"; to mend it: {told['mend']}" if told["mend"] else "")
