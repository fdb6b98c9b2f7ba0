"""Drop-ins with one plugin, and what the checks of the contract suites come to for them."""

from pathlib import Path
from typing import Any

from meteragent.testing.configured import agent_options
from meteragent.testing.finding import find
from meteragent.testing.subject import Given, Subject
from meteragent.testing.suite import checks, verdict
from meteragent.testing.verdict import Verdict

SAMPLE = 'yield Sample("tested", "gauge", "B", 1, resource_id="one")'
HEAD = """
import json, os, time, uuid
from meteragent.errors import *
from meteragent.plugins.option import Option
from meteragent.sample import Sample
"""


def pollster(*body: str, more: str = "", arguments: str = "resources", meters: str = '("tested",)') -> str:
    """The source of ``pollster:dropin.tested``."""
    lines = [
        HEAD, "class Tested:", '    """Tells a number."""', f"    meters = {meters}", f"    {more}",
        f"    def get_samples(self, {arguments}):", *(f"        {line}" for line in body or (SAMPLE,)),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def verdicts(folder: Path, source: str, *names: str, **given: Any) -> dict[str, Verdict]:
    """Run these checks, or all, of the one plugin in a source."""
    file = folder / "tested.py"
    file.write_text(source)
    file.chmod(0o644)
    conf = agent_options({"plugins.forbidden_imports": {"*": ""}})
    ((label, found),) = find(conf, str(file)).items()
    own = folder / "own"
    own.mkdir(exist_ok=True)
    return {
        each.name: verdict(each, Subject(label, found, conf, own, Given(**given)))
        for each in checks(label.partition(":")[0])
        if each.name in names or not names
    }
