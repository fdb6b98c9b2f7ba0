"""What speaks for a confined pollster: the same as the pollster, and one call is all that a fault costs."""

import inspect
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from meteragent.errors import PluginError, PluginUnavailable, PollsterPermanentError
from meteragent.plugins.confined.frames import Hello
from meteragent.plugins.confined.pollster import StandIn
from meteragent.pollsters.limits import Limits
from meteragent.pollsters.states import States
from tests.plugins.confined.confining import HEAD, SAMPLE, confined, gone, order, processes, yielding
from tests.pollsters.polling import Polling

MANY = """\
class Odd:
    def __repr__(self):
        raise OSError("no text")

class P:
    meters = ("m", "n")
    def get_samples(self, at, host):
        yield Sample("m", "gauge", "B", 2**63, "u", "p", host, None, {"a": [1, None, {"b": 2.5}]})
        yield Sample("n", "delta", "", -1.5, None, None, "r", None, {}, None, None, 3.5, "un", "pn")
        yield Sample("m", "cumulative", None, "12", None, None, 5)
        yield from (None, 1, "x", b"x", {}, [], (), object)
        yield Sample("m", "gauge", "", float("nan"), None, None, "r")
        yield Sample("m", "gauge", "", 2**70, None, None, "r")
        yield Sample("m", "gauge", "", True, None, None, "r")
        yield Sample("m", "odd", "", 1, None, None, "r")
        yield Sample("m", "gauge", "", 1, None, None, None)
        yield Sample("m", "gauge", "", 1, None, None, "")
        yield Sample("", "gauge", "", 1, None, None, "r")
        yield Sample("m", "gauge", "", 1, None, None, "r" * 5000)
        yield Sample("m", "gauge", "", 1, None, None, "r\\ud800")
        yield Sample("m", "gauge", "", "x", None, None, "r")
        yield Sample("m", "gauge", "", 1, None, None, "r", None, {"a": object()})
        yield Sample("m", "gauge", "", 1, None, None, "r", None, [1])
        yield Sample("m", "gauge", "", 1, None, None, "r", None, {"a": 1}, user_name="u" * 5000)
        yield Sample("m", "gauge", "", 1, None, None, "r", None, {"a": "x" * 5000}, user_name="u" * 5000)
        yield Odd()
"""


def inside(source: str) -> Any:
    """The same pollster in this process."""
    names: dict[str, Any] = {}
    exec(HEAD + source, names)
    return names["P"]()


def test_all_comes_out_as_from_a_pollster_in_the_agent(tmp_path: Path) -> None:
    """The same samples, the same refused for the same reasons, the same row."""
    apart = confined(tmp_path, MANY)
    here, there = Polling({"p": inside(MANY)}), Polling({"p": apart})
    tick = here.clock.wall()

    here.poll(tick)
    there.poll(tick)
    apart.close()

    assert len(here.samples) == 4
    assert there.samples == here.samples
    assert [each.reason for each in there.refused] == [each.reason for each in here.refused]
    assert [each.samples for each in there.refused] == [each.samples for each in here.refused]
    row, wanted = there.row("p"), here.row("p")
    assert (row.outcome, row.samples, row.reason) == (wanted.outcome, wanted.samples, wanted.reason)


def test_it_says_of_itself_what_the_pollster_says(tmp_path: Path) -> None:
    """Its meters, what it lacks, its discovery and the arguments that it takes."""
    source = """\
    class P:
        meters = ["m", "n"]
        default_discovery = "local_host"
        def __init__(self, host, log, options):
            self.lacking = {"n": f"not on {host}"}
        def get_samples(self, resources, state, cache, log, host, at):
            return []
    """
    apart = confined(tmp_path, source)
    apart.close()

    assert (apart.meters, apart.default_discovery) == (["m", "n"], "local_host")
    assert apart.lacking == {"n": "not on web1"}
    assert sorted(inspect.signature(apart.get_samples).parameters) == ["at", "resources", "state"]


