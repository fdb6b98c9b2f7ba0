"""How a plugin that is opened for each use is closed; apart, as publishers and storage drivers share it."""

from meteragent.testing.subject import Subject
from meteragent.testing.verdict import check


@check("closes", "let close be safe twice and without use")
def closes(subject: Subject) -> None:
    """Twice, and without having been used."""
    plugin = subject.plugin()
    for which in ("close without use", "close for the second time"):
        try:
            plugin.close()
        except Exception as error:  # boundary: plugins are foreign code
            raise subject.told(error, which, "let go of what is there, and of nothing twice") from None
