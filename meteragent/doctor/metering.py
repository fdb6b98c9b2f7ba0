"""Checks of the metering itself: configuration, plugins, store, and polling sources that fell silent."""

from collections.abc import Iterator

from meteragent.assembly import polling_sources, quiet_sources
from meteragent.clock import SECOND, iso
from meteragent.config_check import check
from meteragent.control.reading import reader
from meteragent.doctor.finding import Finding, Installation
from meteragent.errors import NotFound
from meteragent.journal.status import last_ticks
from meteragent.loaded import Pollsters

SILENT = 3
"""Intervals without a poll after which a polling source is silent."""


def configuration(installation: Installation) -> Iterator[Finding]:
    """Whatever `meteragent config check` finds."""
    verdict = check(installation.config_files, installation.config_dirs, installation.state_dir)
    yield from (Finding("fault", str(fault), "mend it; meteragent config check") for fault in verdict.faults)
    yield from (Finding("warning", str(each), "meteragent config check") for each in verdict.warnings)
    if not verdict.faults and not verdict.warnings:
        yield Finding("ok", f"sound: {', '.join(verdict.files)}")


def plugins(installation: Installation) -> Iterator[Finding]:
    """Whether every plugin can be loaded."""
    used = Pollsters(installation.settings, sources=quiet_sources(installation.settings))
    found = used.plugins
    used.close()
    for plugin in found:
        if plugin.state == "failed":
            remedy = (
                f"install {plugin.distribution or 'it'} again, or add {plugin.label} to [plugins] disable"
            )
            yield Finding("fault", f"{plugin.label} cannot be loaded: {plugin.reason}", remedy)
        elif plugin.state == "unavailable":
            remedy = f"nothing, or add {plugin.label} to [plugins] disable"
            yield Finding("ok", f"{plugin.label} has nothing to do here: {plugin.reason}", remedy)
    loaded = [plugin.name for plugin in found if plugin.state == "loaded"]
    yield Finding("ok", f"loaded: {', '.join(loaded) or 'none'}")


def store(installation: Installation) -> Iterator[Finding]:
    """Whether the store can be read, as the commands do it."""
    driver = reader(installation.settings)
    try:
        yield Finding("ok", f"the store can be read and has {len(driver.meters())} meters")
    except NotFound as error:
        yield Finding("ok", str(error), "meteragent run makes it")
    finally:
        driver.close()


def sources(installation: Installation) -> Iterator[Finding]:
    """Whether each polling source is polled, while an agent runs."""
    if installation.process is None:
        yield Finding("ok", "nothing is polled while no agent runs")
        return
    last = last_ticks(installation.journal)
    now, ran = installation.clock.wall(), installation.running_for
    for source in polling_sources(installation.settings):
        tick, span = last.get(source.name), SILENT * source.interval
        told = f"polling source {source.name}, every {source.interval} s: "
        told += f"last polled for {iso(tick)}" if tick is not None else "never polled"
        if ran > span and (tick is None or (now - tick) / SECOND > span):
            remedy = "meteragent gap list and the agent's log say why; meteragent reload after a change"
            yield Finding("fault", f"{told}, which is {SILENT} intervals ago or more", remedy)
        else:
            yield Finding("ok", told)