@pytest.mark.parametrize("named", ["nodes", "nodes:/etc", "local_host2", ":", "a\nb"])
def test_it_names_no_discovery_that_is_not_granted(tmp_path: Path, named: str) -> None:
    """As that runs in the agent; what may be named is told."""
    source = f"class P:\n    default_discovery = {named!r}\n    def get_samples(self, resources): ..."
    with pytest.raises(PluginError) as caught:
        confined(tmp_path, source, discoveries=("local_host", "static"))
    apart = confined(tmp_path, source, discoveries=(named.partition(":")[0],))
    apart.close()

    assert str(caught.value).startswith(f"default_discovery: {named!r} is none of [isolation] discoveries: ")
    assert apart.default_discovery == named
    assert gone(tmp_path)


def test_the_agent_never_imports_it(tmp_path: Path) -> None:
    """Its module is in its own process only."""
    apart = confined(tmp_path, yielding(f"yield {SAMPLE}"))
    apart.close()

    assert not [name for name in sys.modules if name.startswith("plugin_")]


def test_a_process_is_kept_for_the_next_call(tmp_path: Path) -> None:
    """What the pollster has in memory is there again."""
    source = """\
    class P:
        calls = 0
        def get_samples(self):
            self.calls += 1
            yield Sample("m", "gauge", "", self.calls, None, None, "r")
    """
    apart = confined(tmp_path, source)
    found: list[int] = []
    for _ in range(3):
        found += [each.volume for each in apart.get_samples()]
    apart.close()

    assert found == [1, 2, 3]


def test_nothing_of_it_runs_between_calls(tmp_path: Path) -> None:
    """A thread that goes on computing gets no time until the next call."""
    source = """\
    import threading
    class P:
        turns = 0
        def __init__(self):
            threading.Thread(target=self.turn, daemon=True).start()
        def turn(self):
            while True:
                self.turns += 1
                time.sleep(0.001)
        def get_samples(self):
            yield Sample("m", "gauge", "", self.turns, None, None, "r")
            time.sleep(0.05)
            yield Sample("m", "gauge", "", self.turns, None, None, "r")
    """
    apart = confined(tmp_path, source)
    _, before = (each.volume for each in apart.get_samples())
    time.sleep(0.5)
    after, then = (each.volume for each in apart.get_samples())
    apart.close()

    assert after - before < 100
    assert then > after


def test_nothing_of_it_runs_between_a_crash_and_the_next_call(tmp_path: Path) -> None:
    """Its new process waits with loading it."""
    (tmp_path / "loaded").mkdir()
    (tmp_path / "loaded").chmod(0o777)
    there = str(tmp_path / "loaded")
    source = f"open(f'{there}/{{time.monotonic()}}', 'w').close()\n" + yielding("os._exit(3)\nyield")
    apart = confined(tmp_path, source, write_paths=(there,))
    with pytest.raises(PluginError):
        list(apart.get_samples())
    time.sleep(0.7)
    before = os.listdir(there)
    with pytest.raises(PluginError):
        list(apart.get_samples())
    after = os.listdir(there)
    apart.close()

    assert (len(before), len(after)) == (1, 2)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("os._exit(3)", "PluginError: its process exited with status 3"),
        ("import ctypes; ctypes.string_at(0)", "PluginError: its process was killed by signal 11 (SEGV)"),
        ("os.kill(os.getpid(), 9)", "PluginError: its process was killed by signal 9 (KILL)"),
        ("raise SystemExit(4)", "SystemExit: 4"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise ValueError('a\\nb')", "ValueError: a b"),
        ("x = bytearray(1 << 31)", "MemoryError: exceeded the memory limit of 256 MiB"),
    ],
)
def test_a_fault_costs_one_call_and_is_named(tmp_path: Path, body: str, reason: str) -> None:
    """What was yielded before is kept, and the next call is as ever."""
    once = f"yield {SAMPLE}\nif at % 2:\n    {body}\nyield {SAMPLE}"
    apart = confined(tmp_path, yielding(once, "at"))
    polling = Polling({"p": apart})

    polling.poll(1)
    row = polling.row("p")
    polling.poll(2)
    apart.close()

    assert reason in row.reason
    assert row.outcome == ("partial" if row.samples else "failed")
    assert (polling.row("p").outcome, len(polling.samples)) == ("complete", 2)


