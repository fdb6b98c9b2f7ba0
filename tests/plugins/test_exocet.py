"""Exocet as Bravo used it, its guide transposed: forbidden imports, parameters, methods to be waited for."""

from pathlib import Path

import pytest

from tests.plugins.dropped import agent, reload, stored

HELLO = '''\
"""Says hello; imports the names that it needs, and one that it can do without."""

import asyncio

from meteragent.parameters import cache, host
from meteragent.sample import Sample

try:
    from meteragent.parameters import example
except ImportError:
    example = None


class Hello:
    """Says hello once a poll, when it is waited for."""

    meters = ("hello.said",)
    default_discovery = "hello"

    async def get_samples(self, resources):
        await asyncio.sleep(0.01)
        cache["said"] = cache.get("said", 0) + 1
        return [
            Sample(
                name="hello.said", type="gauge", unit="1", volume=cache["said"], resource_id=each,
                resource_metadata={"host": host, "example": example},
            )
            for each in resources
        ]


class Players:
    """Finds whom to say it to."""

    async def discover(self):
        await asyncio.sleep(0.01)
        return ["ann", "bob"]


PLUGINS = {"pollster:dropin.hello": "Hello", "discovery:hello": "Players"}
'''
DEFERRED = '''\
"""A method that is no coroutine, and gives something to be waited for all the same."""

import asyncio

from meteragent.sample import Sample


class Deferred:
    meters = ("deferred",)

    def get_samples(self):
        async def later():
            await asyncio.sleep(0.01)
            return [Sample(name="deferred", type="gauge", unit="1", volume=7, resource_id="x")]

        return later()
'''
PUBLISHER = '''\
"""Publishes what it is given, when it is waited for."""

import asyncio

from meteragent.parameters import state_dir


class Told:
    def __init__(self, url):
        self.url = url

    async def publish(self, samples):
        await asyncio.sleep(0.01)
        with open(state_dir / "told", "a") as file:
            file.writelines(f"{each.name} {each.resource_id}\\n" for each in samples)

    async def close(self):
        await asyncio.sleep(0.01)


PLUGINS = {"publisher:told": Told}
'''
CRASH = '''\
"""Wants what may not be had."""

import socket

import ctypes


class Crash:
    meters = ("crash",)

    def get_samples(self):
        ctypes.string_at(0)
'''
NEEDY = '''\
"""Needs a parameter that nobody offers."""

from meteragent.parameters import example


class Needy:
    meters = ("needy",)

    def get_samples(self):
        return example
'''
SLY = '''\
"""Imports what may not be had where no source tells it, once it is polled."""


class Sly:
    meters = ("sly",)

    def get_samples(self):
        return __import__("sub" + "process").run(["true"])
'''


def test_forbidden_imports_parameters_and_awaitables_in_a_real_agent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What may be loaded is polled and waited for; what may not is named, with file, line and reason."""
    files = {
        "hello.py": HELLO, "deferred.py": DEFERRED, "crash.py": CRASH, "needy.py": NEEDY, "sly.py": SLY,
    }  # fmt: skip
    with agent(tmp_path, files) as running:
        said = stored(running, "hello.said", 2)
        assert {(each.resource_id, each.volume) for each in said} == {("ann", 1), ("bob", 1)}
        host = running.settings.host
        assert [dict(each.resource_metadata) for each in said] == [{"host": host, "example": None}] * 2
        assert [each.volume for each in stored(running, "deferred")] == [7]

        plugins = {each.label: each for each in running.plugins()}
        crash, needy = plugins["pollster:dropin.crash"], plugins["pollster:dropin.needy"]
        assert (crash.state, needy.state) == ("failed", "failed")
        file, forbidden = f"{tmp_path}/dropins/crash.py", "is forbidden by [plugins] forbidden_imports"
        assert crash.reason == (
            f"{file}:3: import of socket {forbidden}: blocks or fights the scheduler; "
            f"{file}:5: import of ctypes {forbidden}: can crash the agent"
        )
        assert needy.reason == (
            f"{tmp_path}/dropins/needy.py:3: meteragent.parameters has no 'example'; offered are "
            "cache, conf, figures, host, log, options, state_dir"
        )
        assert plugins["pollster:dropin.sly"].state == "loaded"
        told = (
            f"pollster sly: failed after 0 samples: ForbiddenImport: {tmp_path}/dropins/sly.py:8: import of"
        )
        assert told in caplog.text


def test_what_is_mended_or_allowed_is_loaded_at_the_next_reload(tmp_path: Path) -> None:
    """The lines of the reload say what became of each."""
    with agent(tmp_path, {"crash.py": CRASH, "needy.py": NEEDY}) as running:
        (tmp_path / "dropins" / "needy.py").write_text(
            NEEDY.replace("import example", "import host as example")
        )
        config = tmp_path / "meteragent.conf"
        config.write_text(config.read_text() + 'forbidden_imports = "socket:, ctypes:no C"\n')

        lines = reload(running, tmp_path)

        assert (
            "reloaded: plugin pollster:dropin.crash failed: "
            "crash.py:5: import of ctypes is forbidden by [plugins] forbidden_imports: no C" in lines
        )
        assert "reloaded: plugin pollster:dropin.needy added" in lines
        assert "reloaded: polling source all changed" in lines


def test_a_publisher_may_be_waited_for_too(tmp_path: Path) -> None:
    """It is loaded anew when its file changes, as everything that is dropped in."""
    told = tmp_path / "state" / "told"
    (tmp_path / "pipeline.yaml").write_text(
        "sources: [{name: s, meters: ['*'], sinks: [k]}]\n"
        "sinks: [{name: k, publishers: ['told:', 'store:']}]\n"
    )
    polling = "sources: [{name: all, interval: 1, meters: ['hello.*', deferred]}]"
    with agent(tmp_path, {"hello.py": HELLO, "told.py": PUBLISHER}, polling=polling) as running:
        stored(running, "hello.said", 2)
        assert told.read_text().startswith("hello.said ann\nhello.said bob\n")

        changed = PUBLISHER.replace('"{each.name} ', '"{each.name} of ')
        (tmp_path / "dropins" / "told.py").write_text(changed)
        (tmp_path / "dropins" / "deferred.py").write_text(DEFERRED)
        assert "reloaded: sink k changed" in reload(running, tmp_path)
        stored(running, "deferred")
        assert "deferred of x\n" in told.read_text()
