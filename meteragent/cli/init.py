"""`meteragent init`: writes a configuration for chosen plugins and options, or adds to one what it lacks."""

import argparse
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from meteragent.cli.command import Command
from meteragent.errors import ConfigError, MeteragentError

if TYPE_CHECKING:
    from meteragent.cli.init_plan import Plan

OPTIONS, POLLING, PIPELINE = "meteragent.conf", "polling.yaml", "pipeline.yaml"


class Init(Command):
    """Write a ready configuration for chosen plugins and options, or add to one what it lacks."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        which = parser.add_mutually_exclusive_group()
        which.add_argument(
            "--plugin", metavar="LABEL", nargs="+", action="extend", default=[],
            help="plugins to be used, such as pollster:host.cpu; may be repeated",
        )  # fmt: skip
        which.add_argument("--all", action="store_true", help="use every pollster that is installed")
        parser.add_argument(
            "--set", metavar="LABEL.OPTION=VALUE", nargs="+", action="extend", default=[],
            help="values of their options; every pollster has an interval, every publisher and store a url",
        )  # fmt: skip
        where = parser.add_mutually_exclusive_group()
        where.add_argument(
            "--output", metavar="FOLDER", default=".",
            help="where the files go, the working directory unless told otherwise; none is overwritten",
        )  # fmt: skip
        where.add_argument(
            "--append", metavar="FILE",
            help="add what is missing to this config file and the documents beside it; what is there stays",
        )  # fmt: skip
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Write, check, and name what was written."""
        from meteragent import config
        from meteragent.cli.init_plan import Plan
        from meteragent.state_folder import absolute

        options = self.app.options
        files = [parsed_args.append] if parsed_args.append else options.config_file
        folders = [] if parsed_args.append else options.config_dir
        reading = config.read(files, folders, options.state_dir)
        for fault in reading.faults:
            raise fault
        plan = Plan(reading.settings, parsed_args.plugin, parsed_args.all, parsed_args.set)
        if parsed_args.append:
            written = self._append(plan, Path(absolute(parsed_args.append)))
        else:
            written = self._write(plan, Path(absolute(parsed_args.output)))
        for file in written:
            self.app.stdout.write(f"{file}\n")
        if written:
            self.program.hint(f"meteragent --config-dir {written[0].parent} run  begins to meter")
        else:
            self.program.hint("nothing is missing")
        return 0

    def _write(self, plan: "Plan", folder: Path) -> list[Path]:
        """Write all files into a folder; all of them, or none."""
        texts = plan.texts()
        for name in texts:
            if os.path.lexists(folder / name):
                raise ConfigError(f"{folder / name} is there already; --append adds to it what it lacks")
        files = {folder / name: text for name, text in texts.items()}
        with contextlib.ExitStack() as refused:
            for each in reversed([folder, *folder.parents]):
                if not each.exists():
                    refused.callback(_remove, each)
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError):
                raise ConfigError(f"{folder} is no folder") from None
            for file, text in files.items():
                refused.callback(_remove, file)
                _new(file, text)
            self._check(folder / OPTIONS)
            refused.pop_all()
        return list(files)

    def _append(self, plan: "Plan", file: Path) -> list[Path]:
        """Add to files what they lack; all of them, or none."""
        changed = plan.additions(file)
        before = {each: each.read_bytes() if each.exists() else None for each in changed}
        try:
            for each, text in changed.items():
                _replace(each, text.encode())
            self._check(file)
        except BaseException:
            for each, content in before.items():
                if content is None:
                    each.unlink(missing_ok=True)
                else:
                    _replace(each, content)
            raise
        return list(changed)

    def _check(self, file: Path) -> None:
        """See that what was written is sound.

        :raises ConfigError: with the first fault
        """
        from meteragent.config_check import check

        verdict = check([str(file)], (), self.app.options.state_dir)
        for fault in verdict.faults:
            raise MeteragentError(f"nothing is written, as it would be no sound configuration: {fault}")
        for warning in verdict.warnings:
            self.program.hint(str(warning))


def _remove(place: Path) -> None:
    """Take away a file or a folder that was made; one that somebody uses meanwhile stays."""
    with contextlib.suppress(OSError):
        if place.is_dir():
            place.rmdir()
        else:
            place.unlink()


def _new(file: Path, text: str) -> None:
    """Make a file that only this user may read; it may hold passwords."""
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
        opened.write(text)


def _replace(file: Path, content: bytes) -> None:
    """Let a file hold something else, at once, with the rights it has."""
    target = Path(os.path.realpath(file))
    new = target.with_name(f".{target.name}.new")
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
            opened.write(content)
            os.fchmod(opened.fileno(), mode)
            if target.exists():
                os.fchown(opened.fileno(), target.stat().st_uid, target.stat().st_gid)
        os.replace(new, target)
    finally:
        new.unlink(missing_ok=True)
