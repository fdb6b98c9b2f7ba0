"""Groups of the configuration that hold options of plugins, known without touching the code of any."""

from collections.abc import Collection, Iterator, Sequence

import msgspec
from oslo_config import cfg

from meteragent import option_faults
from meteragent.config_files import Places
from meteragent.errors import ConfigError, MeteragentError, PluginError
from meteragent.plain import near
from meteragent.plugins import catalog, option, trace
from meteragent.plugins.catalog import Found
from meteragent.plugins.choice import Choice
from meteragent.plugins.survey import still


def is_label(group: str) -> bool:
    """Whether a group is one for options of a plugin."""
    kind, _, name = group.partition(":")
    return bool(name) and kind in catalog.GROUPS


def installed(conf: cfg.ConfigOpts, groups: Collection[str] | None = None) -> list[Found]:
    """The plugins that have these groups, or all, whether they are chosen or not."""
    kinds = [
        kind
        for kind in catalog.GROUPS
        if groups is None or any(group.startswith(f"{kind}:") for group in groups)
    ]
    choice = Choice.of(conf)
    with still():
        there = catalog.namespaces() if catalog.POLLSTER in kinds else []
        there += [each for each in choice.namespaces if catalog.POLL in each]
        namespaces = [
            each
            for each in there
            if groups is None
            or any(group.startswith(f"{catalog.POLLSTER}:{each.lower()}.") for group in groups)
        ]
        choice = msgspec.structs.replace(choice, namespaces=tuple(namespaces))
        found = [each for kind in kinds for each in catalog.find(kind, choice)]
    return [each for each in found if groups is None or option.group(each.label) in groups]


def meant(conf: cfg.ConfigOpts, groups: Collection[str] | None = None) -> list[Found]:
    """The same; of those with one label the chosen ones, if there are any."""
    found, choice = installed(conf, groups), Choice.of(conf)
    used = {each.label for each in found if not choice.why_off(each)}
    return [each for each in found if each.label not in used or not choice.why_off(each)]


def register(
    conf: cfg.ConfigOpts, groups: Collection[str] | None = None
) -> Iterator[tuple[Found, Sequence[cfg.Opt]]]:
    """Let the configuration know the options of these groups, or of all plugins, as far as sources tell.

    What is declared wrongly is left out: it is told when the plugin is loaded.
    """
    for found in meant(conf, groups):
        try:
            options = option.check(found.label, found.told.options)
            if options:
                yield found, option.register(conf, found.label, options)
        except PluginError:
            continue


def read(
    conf: cfg.ConfigOpts, places: Places, broken: Collection[str | None] = ()
) -> tuple[option_faults.Groups, list[ConfigError], list[ConfigError]]:
    """The groups in the files whose options are known, wrong values in them, and keys that nobody reads."""
    wanted = {group for group, _ in places if is_label(group)}
    if not wanted:
        return [], [], []
    groups: dict[str, Sequence[cfg.Opt]] = {}
    partial: set[str] = set()
    try:
        for found, opts in register(conf, wanted):
            name = option.group(found.label)
            groups.setdefault(name, opts)
            if found.told.partial:
                partial.add(name)
    except MeteragentError:  # a folder of drop-ins that cannot be used; told when they are loaded
        pass
    trace.step(f"options of {len(groups)} plugins are known that files say something of")
    told = [*groups.items()]
    faults = [*option_faults.of_values(conf, told, places, broken)]
    whole = [each for each in told if each[0] not in partial]
    known = {group for group, _ in whole}
    remarks = option_faults.unknown(whole, {key: place for key, place in places.items() if key[0] in known})
    return told, faults, [*remarks]


def unread(conf: cfg.ConfigOpts, places: Places) -> Iterator[ConfigError]:
    """Each group in the files that is of no plugin, or of one that has no options."""
    there = {option.group(each.label): each.label for each in installed(conf)}
    told: set[str] = set()
    for (group, name), place in places.items():
        meant = near(group, there)
        if group in told or group in conf or not (is_label(group) or (":" in group and meant)):
            continue
        told.add(group)
        if group in there:
            text, suggestion = f"{there[group]} declares no options in its source", ""
        else:
            text = f"no plugin {group} is installed; nothing reads its options"
            suggestion = meant
        yield ConfigError(
            text, file=place.file, line=place.line, key=f"[{group}] {name}",
            suggestion=f"[{suggestion}]" if suggestion else "",
        )  # fmt: skip
