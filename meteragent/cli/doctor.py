"""`meteragent doctor`: what is wrong with this installation, and what to do about it."""

import argparse
import logging
from collections.abc import Iterable, Sequence
from typing import Any

from meteragent.cli.command import Lister


class Doctor(Lister):
    """Examine this installation, whether the agent runs or not; exit code 1 when there is a fault."""

    columns = ("check", "status", "finding", "remedy")

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """A row for each finding."""
        del parsed_args
        from meteragent import config, state_folder
        from meteragent.clock import Clock
        from meteragent.doctor.checkup import examine
        from meteragent.doctor.finding import Installation

        options = self.app.options
        if not options.verbose_level and not options.debug:
            logging.getLogger("meteragent").setLevel(logging.ERROR)  # what plugins complain of is a finding
        if options.state_dir is not None:
            state_folder.checked(options.state_dir)  # else another one would be examined
        arguments = (options.config_file, options.config_dir, options.state_dir)
        installation = Installation(config.read(*arguments).settings, Clock(), *arguments)
        found = examine(installation, tell=self.shown.tell)
        rows = [(name, *self._told(finding)) for name, finding in found]
        self.code = 1 if any(row[1] == "fault" for row in rows) else 0
        return self.columns, rows

    def _told(self, finding: Any) -> tuple[str, str, str]:
        return finding.status, finding.finding, finding.remedy