def test_one_that_hangs_is_ended_with_its_call(tmp_path: Path) -> None:
    """It times out, keeps what came, and none of its processes is left."""
    body = f"""\
    yield from [{SAMPLE}] * 1000
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if not os.fork():
        os.setsid()
        os.fork()
    while True:
        pass
    """
    apart = confined(tmp_path, yielding(body))
    polling = Polling({"p": apart}, limits=Limits(timeout=1.0))

    polling.poll()
    row = polling.row("p")
    apart.close()
    settled = polling.settled()

    assert (row.outcome, row.samples, row.reason[:12]) == ("timed out", 1000, "not finished")
    assert settled
    assert gone(tmp_path)


def test_one_that_fails_again_is_left_alone_for_a_while(tmp_path: Path) -> None:
    """After the second time it is not started at each call, and the reason stays told."""
    apart = confined(tmp_path, yielding("os._exit(3)\nyield"))
    reasons = []
    for _ in range(3):
        with pytest.raises((PluginError, PluginUnavailable)) as caught:
            list(apart.get_samples())
        reasons.append(str(caught.value))
    apart.close()

    assert reasons[:2] == ["its process exited with status 3"] * 2
    assert reasons[2].startswith(
        "its process exited with status 3, 2 times in a row; it is started again in "
    )


def test_calls_may_overlap(tmp_path: Path) -> None:
    """A second one at the same time has a process of its own."""
    apart = confined(tmp_path, yielding("time.sleep(0.3)\nyield " + SAMPLE))
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.extend(apart.get_samples())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    apart.close()

    assert len(found) == 2


def test_one_that_needs_what_does_not_cross_is_not_loaded(tmp_path: Path) -> None:
    """The message lists what crosses."""
    with pytest.raises(PluginError) as caught:
        confined(tmp_path, yielding("yield", "conf"))

    assert str(caught.value).endswith(
        "needs the argument 'conf', which is not offered; "
        "offered are at, cache, host, log, options, resources, state"
    )


@pytest.mark.parametrize(
    ("source", "kind", "reason"),
    [
        (
            "from meteragent.errors import PluginUnavailable\nclass P:\n"
            "    def __init__(self): raise PluginUnavailable('no device')\n    def get_samples(self): ...",
            PluginUnavailable,
            "no device",
        ),
        ("raise OSError('at import')", Exception, "at import"),
        ("os._exit(1)", PluginError, "its process exited with status 1"),
        ("time.sleep(1000)", PluginError, "not loaded after 1.5 s in its process"),
        ("class P: pass", PluginError, "wanted an object with get_samples"),
    ],
)
def test_one_that_cannot_be_loaded_says_why(
    tmp_path: Path, source: str, kind: type[Exception], reason: str
) -> None:
    """By the error that loading it in the agent would raise, or what became of its process."""
    with pytest.raises(kind, match=reason.replace("(", r"\(")):
        confined(tmp_path, source, start_timeout=1.5 if "sleep" in source else 20.0)

    assert gone(tmp_path)


