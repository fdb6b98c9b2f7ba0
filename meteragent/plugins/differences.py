"""What a reload changes in which plugins are loaded, put into words."""

from collections.abc import Iterable

from meteragent.plugins.loader import Plugin
from meteragent.plugins.versions import RESTART


def told(before: Iterable[Plugin], after: Iterable[Plugin]) -> list[str]:
    """A line for each plugin that is not as before, by label."""
    then, now = ({each.label: each for each in plugins} for plugins in (before, after))
    lines = ((label, _difference(then.get(label), now.get(label))) for label in sorted({*then, *now}))
    return [f"plugin {label} {line}" for label, line in lines if line]


def _difference(former: Plugin | None, plugin: Plugin | None) -> str:
    """How a plugin differs from its former self; empty when it does not."""
    used = former is not None and former.state == "loaded"
    if plugin is None or plugin.state == "installed":
        return "removed" if used else ""
    if plugin.state == "loaded":
        if former is None or not used:
            return "added"
        if former.object is not plugin.object:
            return "changed"
        outdated = plugin.reason.startswith(RESTART)  # which is told of its distribution
        return plugin.reason if plugin.reason != former.reason and not outdated else ""
    if plugin.state == "disabled" and not used:
        return ""
    if former is not None and (former.state, former.reason) == (plugin.state, plugin.reason):
        return ""
    return f"{plugin.state}: {plugin.reason}"
