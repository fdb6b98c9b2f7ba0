"""``isolation: process`` in polling.yaml, ``[plugins] isolate``: which pollsters are confined, when not."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.plugin_folder import command, environment, install
from meteragent.errors import ConfigError
from meteragent.pollsters.definition import parse
from tests.plugins.confined.confining import SAMPLE

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
PLUGIN = f"""\
import os
import sys
import time
from meteragent.sample import Sample


class Tells:
    def get_samples(self):
        yield Sample("m", "gauge", "", os.getuid(), None, None, "r", None, {{"process": os.getpid()}})


class Needs:
    def get_samples(self, manager):
        yield {SAMPLE}


class Leaves:
    def get_samples(self):
        if not os.fork():
            os.setsid()
        yield {SAMPLE}
        time.sleep(1000)
"""
DROPPED = """\
[DEFAULT]
host = web1
[plugins]
directories = %s
isolate = pollster:dropin.*
[isolation]
user = 1
"""


def installed(folder: Path, conf: str, sources: list[dict[str, Any]]) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment of an agent with these plugins and this configuration."""
    names = {"tells": "Tells", "needs": "Needs", "leaves": "Leaves"}
    install(folder / "plugins", "sourced", PLUGIN, {"meteragent.poll.sourced": names})
    (folder / "etc").mkdir()
    (folder / "etc" / "meteragent.conf").write_text(f"[polling]\nnamespaces = sourced\n{conf}\n")
    (folder / "etc" / "polling.yaml").write_text(json.dumps({"sources": sources}))
    where = ["--config-dir", str(folder / "etc"), "--state-dir", str(folder / "state")]
    return where, environment(folder / "plugins")


def ran(where: list[str], env: dict[str, str], *told: str) -> subprocess.CompletedProcess[str]:
    """A command that was run."""
    return subprocess.run(command(*told, *where), env=env, capture_output=True, text=True, timeout=60)


def test_what_it_may_say(tmp_path: Path) -> None:
    """Only that it is a process."""
    text = "sources: [{name: s, interval: 1, meters: ['*'], isolation: %s}]"
    ((source,), _) = parse(text % "process", "polling.yaml")
    assert source.isolation == "process"
    with pytest.raises(ConfigError, match="isolation: 'thread' is unknown; allowed is process"):
        parse(text % "thread", "polling.yaml")
    del tmp_path


@needs_root
def test_a_source_has_its_pollsters_confined_and_others_do_not(tmp_path: Path) -> None:
    """The same pollster runs as nobody for one, and in the agent for the other; a failing one is named."""
    entry = {"interval": 1, "meters": ["tells", "needs"]}
    sources = [{"name": "apart", "isolation": "process", **entry}, {"name": "inside", **entry}]
    where, env = installed(tmp_path, "[isolation]\nuser = nobody", sources)
    run = ran(where, env, "run", "--stop-after", "4")
    assert run.returncode == 0, run.stderr
    told = json.loads(ran(where, env, "sample", "list", "-m", "m", "-f", "json").stdout)
    listed = json.loads(ran(where, env, "plugin", "list", "-f", "json").stdout)

    assert {each["volume"] for each in told if each["resource_id"] == "r"} >= {0, 65534}
    (needs,) = (each["reason"] for each in listed if each["name"] == "sourced.needs")
    assert (
        "sourced.Needs.get_samples needs the argument 'manager', which is not offered; offered are" in needs
    )
    assert "at, cache, host, log, options, resources, state" in needs


@needs_root
@pytest.mark.parametrize("isolated", ["isolate", "isolation"])
def test_root_without_a_user_for_them_confines_nothing(tmp_path: Path, isolated: str) -> None:
    """A plugin fails with the reason; a source is a fault of the configuration."""
    entry = {"name": "s", "interval": 1, "meters": ["tells"]}
    if isolated == "isolation":
        where, env = installed(tmp_path, "", [entry | {"isolation": "process"}])
        run = ran(where, env, "run", "--stop-after", "1")
        assert run.returncode != 0
        told = run.stderr
    else:
        where, env = installed(tmp_path, "[plugins]\nisolate = pollster:sourced.tells", [entry])
        told = ran(where, env, "run", "--stop-after", "1").stderr
        assert "pollster:sourced.tells is not used: " in told
    assert "[isolation] user: an agent that runs as root needs an unprivileged one" in told
    assert "Traceback" not in told


@needs_root
def test_all_of_it_ends_with_an_agent_that_is_killed(tmp_path: Path) -> None:
    """Nothing that a plugin has started outlives the agent, whatever ended that."""
    entry = {"name": "s", "interval": 5, "meters": ["leaves"]}
    conf = "[plugins]\nisolate = pollster:sourced.leaves\n[isolation]\nuser = nobody"
    where, env = installed(tmp_path, conf, [entry])
    with subprocess.Popen(command("run", *where), env=env, stderr=subprocess.DEVNULL) as agent:
        there = waited(tmp_path, lambda found: len(found) >= 4)
        agent.send_signal(signal.SIGKILL)
    left = waited(tmp_path, lambda found: not found)

    assert len(there) >= 4
    assert not left


