"""What the configuration is and what is wrong with it, told before the agent meets it."""

import argparse
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from meteragent.cli.command import Command, Lister
from meteragent.errors import NotFound
from meteragent.plain import near, printable, without_password

if TYPE_CHECKING:
    from oslo_config import cfg

    from meteragent.config import Reading
    from meteragent.config_check import Verdict

FAULT, WARNING = "fault", "warning"
OPTIONS = "meteragent.conf"


class ConfigCheck(Lister):
    """Check all files of the configuration and tell all that is wrong; exit code 1 when anything is."""

    columns = ("severity", "file", "line", "key", "value", "problem", "suggestion")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--strict", action="store_true", help="exit with 1 after a warning, too")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """A row for each finding."""
        from meteragent.config_check import check

        options = self.app.options
        self.verdict = check(options.config_file, options.config_dir, options.state_dir)
        found = [(FAULT, each) for each in self.verdict.faults]
        found += [(WARNING, each) for each in self.verdict.warnings]
        self.code = 1 if self.verdict.faults or (parsed_args.strict and found) else 0
        return self.columns, [
            (severity, each.file, each.line, each.key, each.value, each.problem, each.suggestion)
            for severity, each in found
        ]

    def show(
        self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Iterable[Sequence[Any]]
    ) -> int:
        """For people, a line each, as compilers do; rows for programs, and where columns are chosen."""
        if parsed_args.formatter != "table" or parsed_args.columns or parsed_args.sort_columns:
            return super().show(parsed_args, column_names, data)
        for severity, file, line, _, _, problem, _ in data:
            place = ":".join(str(part) for part in (file, line) if part is not None)
            told = f"{place}: {severity}: {problem}" if place else f"{severity}: {problem}"
            self.app.stdout.write(f"{printable(told)}\n")
        if not self.verdict.faults:
            self.app.stdout.write(f"{printable(_sound(self.verdict))}\n")
        return 0

    def after(self) -> None:
        """Count what was told."""
        if self.verdict.faults:
            self.program.hint(
                f"{_counted(len(self.verdict.faults), FAULT)}, "
                f"{_counted(len(self.verdict.warnings), WARNING)}"
            )


def _sound(verdict: "Verdict") -> str:
    files = [file for file in verdict.files if not file.startswith("built-in ")]
    parts = [f"configuration is sound: {_counted(len(files), 'file')}"]
    parts += files
    parts += [file for file in verdict.files if file not in files]
    parts += [_counted(len(verdict.warnings), WARNING)] if verdict.warnings else []
    return ", ".join(parts)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


class ConfigSample(Command):
    """Print a sample of meteragent.conf, or what holds without a polling.yaml or pipeline.yaml."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "name", metavar="NAME", nargs="?", default=OPTIONS,
            choices=(OPTIONS, "polling.yaml", "pipeline.yaml"),
            help=f"{OPTIONS}, which is the default, polling.yaml or pipeline.yaml",
        )  # fmt: skip
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Print it."""
        from meteragent.pipeline import definition as pipeline
        from meteragent.pollsters import definition as polling

        built_in = {"polling.yaml": polling.DEFAULT, "pipeline.yaml": pipeline.DEFAULT}
        self.app.stdout.write(built_in.get(parsed_args.name) or _options())
        if parsed_args.name == OPTIONS:
            self.app.stdout.write(self._of_plugins())
        return 0

    def _of_plugins(self) -> str:
        """The options of the plugins that are installed, those in folders of this configuration, too."""
        from meteragent import config, label_groups
        from meteragent.cli.option_text import section
        from meteragent.plugins import option

        options = self.app.options
        conf = config.read(options.config_file, options.config_dir, options.state_dir).settings.conf
        found = [each for each, _ in label_groups.register(conf)]
        groups = {option.group(each.label): section(each, each.told.options) for each in found}
        return "".join(f"\n\n{text}" for _, text in sorted(groups.items()))


def _options() -> str:
    """Every option with its help and default, commented out."""
    from oslo_config import cfg, generator

    conf, text = cfg.ConfigOpts(), io.StringIO()
    generator.register_cli_opts(conf)
    conf(["--namespace", "meteragent"], default_config_files=[], default_config_dirs=[])
    generator.generate(conf, output_file=text)
    return text.getvalue()


class ConfigShow(Lister):
    """Show the options that hold, and where each of them is said."""

    columns = ("group", "name", "value", "origin", "line")
    """The origin is a file, an environment variable, an argument, or the default."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        parser.add_argument("group", metavar="GROUP", nargs="?", help="only options of this group")
        parser.add_argument(
            "--all", action="store_true",
            help="also those of plugins that no file says anything of",
        )  # fmt: skip
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """A row for each option."""
        from meteragent import config, label_groups
        from meteragent.plugins import option

        options = self.app.options
        reading = config.read(options.config_file, options.config_dir, options.state_dir)
        if reading.faults:
            raise reading.faults[0]
        groups = {**dict(config.list_opts()), **dict(reading.labels)}
        wanted = parsed_args.group
        if parsed_args.all or (wanted and wanted not in groups and label_groups.is_label(wanted)):
            its = None if wanted is None else [wanted]
            for found, opts in label_groups.register(reading.settings.conf, its):
                groups[option.group(found.label)] = opts
        if wanted is not None and wanted not in groups:
            meant = near(wanted, groups)
            advice = f"; perhaps: {meant}" if meant else ""
            raise NotFound(f"no group {wanted!r:.80}; there are {', '.join(groups)}{advice}")
        shown = groups if wanted is None else [wanted]
        return self.columns, [row for group in shown for row in _rows(reading, group, groups[group])]

    def show(
        self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Iterable[Sequence[Any]]
    ) -> int:
        """In a table, what is not there is empty, and a list is written as in a file."""
        if parsed_args.formatter == "table":
            data = [[_for_people(value) for value in row] for row in data]
        return super().show(parsed_args, column_names, data)


def _for_people(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(value)
    return "" if value is None else str(value)


def _rows(reading: "Reading", group: str, opts: "Sequence[cfg.Opt]") -> Iterable[tuple[Any, ...]]:
    """The options of a group with the values that hold."""
    from meteragent import label_groups, option_faults

    conf = reading.settings.conf
    for opt in opts:
        value = (conf if group == "DEFAULT" else conf[group])[opt.dest]
        place = option_faults.place_of(group, opt, reading.settings.places)
        origin, line = place.file or "default", place.line
        if (group, opt.dest) == ("agent", "state_dir"):
            value = str(reading.settings.state_dir)
            origin, line = ("--state-dir", None) if reading.state_dir is not None else (origin, line)
        built_in = origin == "default" and not label_groups.is_label(group)  # nobody's secret
        yield group, opt.dest, value if built_in else _masked(opt, value), origin, line


def _masked(opt: "cfg.Opt", value: Any) -> Any:
    """A value that anybody may see: of the store's its scheme, of other URLs all but the password."""
    if opt.secret and value is not None:
        scheme, colon, _ = str(value).partition(":")
        return f"{scheme}:(secret)" if opt.dest == "connection" and colon else "(secret)"
    if isinstance(value, list):
        return [without_password(str(each)) for each in value]
    return without_password(value) if isinstance(value, str) else value