def test_what_it_prints_and_logs_is_logged_within_bounds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Lines of its own log, a hundred a call at most, each cut short."""
    body = """\
    print("printed", flush=True)
    log.warning("logged %s", "x" * 10_000)
    for _ in range(1000):
        print("more")
    return []
    """
    apart = confined(tmp_path, yielding(body, "log"))
    with caplog.at_level(logging.INFO, "meteragent.pollster.p"):
        list(apart.get_samples())
    apart.close()

    lines = [record.getMessage() for record in caplog.records if record.name == "meteragent.pollster.p"]
    assert lines[0] == "printed"
    assert lines[1].startswith("logged xxx")
    assert len(lines[1]) < 600
    assert len(lines) == 100
    assert lines[-1] == "further lines of this call are let go"


def test_its_state_is_kept_and_journaled_with_its_samples(tmp_path: Path) -> None:
    """What is in it at the end is there at the next poll; with a crash, neither it nor samples are kept."""
    body = """\
    state["polls"] = state.get("polls", 0) + 1
    yield Sample("m", "gauge", "", state["polls"], None, None, "r")
    if at == 3:
        os._exit(1)
    """
    apart = confined(tmp_path, yielding(body, "state, at"))
    polling, volumes = Polling({"p": apart}, states=States()), []
    for tick in (1, 2, 3, 4):
        polling.poll(tick)
        volumes.append([each.volume for each in polling.samples])
    apart.close()

    assert volumes == [[1], [2], [], [3]]


def test_a_state_that_json_cannot_say_is_refused(tmp_path: Path) -> None:
    """As from a pollster in the agent, its samples go with it."""
    apart = confined(tmp_path, yielding(f"state['a'] = (1,)\nyield {SAMPLE}", "state"))
    polling = Polling({"p": apart}, states=States())
    polling.poll()
    apart.close()

    row = polling.row("p")
    assert (row.outcome, row.samples) == ("failed", 0)
    assert "state: ValueError: something in it is nothing that JSON can say" in row.reason


def test_a_permanent_error_gives_its_resources_up(tmp_path: Path) -> None:
    """They are not asked for again."""
    body = f"""\
    from meteragent.errors import PollsterPermanentError
    for resource in resources:
        yield {SAMPLE}
    if "bad" in resources:
        raise PollsterPermanentError(["bad"])
    """
    apart = confined(tmp_path, yielding(body, "resources"))
    polling = Polling({"p": apart}, "meters: ['*']\nresources: [good, bad]")
    polling.poll()
    first = polling.row("p")
    polling.poll()
    apart.close()

    assert (first.outcome, first.failed) == ("partial", ["bad"])
    assert (polling.row("p").outcome, len(polling.samples)) == ("complete", 1)


@pytest.mark.parametrize(
    "body",
    [
        f"for _ in range(3):\n    yield {SAMPLE}\nraise RuntimeError('x')",
        f"def found():\n    yield from [{SAMPLE}] * 3\n    raise RuntimeError('x')\nreturn found()",
    ],
)
def test_an_asynchronous_one_keeps_what_it_yielded_before_a_fault(tmp_path: Path, body: str) -> None:
    """As any other does."""
    apart = confined(tmp_path, yielding(body).replace("    def get_samples", "    async def get_samples"))
    polling = Polling({"p": apart})
    polling.poll()
    row = polling.row("p")
    apart.close()

    assert (row.outcome, row.samples, row.reason) == ("partial", 3, "RuntimeError: x")


@pytest.mark.parametrize(
    "source",
    [
        f"class P:\n    async def get_samples(self):\n        yield {SAMPLE}",
        f"class P:\n    async def get_samples(self):\n        return [{SAMPLE}]",
        f"class P:\n    def get_samples(self):\n        return [{SAMPLE}]",
        f"class Q:\n    def get_samples(self):\n        return [{SAMPLE}]\nP = Q()",
    ],
)
def test_all_shapes_of_pollsters_are_asked(tmp_path: Path, source: str) -> None:
    """Asynchronous ones, plain ones, and objects."""
    apart = confined(tmp_path, source)
    found = list(apart.get_samples())
    apart.close()

    assert [each.name for each in found] == ["m"]


def test_resources_that_cannot_cross_are_told(tmp_path: Path) -> None:
    """Only what JSON can say goes to a process, which is not blamed for the rest, however often."""
    apart = confined(tmp_path, yielding(f"yield {SAMPLE}", "resources"))
    circle: list[Any] = []
    circle.append(circle)
    before = processes(tmp_path)
    for resource in (threading.Lock(), 2**70, "\ud800", circle, "x" * (9 << 20)):
        with pytest.raises(PluginError, match="its resources cannot go to its process"):
            list(apart.get_samples(resources=[resource]))
    after = processes(tmp_path)
    found = list(apart.get_samples(resources=["r"]))
    apart.close()

    assert after == before
    assert len(found) == 1


def test_all_processes_end_with_it(tmp_path: Path) -> None:
    """With those that it has left behind."""
    body = "if not os.fork():\n    os.setsid()\n    time.sleep(1000)\nreturn []"
    apart = confined(tmp_path, yielding(body))
    list(apart.get_samples())
    there = len(processes(tmp_path))
    apart.close()

    assert there >= 3
    assert gone(tmp_path)


def test_one_of_a_polling_source_is_started_at_its_first_call(tmp_path: Path) -> None:
    """Where the agent has the pollster, it knows already what that says of itself."""
    told = order(tmp_path, yielding(f"yield {SAMPLE}"))
    apart = StandIn(told, Hello(["m"], {}, None, []))
    before = processes(tmp_path)
    found = list(apart.get_samples())
    apart.close()

    assert not before
    assert len(found) == 1


def test_only_resources_that_were_asked_for_are_given_up(tmp_path: Path) -> None:
    """By themselves or by their ids; the agent remembers no others."""
    body = """\
    from meteragent.errors import PollsterPermanentError
    resources.reverse()
    raise PollsterPermanentError(["a", {"id": 2, "x": 1}, "never", 7, object()])
    """
    apart = confined(tmp_path, yielding(body, "resources"))
    asked = [{"id": "a"}, {"x": 1, "id": 2}, "b", 7.5]
    with pytest.raises(PollsterPermanentError) as caught:
        list(apart.get_samples(resources=asked))
    apart.close()

    assert caught.value.fail_res_list == ["a", {"id": 2, "x": 1}]


def test_one_that_logs_without_end_is_ended(tmp_path: Path) -> None:
    """So that nobody reads on and on, at its first call and while it is loaded."""
    apart = confined(tmp_path, yielding("while True:\n    print('x')\nyield"))
    with pytest.raises(PluginError, match="its process logs without end"):
        list(apart.get_samples())
    apart.close()
    with pytest.raises(PluginError, match="its process logs without end"):
        confined(tmp_path, "while True:\n    print('x')")

    assert gone(tmp_path)


FORGED = """\
from meteragent.plugins.confined import frames
way = next(
    number for number in range(3, 64)
    if os.path.lexists(f"/proc/self/fd/{number}")
    and os.readlink(f"/proc/self/fd/{number}").startswith("socket")
)
os.write(way, frames.encode(frames.Guards([])))
"""


def test_a_process_cannot_say_that_it_has_all_guards(tmp_path: Path) -> None:
    """What they lack is told before foreign code runs; whoever tells it again is ended."""
    with pytest.raises(PluginError, match="its process sent Guards where none was expected"):
        confined(tmp_path, FORGED + yielding("yield"))

    assert gone(tmp_path)


def test_a_state_too_large_to_be_kept_is_told(tmp_path: Path) -> None:
    """As it is of a pollster in the agent; its process goes on."""
    apart = confined(tmp_path, yielding("state['a'] = 'x' * 70_000\nreturn []", "state"))
    with pytest.raises(Exception, match="state: ValueError: 70008 bytes as JSON, at most 65536 allowed"):
        list(apart.get_samples(state={}))
    before = processes(tmp_path)
    with pytest.raises(Exception, match="70008 bytes as JSON"):
        list(apart.get_samples(state={}))
    after = processes(tmp_path)
    apart.close()

    assert after == before


def test_what_it_tells_of_itself_is_bounded(tmp_path: Path) -> None:
    """Nobody has ten thousand meters and more."""
    with pytest.raises(PluginError, match="tells of more than 10000 meters"):
        confined(tmp_path, "class P:\n    meters = ['m'] * 10_001\n    def get_samples(self): ...")
