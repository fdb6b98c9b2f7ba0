"""All that can be told of one plugin without touching its code."""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from meteragent.cli.command import Lister
from meteragent.errors import MeteragentError, NotFound, PluginError
from meteragent.plain import near, printable

if TYPE_CHECKING:
    from meteragent.config import Settings
    from meteragent.plugins.catalog import Found
    from meteragent.plugins.loader import Plugin

IN_WORDS = ("csv", "value")
"""Formats that have no lists."""
RANGE = (("from", "minimum"), ("to", "maximum"))
"""How the ends of a range are told."""


class PluginShow(Lister):
    """Show a plugin with its contract, its options, their values and where those are said."""

    columns = (
        "label", "kind", "name", "description", "distribution", "version", "file", "state", "reason",
        "contract", "arguments", "options",
    )  # fmt: skip

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "name", metavar="LABEL|NAME",
            help="the label, such as pollster:host.cpu, or what stands behind its colon or its last dot",
        )  # fmt: skip
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """A row for each plugin of that label or name."""
        from meteragent import label_groups
        from meteragent.plugins import loader
        from meteragent.plugins.choice import Choice

        settings = self.settings()
        there, name = label_groups.installed(settings.conf), parsed_args.name
        found = [each for each in there if name in (each.label, each.label.partition(":")[2], each.name)]
        if not found:
            meant = near(name, [word for each in there for word in (each.label, each.name)])
            advice = f"perhaps: {meant}" if meant else "meteragent plugin list shows others"
            raise NotFound(f"no plugin {name!r:.80} is installed; {advice}")
        choice = Choice.of(settings.conf)
        # what clashes with one of its kind and name has to be seen beside it
        looked = [
            each for each in there if any((each.kind, each.name) == (one.kind, one.name) for one in found)
        ]
        states = dict(zip(looked, loader.look(looked, choice), strict=True))
        told = self._told(settings)
        in_words = parsed_args.formatter in IN_WORDS
        return self.columns, [
            _row(settings, each, *told.get((each.label, each.distribution), _seen(states[each])), in_words)
            for each in found
        ]

    def _told(self, settings: "Settings") -> "dict[tuple[str, str], tuple[str, str]]":
        """State and reason of what the running agent has loaded, by label and distribution."""
        from meteragent.control.plugin_states import of_agent

        try:
            told = of_agent(settings.state_dir)
        except NotFound:
            return {}
        except MeteragentError as error:
            self.program.hint(f"what the running agent has loaded cannot be told: {error}")
            return {}
        return {(each.label, each.distribution): (each.state, "; ".join(each.reasons)) for each in told}

    def show(
        self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Iterable[Sequence[Any]]
    ) -> int:
        """For people, a line for each fact; rows for programs, and where columns are chosen."""
        if parsed_args.formatter != "table" or parsed_args.columns or parsed_args.sort_columns:
            return super().show(parsed_args, column_names, data)
        told = ["\n".join(_lines(dict(zip(column_names, row, strict=True)))) for row in data]
        self.app.stdout.write("\n\n".join(told) + "\n")
        return 0


def _seen(plugin: "Plugin") -> tuple[str, str]:
    return plugin.state, plugin.reason


def _row(settings: "Settings", found: "Found", state: str, reason: str, in_words: bool) -> list[Any]:
    options: list[dict[str, Any]] = []
    try:
        options = _options(settings, found)
    except PluginError as error:
        state, reason = ("failed", str(error)) if state == "installed" else (state, reason)
    base, arguments = _contract(found.kind, settings)
    return [
        found.label, found.kind, found.name, found.told.description, found.distribution, found.version,
        found.file, state, reason, base,
        json.dumps(arguments) if in_words else arguments,
        json.dumps(options, ensure_ascii=False) if in_words else options,
    ]  # fmt: skip


def _contract(kind: str, settings: "Settings") -> tuple[str, dict[str, list[str]]]:
    """What a plugin of a kind has to be, and the arguments that its callbacks may name."""
    from meteragent.plugins import catalog
    from meteragent.plugins.choice import Choice
    from meteragent.plugins.command import RUN, CommandPlugin
    from meteragent.plugins.contracts import CONTRACTS, GIVEN

    if kind == catalog.COMMAND:
        return f"{CommandPlugin.__module__}.{CommandPlugin.__qualname__}", {"run": list(RUN)}
    contract = CONTRACTS.get(kind)
    if contract is None:
        return "", {}
    providers = catalog.find(catalog.PROVIDER, Choice.of(settings.conf))
    further = (*GIVEN, *(each.told.provides or each.name for each in providers))
    arguments = {name: [*dict.fromkeys((*its, *further))] for name, its in contract.offers.items()}
    named = "" if contract.base is object else f"{contract.base.__module__}.{contract.base.__qualname__}"
    return named, arguments


def _options(settings: "Settings", found: "Found") -> list[dict[str, Any]]:
    """What it declares, with the values in this configuration.

    :raises PluginError: when it is declared wrongly
    """
    from meteragent import option_faults
    from meteragent.plugins import option

    told = option.check(found.label, found.told.options)
    opts, group = option.register(settings.conf, found.label, told), option.group(found.label)
    shown = []
    for each, opt in zip(told, opts, strict=True):
        place = option_faults.place_of(group, opt, settings.places)
        value = settings.conf[group][each.name]
        shown.append(
            {
                "name": each.name,
                "type": each.type,
                "default": option.shown(each, each.default),
                "minimum": each.minimum,
                "maximum": each.maximum,
                "choices": list(each.choices),
                "unit": each.unit,
                "help": each.help,
                "value": option.shown(each, value),
                "origin": place.file or "default",
                "line": place.line,
            }
        )
    return shown


def _lines(row: Mapping[str, Any]) -> Iterable[str]:
    """What a person reads."""
    for name in ("label", "description", "distribution", "version", "file", "state", "reason", "contract"):
        if row[name]:
            yield f"{name:<13} {printable(str(row[name]))}"
    for method, names in row["arguments"].items():
        yield f"{'arguments':<13} {method}({', '.join(names)})"
    yield f"{'options':<13} {'in [' + row['label'].lower() + ']:' if row['options'] else 'none'}"
    for option in row["options"]:
        yield from (f"  {printable(line)}" for line in _of_option(option))


def _of_option(option: Mapping[str, Any]) -> Iterable[str]:
    from meteragent.cli.option_text import written

    place = ":".join(str(part) for part in (option["origin"], option["line"]) if part is not None)
    yield f"{option['name']} = {written(option['value'])}  ({place})"
    facts = [f"{option['type']}, default {written(option['default'])}"]
    limits = [f"{word} {option[name]}" for word, name in RANGE if option[name] is not None]
    facts += [" ".join(limits)] if limits else []
    facts += [f"one of {', '.join(written(each) for each in option['choices'])}"] if option["choices"] else []
    facts += [f"in {option['unit']}"] if option["unit"] else []
    yield f"    {', '.join(facts)}"
    if option["help"]:
        yield f"    {option['help']}"
