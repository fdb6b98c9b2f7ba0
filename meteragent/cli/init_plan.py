"""What a configuration for chosen plugins says; apart from the files it is written to."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from meteragent import label_groups
from meteragent.assembly import polling_sources
from meteragent.cli import init_texts
from meteragent.cli.init_texts import Polled, Section, Sent
from meteragent.cli.option_text import about, entry
from meteragent.config import Settings
from meteragent.errors import ConfigError, NotFound, PluginError
from meteragent.pipeline import definition as pipeline
from meteragent.plain import near, without_password
from meteragent.plugins import catalog, loader, option
from meteragent.plugins.catalog import Found
from meteragent.plugins.choice import Choice
from meteragent.plugins.option import Option
from meteragent.pollsters import definition as polling

INTERVAL = 60
"""Seconds between the polls of a source, unless told otherwise."""
URL, EVERY = "url", "interval"
"""What may be set of publishers and stores, and of pollsters, unless an option of theirs is called so."""
HEAD = "# All options: meteragent config sample\n\n"


class Plan:
    """The plugins that are chosen, and the values of their options."""

    def __init__(self, settings: Settings, labels: Sequence[str], every: bool, given: Sequence[str]) -> None:
        """
        :param labels: of the plugins to be used
        :param every: whether all pollsters are
        :param given: values, as ``LABEL.OPTION=VALUE``
        :raises MeteragentError: when there is no such plugin, or an option or a value cannot be
        """
        self._settings = settings
        there = {each.label: each for each in label_groups.meant(settings.conf)}
        for label in labels:
            _known(label, there)
        self._chosen = {
            label: found
            for label, found in there.items()
            if label in labels or (every and found.kind == catalog.POLLSTER)
        }
        self._options = {
            label: option.check(label, each.told.options) for label, each in self._chosen.items()
        }
        self._given: dict[tuple[str, str], str] = {}
        """Values of the options that plugins declare, as a config file has to have them."""
        self._reserved: dict[tuple[str, str], str] = {}
        """Addresses and intervals, where no option of the plugin is called so."""
        for each in given:
            place, value = _split(each)
            self._check(place, value, there)
            if any(place[1] == each.name for each in self._options[place[0]]):
                self._given[place] = _quoted(value)
            else:
                self._reserved[place] = value

    def texts(self) -> Mapping[str, str]:
        """The files of a new configuration."""
        sections = {group: each for group, each in self._sections().items() if each.entries}
        its = self._polled()
        sinks = self._sent()
        return {
            "meteragent.conf": HEAD + init_texts.options(sections),
            "polling.yaml": init_texts.document(sources=init_texts.polling(its)) if its else polling.DEFAULT,
            "pipeline.yaml": _with_sinks(pipeline.DEFAULT, "", sinks),
        }

    def additions(self, file: Path) -> Mapping[Path, str]:
        """By file its new text, of those that lack something."""
        texts: dict[Path, str] = {file: init_texts.with_options(_text(file), self._sections(file))}
        conf = self._settings.conf
        sources = polling_sources(self._settings)
        unpolled = [
            each for each in self._polled() if not any(
                source.name == each.name or all(source.supports(meter) for meter in each.meters)
                for source in sources
            )
        ]  # fmt: skip
        text, place = self._settings.document(conf.polling.cfg_file, polling.DEFAULT, "[polling] cfg_file")
        entries = init_texts.polling(unpolled)
        texts[_file(file, place, "polling.yaml")] = init_texts.with_entries(text, place, "sources", entries)
        text, place = self._settings.document(
            conf.pipeline_cfg_file, pipeline.DEFAULT, "[DEFAULT] pipeline_cfg_file"
        )
        there = {url for _, sink in pipeline.read(text, place)[1] for url in sink.publishers}
        lacking = [each for each in self._sent() if each.url not in there]
        texts[_file(file, place, "pipeline.yaml")] = _with_sinks(text, place, lacking)
        return {each: text for each, text in texts.items() if text != _text(each, built_in=True)}

    def _sections(self, file: Path | None = None) -> dict[str, Section]:
        """The groups of the config file."""
        sections: dict[str, Section] = {}
        for group, name, values in self._lists():
            if text := self._list(group, name, values, file):
                sections.setdefault(group, Section("", {})).entries[name] = text
        for label, found in self._chosen.items():
            if found.kind == catalog.STORAGE:
                url = self._reserved.get((label, URL), f"{found.name}:///samples.db")
                line = self._one("storage", "connection", _quoted(url), file, without_password(_quoted(url)))
                sections["storage"] = Section("", {"connection": line})
        for label, found in self._chosen.items():
            if self._options[label]:
                entries = {each.name: self._entry(label, each, file) for each in self._options[label]}
                sections[option.group(label)] = Section(about(found), entries)
        return sections

    def _lists(self) -> Iterable[tuple[str, str, list[str]]]:
        """The options of the agent that name what is chosen."""
        chosen = self._chosen.values()
        namespaces = dict.fromkeys(
            each.namespace.removeprefix(f"{catalog.GROUPS[catalog.POLLSTER]}.")
            for each in chosen
            if each.kind == catalog.POLLSTER and not each.file
        )
        folders = dict.fromkeys(str(Path(each.file).parent) for each in chosen if each.file)
        yield "polling", "namespaces", list(namespaces)
        yield "plugins", "directories", list(folders)
        yield "plugins", "middleware", [each.name for each in chosen if each.kind == catalog.MIDDLEWARE]

    def _list(self, group: str, name: str, values: list[str], file: Path | None) -> str:
        """The line of a list that has these; empty when nothing has to be said.

        :raises ConfigError: when a file says something else, which is not to be changed
        """
        if file is None:
            return f"{name} = {_joined(values)}\n" if values else ""
        there = list(self._settings.conf[group][name])
        if name == "directories":
            there = list(Choice.of(self._settings.conf).directories)
        missing = [each for each in values if each not in there]
        if not missing:
            return ""
        wanted = _joined([*self._settings.conf[group][name], *missing])
        return self._one(group, name, wanted, file)

    def _one(self, group: str, name: str, value: str, file: Path | None, shown: str = "") -> str:
        """The line of an option.

        :param shown: stands for the value in messages, where that may be secret

        :raises ConfigError: when a file says something else, which is not to be changed
        """
        place = self._settings.places.get((group, name))
        if file is not None and place is not None and place.text != value:
            raise ConfigError(
                f"[{group}] {name} is not changed; write there yourself: {name} = {shown or value}",
                file=place.file, line=place.line, key=f"[{group}] {name}",
            )  # fmt: skip
        return f"{name} = {value}\n"

    def _entry(self, label: str, each: Option, file: Path | None) -> str:
        value = self._given.get((label, each.name))
        if value is not None:
            self._one(option.group(label), each.name, value, file, "(secret)" if each.secret else "")
        return entry(each, value)

    def _polled(self) -> list[Polled]:
        found = [each for each in self._chosen.values() if each.kind == catalog.POLLSTER]
        return [
            Polled(
                each.label.partition(":")[2],
                int(self._reserved.get((each.label, EVERY), INTERVAL)),
                self._meters(each),
            )
            for each in found
        ]

    def _meters(self, found: Found) -> list[str]:
        """What a pollster can yield; it is loaded where its source does not tell."""
        if found.told.meters:
            return list(found.told.meters)
        settings = self._settings
        values: dict[str, Any] = {**settings.given, "figures": list}
        (plugin,) = loader.load([found], values, Choice.of(settings.conf))
        if plugin.state == "failed":
            raise PluginError(f"{found.label}: {plugin.reason}")
        return sorted(getattr(plugin.object, "meters", None) or [found.name])

    def _sent(self) -> list[Sent]:
        return [
            Sent(each.name, self._reserved.get((each.label, URL), f"{each.name}:"))
            for each in self._chosen.values()
            if each.kind == catalog.PUBLISHER and each.name != "store"
        ]

    def _check(self, place: tuple[str, str], value: str, there: Mapping[str, Found]) -> None:
        """See that an option takes a value.

        :raises MeteragentError: with what is allowed
        """
        label, name = place
        _known(label, there)
        if label not in self._chosen:
            raise ConfigError(f"{label} is not chosen; add --plugin {label}")
        options = {each.name: each for each in self._options[label]}
        if name in options:
            try:
                option.opt(options[name]).type(value)
            except ValueError:
                shown = "(secret)" if options[name].secret else repr(value)
                raise ConfigError(
                    f"{label}.{name} = {shown:.120}: allowed: {option.allowed(options[name])}"
                ) from None
        elif name == EVERY and there[label].kind == catalog.POLLSTER:
            if not value.isdecimal() or not 0 < int(value) <= polling.LONGEST_INTERVAL:
                raise ConfigError(f"{label}.{name} = {value!r:.80}: allowed: whole seconds from 1 on")
        elif name != URL or there[label].kind not in (catalog.PUBLISHER, catalog.STORAGE):
            raise NotFound(f"{label} has no option {name!r:.80}; it has {', '.join(options) or 'none'}")


def _known(label: str, there: Mapping[str, Found]) -> None:
    if label not in there:
        meant = near(label, there)
        advice = f"perhaps: {meant}" if meant else "meteragent plugin list shows others"
        raise NotFound(f"no plugin {label!r:.80} is installed; {advice}")


def _split(given: str) -> tuple[tuple[str, str], str]:
    left, equals, value = given.partition("=")
    label, dot, name = left.strip().rpartition(".")
    if not equals or not dot or ":" not in label or "\n" in value or "\r" in value:
        raise ConfigError(f"--set {given!r:.80}: allowed: LABEL.OPTION=VALUE in one line")
    return (label, name.strip()), value.strip()


def _quoted(value: str) -> str:
    """A value as a config file has to have it, where quotes around it and a dollar mean something."""
    value = value.replace("$", "$$")
    return f'"{value}"' if value[:1] in ("'", '"') and value[-1:] == value[:1] else value


def _joined(values: Sequence[str]) -> str:
    """A list as a config file has to have it."""
    return ",".join(each.replace("$", "$$") for each in values)


def _with_sinks(text: str, file: str, sent: Sequence[Sent]) -> str:
    """A pipeline.yaml with further sinks that everything goes to."""
    text = init_texts.with_entries(text, file, "sources", init_texts.routes(sent))
    return init_texts.with_entries(text, file, "sinks", init_texts.sinks(sent))


def _file(options: Path, place: str, name: str) -> Path:
    """Where a document is, or is to be."""
    return options.parent / name if place == f"built-in {name}" else Path(place)


def _text(file: Path, *, built_in: bool = False) -> str:
    """What a file says; where there is none, what is built in for it."""
    if file.exists():
        return file.read_text(encoding="utf-8")
    return (
        {"polling.yaml": polling.DEFAULT, "pipeline.yaml": pipeline.DEFAULT}.get(file.name, "")
        if built_in
        else ""
    )
