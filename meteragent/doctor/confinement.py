"""Checks whether plugins can be confined here, by doing it; apart, as it starts a process."""

from collections.abc import Iterator

from meteragent.assembly import polling_sources
from meteragent.doctor.finding import Finding, Installation
from meteragent.errors import MeteragentError
from meteragent.plugins.choice import Choice


def confinement(installation: Installation) -> Iterator[Finding]:
    """Whether each guard around a plugin in a process of its own is there, where there is such a plugin."""
    settings = installation.settings
    sources = [entry for source in polling_sources(settings) for entry in source.entries or (source,)]
    if not Choice.of(settings.conf).isolate and not any(source.isolation for source in sources):
        yield Finding("ok", "no plugin is to run in a process of its own")
        return
    from meteragent.plugins.confined.stand_in import unguarded  # only where it is needed

    try:
        lacking = unguarded(settings.conf, settings.host, settings.state_dir)
    except MeteragentError as error:
        yield Finding("fault", f"plugins cannot be confined: {error}", "mend what it names, and ask again")
        return
    for each in lacking:
        remedy = "a newer kernel, or one with fewer restrictions, has it; what else there is holds"
        yield Finding("warning", f"plugins are confined without all guards: {each}", remedy)
    if not lacking:
        yield Finding("ok", "plugins are confined with all guards")
