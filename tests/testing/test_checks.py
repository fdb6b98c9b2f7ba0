"""Each check of the contract suites finds what it is there for, and says where it is and how to mend it."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from meteragent.testing.suite import kinds
from meteragent.testing.verdict import BREACH, OK, UNDECIDED
from tests.testing.checked import HEAD, SAMPLE, pollster, verdicts


@pytest.fixture
def process_as_it_was() -> Iterator[None]:
    """Some plugins here change what belongs to all."""
    mask, loads, folder = os.umask(0o022), json.loads, os.getcwd()
    os.umask(mask)
    yield
    os.umask(mask)
    os.chdir(folder)
    json.loads = loads
    os.environ.pop("TESTED", None)


def test_what_keeps_its_contract_is_ok(tmp_path: Path) -> None:
    """All that there is to check was checked."""
    told = verdicts(tmp_path, pollster())
    assert {name: each.problem for name, each in told.items() if each.outcome != OK} == {}
    assert list(told)[:4] == ["found", "loads", "described", "options"]
    assert list(told)[-3:] == ["leaves no thread", "leaves no file open", "changes nothing global"]


SOUND = {
    "async": pollster("return [Sample('tested', 'gauge', 'B', 1, resource_id='one')]").replace(
        "def", "async def"
    ),
    "async generator": pollster(SAMPLE).replace("def get", "async def get"),
    "instance": pollster(more="def __init__(self, name): self.name = name\n")
    + 'steel = Tested("steel")\n"""Steel."""\nPLUGINS = {"pollster:materials.steel": steel}\n',
    "state": pollster("state['polls'] = state.get('polls', 0) + 1", SAMPLE, arguments="state"),
    "discovery of texts": HEAD + "class Tested:\n    'Finds.'\n    async def discover(self, param):\n"
    "        return [param or 'a']\n",
    "decorator": HEAD + "def tested(callback):\n    'Does nothing.'\n    return callback\n"
    'PLUGINS = {"middleware:tested": tested}\n',
    "context manager": HEAD + "from contextlib import contextmanager, nullcontext\n"
    "from meteragent.plugins.provider import provides\n@provides('tested')\ndef tested():\n    'One.'\n"
    "    return nullcontext(1)\n",
    "asynchronous provider": HEAD + "from meteragent.plugins.provider import provides\n@provides('tested')\n"
    "async def tested():\n    'One.'\n    yield 1\n",
    "provider that needs another": HEAD + "from meteragent.plugins.provider import provides\n"
    "@provides('tested')\ndef tested(http):\n    'One.'\n    yield [http]\n",
    "expression": HEAD
    + "import re\nclass Tested:\n    'Converts.'\n    event_types = [re.compile(r'a\\.b.*')]\n"
    "    priorities = ['info']\n    def convert(self, notification):\n        return ()\n",
    "command": HEAD + "class Tested:\n    'Say it.'\n    def run(self, host):\n        print(host)\n"
    'PLUGINS = {"command:tested": Tested}\n',
    "publisher": HEAD + "class Tested:\n    'Sends.'\n    guarantee = 'best effort'\n"
    "    async def publish(self, batch):\n        return None\n    def close(self): pass\n",
}


@pytest.mark.parametrize("name", SOUND)
def test_whatever_shape_is_allowed_is_no_breach(name: str, tmp_path: Path) -> None:
    """Awaitables, instances, plain decorators, each way to provide a name."""
    told = verdicts(tmp_path, SOUND[name])
    assert {name: each.problem for name, each in told.items() if each.outcome != OK} == {}


GAUGE = 'yield Sample("tested", "gauge", "B", {}, resource_id={})'


@pytest.mark.usefixtures("process_as_it_was")
@pytest.mark.parametrize(
    ("check", "source", "problem"),
    [
        ("described", pollster().replace('"""Tells a number."""', "pass"), "does not say what it does"),
        ("options", pollster(more='options = (Option("size", default=1),)'), "without help: size"),
        ("options", pollster(more='options = [Option(each, help="H.") for each in ("a", "b")]'),
         "not written out: a, b"),
        ("loads", pollster(more='options = (Option("size", default="a", type=int, help="H."),)'), "no int"),
        ("loads", pollster(more="def __init__(self): 1 / 0\n"), "ZeroDivisionError"),
        ("loads", pollster(arguments="unheard"), "wanted get_samples(resources, cache"),
        ("meters", pollster(meters='("tes ted",)'), "no names for meters: 'tes ted'"),
        ("meters", pollster(meters='("tested", "tested")'), "declared twice: tested"),
        ("discovery", pollster(more='default_discovery = "nowhere"'), "'nowhere' is not installed"),
        ("polls", pollster("raise OSError('gone')", "yield"), "OSError: gone"),
        ("polls", pollster(GAUGE.format("float('nan')", "'r'")), "not finite"),
        ("polls", pollster("while True:", f"    {SAMPLE}"), "does not end within 100000 samples"),
        ("polls", pollster("time.sleep(1)", SAMPLE), "longer than 0.3 s"),
        ("samples", pollster(SAMPLE, SAMPLE.replace('"B"', '"s"').replace("one", "two")), "several types"),
        ("stable resources", pollster(GAUGE.format(1, "str(uuid.uuid4())")), "at the next"),
        ("stable resources", pollster(GAUGE.format(1, "'r', resource_metadata={'at': at}"), arguments="at"),
         "others at each poll"),
        ("counters", pollster(GAUGE.replace("gauge", "cumulative").format("-at", "'r'"), arguments="at"),
         "fell from"),
        ("no resources", pollster(GAUGE.format(1, "resources[0]")), "IndexError"),
        ("state", pollster("state['at'] = {1}", SAMPLE, arguments="state"), "JSON"),
        ("at once", pollster(
            "assert not hasattr(self, 'busy')", "self.busy = 1", "time.sleep(0.1)", SAMPLE, "del self.busy"),
         "of 2 calls at once, one is failed"),
        ("leaves no thread", pollster(
            "import threading", "threading.Thread(target=time.sleep, args=[3], daemon=True).start()", SAMPLE),
         "threads that go on"),
        ("leaves no file open", pollster("os.dup(0)", SAMPLE), "more files are open"),
        ("changes nothing global", pollster("os.umask(0o007)", SAMPLE), "umask"),
        ("changes nothing global", pollster("os.chdir('/')", SAMPLE), "working directory"),
        ("changes nothing global", pollster("os.environ['TESTED'] = '1'", SAMPLE), "TESTED"),
        ("changes nothing global", pollster("json.loads = print", SAMPLE), "json.loads"),
        ("converts", HEAD + "class Tested:\n    event_types = ('a',)\n    priorities = ('info',)\n"
         "    def convert(self, notification):\n        notification.document['a'] = 1\n        return []\n",
         "the notification is changed"),
        ("empty notification", HEAD + "class Tested:\n    event_types = ('a',)\n    priorities = ('info',)\n"
         "    def convert(self, notification):\n        return [notification.payload['id']]\n",
         "TypeError"),
        ("discovers", HEAD + "class Tested:\n    def discover(self):\n        raise OSError('gone')\n",
         "gone"),
        ("stable resources", HEAD + "class Tested:\n    def discover(self):\n        return [object()]\n",
         "at the next"),
        ("guarantee", HEAD + "class Tested:\n    guarantee = 'some'\n    def publish(self, samples): pass\n"
         "    def close(self): pass\n", "guarantee is 'some'"),
        ("publishes", HEAD + "class Tested:\n    def publish(self, samples):\n        return 5\n"
         "    def close(self): pass\n", "returned 5"),
        ("closes", HEAD + "class Tested:\n    def publish(self, samples): pass\n"
         "    def close(self):\n        del self.open\n", "close without use"),
        ("lets through", HEAD + "class Tested:\n    def apply(self, callback, context):\n"
         "        return lambda **given: []\n", "came out as []"),
        ("lets errors through", HEAD + "class Tested:\n    def apply(self, callback, context):\n"
         "        def quiet(**given):\n            try:\n                return list(callback(**given))\n"
         "            except Exception:\n                return []\n        return quiet\n", "is lost"),
        ("opens", HEAD + "from meteragent.plugins.provider import provides\n"
         "@provides('tested')\ndef tested():\n    yield None\n", "gives None"),
        ("closes after an error", HEAD + "from meteragent.plugins.provider import provides\n"
         "@provides('tested')\ndef tested():\n    for _ in range(2):\n        try:\n            yield 1\n"
         "        except Exception:\n            pass\n", "didn't stop"),
    ],
)  # fmt: skip
def test_a_breach_is_found_where_it_is(check: str, source: str, problem: str, tmp_path: Path) -> None:
    """With what it is, the place, and how to mend it."""
    seconds = 0.3 if "longer than" in problem else 5.0
    told = verdicts(tmp_path, source, check, seconds=seconds)[check]
    assert (told.outcome, problem in told.problem) == (BREACH, True), told
    assert told.mend
    assert told.place.startswith(f"{tmp_path}/tested.py:")


def test_what_is_not_there_cannot_be_checked(tmp_path: Path) -> None:
    """With the reason; it is no breach of the plugin's."""
    unavailable = pollster(more='def __init__(self): raise PluginUnavailable("no such device")\n')
    told = verdicts(tmp_path, unavailable, "loads", "polls")
    assert [each.outcome for each in told.values()] == [UNDECIDED, UNDECIDED]
    assert all("no such device" in each.problem for each in told.values())
    silent = verdicts(tmp_path, pollster("return []"), "samples", "stable resources")
    assert [each.outcome for each in silent.values()] == [UNDECIDED, UNDECIDED]


def test_there_are_checks_for_each_kind() -> None:
    """All that the catalogue knows."""
    from meteragent.plugins.catalog import GROUPS

    assert sorted(kinds()) == sorted(GROUPS)
