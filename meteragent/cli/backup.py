"""`meteragent backup` and `meteragent restore`: what an agent keeps, put by and put back."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from meteragent.cli.command import Command
from meteragent.clock import Clock, iso
from meteragent.plain import printable

if TYPE_CHECKING:
    from meteragent.backup.manifest import Manifest


class Backup(Command):
    """Copy the journal and the store, as they are at one instant, into a new folder."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        parser.add_argument("folder", metavar="DIR", help="a folder that does not exist yet, or is empty")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Make it, and tell what it is of."""
        from meteragent.backup.making import back_up

        with self.progress("preparing the backup") as progress:
            made = back_up(self.settings(), parsed_args.folder, progress.tell)
        self.app.stdout.write(printable(f"{_told(made)} is in {parsed_args.folder}") + "\n")


class Restore(Command):
    """Put a backup in the place of the journal and the store; no agent may run."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        parser.add_argument("folder", metavar="DIR", help="the folder of the backup")
        parser.add_argument(
            "--replace",
            action="store_true",
            help="keep a journal and a store that are there beside it, as *.replaced-TIME",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Restore it, and tell what it is of."""
        from meteragent.backup.restoring import restore

        settings = self.settings()
        aside = f".replaced-{iso(Clock().wall())}" if parsed_args.replace else ""
        with self.progress("preparing to restore") as progress:
            found = restore(settings, Path(parsed_args.folder), aside, progress.tell)
        self.app.stdout.write(printable(f"{_told(found)} is restored to {settings.state_dir}") + "\n")
        if found.host != settings.host:
            self.program.hint(
                f"it is of host {found.host}, and this is {settings.host}; [DEFAULT] host = {found.host}"
                " goes on with its polls"
            )


def _told(backup: "Manifest") -> str:
    size = sum(file.size for file in backup.files.values())
    return (
        f"the backup of agent {backup.agent} on {backup.host} at {backup.taken}, up to batch"
        f" {backup.sequence}, {size:,} bytes,"
    )
