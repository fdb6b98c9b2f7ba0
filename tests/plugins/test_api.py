"""The plugin API changes only when somebody means it to."""

import difflib

from tests.plugins import api


def test_the_plugin_api_is_as_it_is_written_down() -> None:
    """A change is a decision: what goes away is deprecated for one release first."""
    differences = difflib.unified_diff(
        api.FILE.read_text().splitlines(),
        api.text().splitlines(),
        "written down",
        "as it is",
        lineterm="",
        n=1,
    )
    told = "\n".join(differences)
    assert not told, f"{told}\nif it is meant: python -m tests.plugins.api, and see doc/plugins.rst"


def test_a_changed_default_shows() -> None:
    """As does each name, argument and default."""
    text = api.text()
    for line in (
        "abstract def get_samples(self, resources)",
        "class PluginUnavailable(MeteragentError)",
        "default = None",
        "fixture polls",
        "get_samples: resources, cache, at, conf, host, log, manager, state",
        "def contract(label, *, conf=None, **given)",
    ):
        assert f"    {line}\n" in text, line
