"""Asking discoveries."""

import threading
import time
from queue import SimpleQueue
from typing import Any

import pytest

from meteragent.discovery.discoverer import Discoverer
from meteragent.testing.fakes import ListDiscovery


class Sleepy(ListDiscovery):
    """Takes longer than anyone waits."""

    def discover(self, param: str | None = None) -> Any:
        """Sleep."""
        time.sleep(0.3)
        return super().discover(param)


class Ancestral:
    """A discovery as the ancestor's."""

    def discover(self, manager: Any, param: str | None = None) -> list[Any]:
        """Tell what it was given."""
        return [manager, param]


def test_reads_the_three_forms_of_a_url() -> None:
    """A name alone has no parameter; what follows the colon, without slashes before it, is the parameter."""
    found = ListDiscovery("r")
    discoverer = Discoverer({"d_1": found})

    for url in ("d_1", "d_1:", "d_1:x", "d_1:x:y", "d_1://host/path"):
        assert discoverer.discover([url], {}).resources == ["r"]

    assert found.asked == [None, None, "x", "x:y", "host/path"]
    discoverer.close()


def test_asks_once_a_tick() -> None:
    """The answer to a URL is kept in the cache of the tick, and several answers are joined in order."""
    one, two = ListDiscovery("a"), ListDiscovery("b")
    discoverer = Discoverer({"one": one, "two": two})
    cache: dict[Any, Any] = {}

    assert discoverer.discover(["two", "one"], cache).resources == ["b", "a"]
    assert discoverer.discover(["one", "two"], cache).resources == ["a", "b"]
    discoverer.discover(["one"], {})

    assert (len(one.asked), len(two.asked)) == (2, 1)
    discoverer.close()


def test_asks_once_for_all_who_ask_together() -> None:
    """Of several threads that ask at the same time one asks the plugin, and all get the answer."""
    sleepy = Sleepy("r")
    discoverer = Discoverer({"d": sleepy})
    cache: dict[Any, Any] = {}
    answers: list[list[Any]] = []
    threads = [
        threading.Thread(target=lambda: answers.append(discoverer.discover(["d"], cache, 5).resources))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [["r"]] * 4
    assert len(sleepy.asked) == 1
    discoverer.close()


def test_an_unknown_name_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """A URL of a discovery that is not there finds nothing, is a problem each time, and is logged once."""
    discoverer = Discoverer({"known": ListDiscovery()})

    for _ in range(3):
        found = discoverer.discover(["unknown:x", 7], {})

    assert found.resources == []
    assert found.problems == [
        "discovery 'unknown:x': not installed or not loaded; there are known",
        "discovery '7': not installed or not loaded; there are known",
    ]
    assert caplog.text.count("'unknown:x'") == 1


def test_a_failing_one_is_told_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    """What it raises is a problem in one line, logged once until it changes; the others answer."""
    broken = ListDiscovery("half", SystemExit("no\nmore"))
    discoverer = Discoverer({"broken": broken, "good": ListDiscovery("r")})

    for _ in range(2):
        found = discoverer.discover(["broken", "good"], {})
    assert found.resources == ["r"]
    assert found.problems == ["discovery 'broken': SystemExit: no more"]
    assert caplog.text.count("SystemExit: no more") == 1

    caplog.set_level("INFO")
    broken.resources = ("all",)
    assert discoverer.discover(["broken"], {}).resources == ["all"]
    assert "answers again" in caplog.text
    discoverer.close()


def test_a_hanging_one_is_not_waited_for() -> None:
    """After its time it is a problem, and whoever asked with it gets the same."""
    discoverer = Discoverer({"d": Sleepy("r")})

    began = time.monotonic()
    found = discoverer.discover(["d"], {}, 0.05)

    assert time.monotonic() - began < 0.25
    assert found.problems == ["discovery 'd': no answer within 0.05 s"]


def test_what_is_no_list_is_a_problem() -> None:
    """A discovery that returns nothing to iterate over has failed."""

    class Nothing:
        def discover(self) -> None:
            return None

    discoverer = Discoverer({"d": Nothing()})

    assert "TypeError" in discoverer.discover(["d"], {}).problems[0]
    discoverer.close()


def test_the_ancestors_discoveries_get_their_manager() -> None:
    """``discover(manager, param)`` works as it is."""
    discoverer = Discoverer({"endpoint": Ancestral()}, manager="the manager")

    assert discoverer.discover(["endpoint:compute"], {}).resources == ["the manager", "compute"]
    discoverer.close()


class Immediate(ListDiscovery):
    """Answers from memory, and tells in which thread."""

    immediate = True
    thread: threading.Thread | None = None

    def discover(self, param: str | None = None) -> Any:
        """Note the thread."""
        self.thread = threading.current_thread()
        return super().discover(param)


def test_one_that_answers_from_memory_is_asked_in_the_same_thread() -> None:
    """Any other in a thread of its own; what it raises is a problem all the same."""
    immediate = Immediate("r")
    discoverer = Discoverer({"d": immediate})

    assert discoverer.discover(["d"], {}).resources == ["r"]
    assert immediate.thread is threading.current_thread()
    immediate.resources = (ValueError("no"),)
    assert discoverer.discover(["d"], {}).problems == ["discovery 'd': ValueError: no"]


def test_no_password_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Neither of a URL nor in what is raised, as problems go into the store; the discovery is given it."""
    caplog.set_level("INFO")
    url = "//u:hunter2@h/x"
    asked = ListDiscovery("r", ValueError(f"http:{url} is gone"))
    discoverer = Discoverer({"d": asked, "slow": Sleepy("r")})
    cache: dict[Any, Any] = {("discovery", f"slow:{url}"): SimpleQueue()}

    problems = discoverer.discover([f"none:{url}", f"d:{url}"], {}).problems
    problems += discoverer.discover([f"slow:{url}"], cache, 0.01).problems
    asked.resources = ("r",)
    discoverer.discover([f"d:{url}"], {})

    assert asked.asked == ["u:hunter2@h/x"] * 2
    assert [problem.split(": ")[0] for problem in problems] == [
        f"discovery '{name}://u:***@h/x'" for name in ("none", "d", "slow")
    ]
    assert "hunter2" not in f"{problems} {caplog.text}"
    discoverer.close()