@needs_root
def test_a_reload_ends_the_processes_of_plugins_that_are_isolated_at_the_start(tmp_path: Path) -> None:
    """Other terms make another process, and one that is disabled has none."""
    entry = {"name": "s", "interval": 1, "meters": ["tells"]}
    text = "[plugins]\nisolate = pollster:sourced.tells\n%s\n[isolation]\nuser = nobody\nmemory = %d"
    where, env = installed(tmp_path, text % ("", 200), [entry])
    conf = tmp_path / "etc" / "meteragent.conf"
    first = conf.read_text()
    with subprocess.Popen(command("run", *where), env=env, stderr=subprocess.DEVNULL) as agent:
        one = waited(tmp_path, lambda found: len(found) == 3)
        time.sleep(1)  # until it has begun to poll
        conf.write_text(first.replace("200", "300"))
        assert ran(where, env, "reload").returncode == 0
        other = waited(tmp_path, lambda found: len(found) == 3 and not set(found) & set(one))
        conf.write_text(first.replace("[isolation]", "disable = pollster:sourced.tells\n[isolation]"))
        assert ran(where, env, "reload").returncode == 0
        none = waited(tmp_path, lambda found: not found)
        agent.terminate()

    assert len(one) == 3
    assert len(other) == 3
    assert not set(other) & set(one)
    assert not none


def waited(folder: Path, enough: Any) -> list[int]:
    """The processes of confined plugins of an agent, once there are as many as there are to be."""
    end = time.monotonic() + 10
    while not enough(found := of_agent(folder)) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def of_agent(folder: Path) -> list[int]:
    """Those with the folder of its plugins among their arguments."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            text = Path(f"/proc/{name}/cmdline").read_bytes()
        except OSError:
            continue
        if b"confined/launch.py" in text and os.fsencode(folder / "plugins") in text:
            found.append(int(name))
    return found


@needs_root
def test_doctor_says_which_guards_there_are(tmp_path: Path) -> None:
    """By confining nothing but a process that is ended at once."""
    entry = {"name": "s", "interval": 1, "meters": ["tells"], "isolation": "process"}
    where, env = installed(tmp_path, "[isolation]\nuser = nobody", [entry])
    told = json.loads(ran(where, env, "doctor", "-f", "json").stdout)

    assert [each["finding"] for each in told if each["check"] == "confinement"] == [
        "plugins are confined with all guards"
    ]


@needs_root
def test_a_drop_in_is_confined_under_its_import_policy(tmp_path: Path) -> None:
    """With what crosses for parameters, and as another user than its owner."""
    entry = {"name": "s", "interval": 1, "meters": ["thing"]}
    where, env = installed(tmp_path, DROPPED % (tmp_path / "drop"), [entry])
    (tmp_path / "drop").mkdir()
    (tmp_path / "drop" / "thing.py").write_text(
        '"""A thing."""\nimport os\nfrom meteragent.parameters import host, log\n'
        "from meteragent.sample import Sample\n\n\nclass Thing:\n    def get_samples(self):\n"
        '        log.warning("user %s on %s", os.getuid(), host)\n'
        '        yield Sample("thing", "gauge", "", os.getuid(), None, None, host)\n'
    )
    (tmp_path / "drop" / "bad.py").write_text(
        "import socket\n\n\nclass Bad:\n    def get_samples(self):\n        return []\n"
    )
    told = ran(where, env, "run", "--stop-after", "1").stderr

    assert "meteragent.pollster.thing: user 1 on web1" in told
    assert "bad.py:1: import of socket is forbidden by [plugins] forbidden_imports" in told


@needs_root
def test_a_reload_ends_the_processes_of_what_is_gone(tmp_path: Path) -> None:
    """Of a source that is removed; one that is as before keeps its process, and other terms make another."""
    apart = {"name": "apart", "interval": 1, "meters": ["tells"], "isolation": "process"}
    kept = {"name": "kept", "interval": 1, "meters": ["tells"], "isolation": "process", "resources": ["r"]}
    inside = {"name": "inside", "interval": 1, "meters": ["tells"], "resources": ["i"]}
    where, env = installed(tmp_path, "[isolation]\nuser = nobody", [apart, kept, inside])
    polling, conf = tmp_path / "etc" / "polling.yaml", tmp_path / "etc" / "meteragent.conf"
    with subprocess.Popen(command("run", *where), env=env, stderr=subprocess.DEVNULL) as agent:
        both = waited(tmp_path, lambda found: len(found) == 6)
        polling.write_text(json.dumps({"sources": [kept, inside]}))
        assert ran(where, env, "reload").returncode == 0
        one = waited(tmp_path, lambda found: len(found) == 3)
        conf.write_text(conf.read_text() + "memory = 100\n")
        assert ran(where, env, "reload").returncode == 0
        other = waited(tmp_path, lambda found: len(found) == 3 and not set(found) & set(one))
        agent.terminate()
    left = waited(tmp_path, lambda found: not found)

    assert len(both) == 6
    assert len(one) == 3
    assert set(one) < set(both)
    assert len(other) == 3
    assert not set(other) & set(one)
    assert not left


ENDING = """
import os


class Ends:
    meters = ("ends.never",)

    def __init__(self):
        os._exit(9)

    def get_samples(self):
        yield None
"""


@needs_root
def test_a_pollster_that_all_its_sources_isolate_is_not_loaded_in_the_agent(tmp_path: Path) -> None:
    """One whose constructor ends its process ends no agent; others are polled."""
    (tmp_path / "dropins").mkdir(mode=0o700)
    (tmp_path / "dropins" / "ends.py").write_text(ENDING)
    sources = [
        {"name": "apart", "interval": 1, "meters": ["ends.*"], "isolation": "process"},
        {"name": "host", "interval": 1, "meters": ["tells"]},
    ]
    options = f"[plugins]\ndirectories = {tmp_path}/dropins\n[isolation]\nuser = nobody"
    where, env = installed(tmp_path, options, sources)
    run = ran(where, env, "run", "--stop-after", "2")

    assert run.returncode == 0, run.stderr
    told = json.loads(ran(where, env, "sample", "list", "-m", "m", "-f", "json").stdout)
    assert "its process exited with status 9" in run.stderr
    assert told
