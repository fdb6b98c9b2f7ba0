"""The plugins that polling needs, loaded once and kept over a reload as far as they are as before."""

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import msgspec

from meteragent.config import Settings
from meteragent.discovery.discoverer import Discoverer
from meteragent.errors import ConfigError, PluginError
from meteragent.figures import Figure
from meteragent.plugins import catalog, differences, dropin, loader, making, option, stack, versions
from meteragent.plugins.bind import Context
from meteragent.plugins.catalog import Found
from meteragent.plugins.choice import Choice
from meteragent.plugins.confined import options as isolation
from meteragent.plugins.loader import Plugin
from meteragent.plugins.survey import still
from meteragent.plugins.wrapping import PLAIN
from meteragent.pollsters import ceilometer
from meteragent.pollsters.ancestor import Manager
from meteragent.pollsters.caller import declared, selectors
from meteragent.pollsters.definition import PollingSource
from meteragent.pollsters.poller import matching
from meteragent.selection import Selection

LOG = logging.getLogger(__name__)

Figures = Callable[[], list[Figure]]
POLLED = (catalog.POLLSTER, catalog.DISCOVERY)


class Pollsters:
    """What is loaded of pollsters and discoveries, and why others are not."""

    def __init__(
        self,
        settings: Settings,
        before: "Pollsters | None" = None,
        figures: Figures = list,
        sources: Sequence[PollingSource] = (),
    ) -> None:
        """
        :param before: those in use; what is loaded stays, unless an option of the plugin has changed
        :param figures: gives what a running agent tells about itself; without one there are none
        :param sources: those that poll; what all of them isolate is not even loaded in this process
        """
        conf = settings.conf
        self._made: dict[Found, Plugin] = {}
        self._contexts: dict[str, dict[str, Context]] = {}
        self._settings, self.choice = settings, Choice.of(conf)
        self._polling_manager: ceilometer.PollingManager | None = None
        self._of_ancestor = ceilometer.written(conf.polling.extra_config_files)
        self._values = {**settings.given, "figures": figures}
        with still(), ExitStack() as refused:
            self._found = {kind: catalog.find(kind, self.choice) for kind in catalog.GROUPS}
            self._broken = catalog.broken(self.choice)
            self._warn()
            self.choice = msgspec.structs.replace(self.choice, apart=self._isolated(sources))
            kept = self._kept(before)
            self.layers = self._layers(kept, before)
            refused.callback(self.close, before)
            self._values["provided"] = self.layers.names
            self.pollsters, self.discoveries = (self._load(kind, kept) for kind in POLLED)
            self.manager = self._managing(before if kept else None)
            refused.pop_all()

    def close(self, after: "Pollsters | None" = None) -> None:
        """Close the middleware and end the processes of plugins, but for what goes on with others."""
        self.layers.close(None if after is None else after.layers)
        if self.choice.isolating:
            from meteragent.plugins.confined.stand_in import end  # only where there may be one

            kept = [] if after is None else [id(each.object) for each in after._made.values()]
            end(each.object for each in self._made.values() if id(each.object) not in kept)

    def contexts(self, kind: str) -> dict[str, Context]:
        """By name of a pollster or discovery what its callbacks may name, and what is around them."""
        if kind not in self._contexts:
            found = {each.label: each for each in (*self._made, *self._found[kind])}
            self._contexts[kind] = {
                each.name: self.layers.context(found[each.label], each.object, self._values)
                for each in (self.pollsters if kind == catalog.POLLSTER else self.discoveries)
                if each.state == "loaded"
            }
        return self._contexts[kind]

    def warn_of(self, owner: str, selection: Selection) -> None:
        """Log which patterns fit nothing that can be polled."""
        for pattern in self.unmatched(selection):
            LOG.warning("%s: meters: %r fits no meter of the pollsters that are loaded", owner, pattern)

    def unmatched(self, selection: Selection) -> list[str]:
        """The patterns that fit nothing that can be polled, as far as the pollsters say what they yield."""
        if not all(declared(each) for each in self.loaded.values()):
            return []
        return selection.unmatched(self.meters)

    @property
    def meters(self) -> list[str]:
        """What the loaded pollsters say that they yield, and their own names."""
        loaded = self.loaded.items()
        return [*(meter for name, each in loaded for meter in selectors(name, each)), *self.loaded]

    @property
    def plugins(self) -> list[Plugin]:
        """Those of which it is known what became of them."""
        return [*self.pollsters, *self.discoveries, *self.layers.plugins, *self.layers.providers]

    @property
    def loaded(self) -> dict[str, Any]:
        """The pollsters by name."""
        return {each.name: each.object for each in self.pollsters if each.state == "loaded"}

    def of_source(self, source: PollingSource) -> dict[str, Any]:
        """The same, with stand-ins for those that a polling source has run in processes of their own.

        :raises ConfigError: when they cannot be
        """
        found = {each.name: one for one, each in self._made.items() if one.kind == catalog.POLLSTER}
        apart = {
            name: pollster
            for name, pollster in matching(source, self.loaded).items()
            if source.entry_for(selectors(name, pollster)).isolation and not self.choice.isolates(found[name])
        }
        if not apart:
            return self.loaded
        from meteragent.plugins.confined.stand_in import stand_in_for  # only where one is wanted

        settings = self._settings
        around = settings.conf, settings.host, settings.state_dir
        try:
            stand_ins = {name: stand_in_for(found[name], each, *around) for name, each in apart.items()}
        except PluginError as error:
            raise ConfigError(f"polling source {source.name}: isolation: {error}") from None
        return self.loaded | stand_ins

    def remarks(self, before: "Pollsters") -> list[str]:
        """What a reload changes in what is loaded, and what of it needs more than that; a line each."""
        return [
            *differences.told(before.plugins, self.plugins),
            *self._restarts(),
            *(
                f"{each.reason}; not used"
                for each in self._broken
                if each not in before._broken and not any(each.reason in one.reason for one in self.plugins)
            ),
        ]

    def dropin_version(self, kind: str, name: str) -> str:
        """What tells the contents of a drop-in from former ones; empty for a plugin of a package."""
        return next((each.version for each in self._found[kind] if each.file and each.name == name), "")

    def unreadable(self, before: "Pollsters", kinds: Iterable[str]) -> Iterator[tuple[Found, str]]:
        """The plugins of these kinds that were found before, of which nothing can be read now, and why."""
        broken = {each.place: each.reason for each in self._broken}
        for one in itertools.chain(*(before._found[kind] for kind in kinds)):
            if one.file in broken and not self.choice.why_off(one):
                yield one, broken[one.file]

    def let_go(self) -> None:
        """Forget the modules of drop-ins that are no longer there; once nothing else is in use."""
        found = itertools.chain(self._made, *self._found.values())
        dropin.let_go(making.private_name(each) for each in found if each.file)

    def _isolated(self, sources: Sequence[PollingSource]) -> frozenset[str]:
        """Labels of the pollsters that every source that selects them isolates, as far as can be told.

        :raises ConfigError: when none can be isolated
        """
        first = next((each for each in sources if any(entry.isolation for entry in each.parts)), None)
        if first is None:
            return frozenset()
        try:
            isolation.terms(self._settings.conf)
        except ConfigError as error:
            raise ConfigError(f"polling source {first.name}: isolation: {error}") from None
        found = [each for each in self._found[catalog.POLLSTER] if not each.ancestral]
        return frozenset(each.label for each in found if _isolated(each, sources))

    def _layers(self, kept: dict[Found, Plugin], before: "Pollsters | None") -> stack.Loaded:
        """What is around callbacks.

        :raises ConfigError: when it cannot be as the options say
        """
        names, former = self._settings.conf.plugins.middleware, None if before is None else before.layers
        try:
            layers = stack.load(names, self._values, self.choice, kept, former)
        except ConfigError as error:
            raise self._settings.error("plugins", "middleware", error) from None
        self._made |= layers.made
        return layers

    def _managing(self, before: "Pollsters | None") -> Manager:
        """What all pollsters have in common; the former where nothing that is in it has changed."""
        if before is not None and self._discovers_as(before):
            return before.manager
        manager = Manager(self._settings.conf)
        discoveries = {each.name: each.object for each in self.discoveries if each.state == "loaded"}
        contexts = self.contexts(catalog.DISCOVERY)
        manager.discoverer = Discoverer(
            discoveries, host=self._settings.host, manager=manager, contexts=contexts
        )
        return manager

    def _discovers_as(self, before: "Pollsters") -> bool:
        """Whether the discoveries, and what is around them, are as before."""
        callbacks = [each.object.discover for each in self.discoveries if each.state == "loaded"]
        mine, former = (each.layers.made_of(PLAIN, callbacks) for each in (self, before))
        return mine == former and _same(self.discoveries, before.discoveries)

    def _restarts(self) -> list[str]:
        """The distributions of which another version is installed than is imported."""
        told = (
            (each.distribution, versions.restart_needed(each))
            for each in itertools.chain(*self._found.values())
        )
        return [f"{name}: {reason}; the loaded one goes on" for name, reason in dict.fromkeys(told) if reason]

    def _kept(self, before: "Pollsters | None") -> dict[Found, Plugin]:
        """What is loaded already and is not to be made anew."""
        if before is None:
            return {}
        then, now = before._settings.others, self._settings.others
        changed = {key[0] for key in then.keys() | now.keys() if then.get(key) != now.get(key)}
        conf, former = self._settings.conf, before._settings.conf
        groups = {option.group(each.label) for each in itertools.chain(*self._found.values(), before._made)}
        if changed - groups:  # which plugins read it nobody knows
            return {}
        return {
            one: plugin
            for one, plugin in before._made.items()
            if option.group(one.label) not in changed
            and self.choice.isolates(one) == before.choice.isolates(one)
            and (not self.choice.isolates(one) or isolation.said(conf) == isolation.said(former))
            and not (one.file and self.choice.forbidden != before.choice.forbidden)
            and not (one.ancestral and self._of_ancestor != before._of_ancestor)
        }

    def _load(self, kind: str, kept: dict[Found, Plugin]) -> list[Plugin]:
        """Load the plugins of a kind; the former goes on where a drop-in's changed file cannot be used."""
        found = self._found[kind]
        with self._ahead(found, kept):
            plugins = self._made_of(found, kept)
        former = {(one.label, one.file): one for one in kept if one.kind == kind and one.file}
        pairs = [*zip(found, plugins, strict=True)]
        for position, (one, plugin) in enumerate(pairs):
            before = former.pop((one.label, one.file), None)
            if plugin.state == "failed" and before is not None:
                pairs[position] = before, _going_on(kept[before], plugin.reason)
        broken = {each.place: each.reason for each in self._broken}
        pairs += [
            (one, _going_on(kept[one], broken[one.file]))
            for one in former.values()
            if one.file in broken and not self.choice.why_off(one)
        ]
        self._made |= {one: plugin for one, plugin in pairs if plugin.state == "loaded"}
        return [plugin for _, plugin in sorted(pairs, key=lambda pair: pair[0])]

    def _made_of(self, found: list[Found], kept: dict[Found, Plugin]) -> list[Plugin]:
        """What became of each; the ancestor's are given its options."""
        ours = [one for one in found if not one.ancestral]
        theirs = [one for one in found if one.ancestral]
        made = dict(zip(ours, loader.load(ours, self._values, self.choice, kept), strict=True))
        if theirs:
            manager = self._ancestor()
            values = {**self._values, "conf": manager.conf}
            plugins = loader.load(theirs, values, self.choice, kept)
            made |= {
                one: ceilometer.adopted(one, each, manager) for one, each in zip(theirs, plugins, strict=True)
            }
        return [made[one] for one in found]

    def _ancestor(self) -> ceilometer.PollingManager:
        """What the ancestor's plugins have in common.

        :raises ConfigError: when its options cannot be used
        """
        if self._polling_manager is None:
            settings = self._settings
            try:
                options = ceilometer.options(settings.conf.polling.extra_config_files)
            except ConfigError as error:
                told = f"[polling] extra_config_files: {error}"
                raise settings.error("polling", "extra_config_files", told) from None
            self._polling_manager = ceilometer.PollingManager(options)
        return self._polling_manager

    def _ahead(self, found: list[Found], kept: dict[Found, Plugin]) -> AbstractContextManager[None]:
        """Processes for those that are to be isolated start side by side meanwhile."""
        apart = [
            each
            for each in found
            if each not in kept and self.choice.isolates(each) and not self.choice.why_off(each)
        ]
        if not apart:
            return nullcontext()
        from meteragent.plugins.confined.stand_in import ahead  # only where one is wanted

        settings = self._settings
        return ahead(apart, settings.conf, settings.host, settings.state_dir)

    def _warn(self) -> None:
        """Log what in the options fits nothing, and which files can hold no plugins."""
        settings, found = self._settings, self._found
        groups = {each.namespace for each in found[catalog.POLLSTER]}
        for namespace in self.choice.namespaces:
            if not groups & {namespace, f"{catalog.GROUPS[catalog.POLLSTER]}.{namespace}"}:
                name = "extra_namespaces" if catalog.POLL in namespace else "namespaces"
                there = "" if catalog.POLL in namespace else f"; installed: {', '.join(catalog.namespaces())}"
                told = f"[polling] {name}: no pollsters are installed for {namespace!r}{there}"
                LOG.warning("%s", settings.error("polling", name, told))
        for name, pattern in self.choice.unmatched(itertools.chain(*found.values())):
            told = f"[plugins] {name}: {pattern!r} matches none of the plugins found"
            LOG.warning("%s", settings.error("plugins", name, told))
        for each in catalog.left_out(self.choice):
            LOG.warning("%s", each.reason)
        for each in self._broken:
            if each.place in self.choice.directories:
                told = f"[plugins] directories: {each.reason}"
                LOG.warning("%s", settings.error("plugins", "directories", told))
            else:
                LOG.warning("%s; not used", each.reason)


def _isolated(found: Found, sources: Sequence[PollingSource]) -> bool:
    """Whether all sources that select it isolate it; all have to where it cannot be told what it yields."""
    meters = found.told.meters
    if not meters:
        return all(entry.isolation for each in sources for entry in each.parts)
    selecting = [each for each in sources if any(map(each.supports, meters))]
    return bool(selecting) and all(each.entry_for(meters).isolation for each in selecting)


def _going_on(before: Plugin, reason: str) -> Plugin:
    return msgspec.structs.replace(before, reason=f"goes on as it was, as its file cannot be used: {reason}")


def _same(plugins: Sequence[Plugin], others: Iterable[Plugin]) -> bool:
    """Whether they are the very same objects."""
    return [(each.name, id(each.object)) for each in plugins] == [
        (each.name, id(each.object)) for each in others
    ]
