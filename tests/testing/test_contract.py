"""What authors of plugins use in their tests: contracts as tests, values of options, fixtures of pytest."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meteragent import testing
from meteragent.errors import ConfigError, PluginError, Unavailable
from meteragent.plugins.option import Option
from meteragent.sample import Sample
from meteragent.testing import FakeClock, Polls, contract, options
from meteragent.testing.fakes import ListPollster, ListPublisher, agent, sample

test_a_plugin_of_our_own_keeps_its_contract = contract("discovery:static", param="a,b")
test_a_pollster_of_our_own_keeps_its_contract = contract("pollster:host.load")
test_a_publisher_of_our_own_keeps_its_contract = contract("publisher:file")
test_a_trait_plugin_of_our_own_keeps_its_contract = contract("trait:map", parameters={"values": {"a": 1}})
test_a_handler_of_our_own_keeps_its_contract = contract("notification:ipmi_fan")


def test_a_breach_fails_the_test_with_how_to_mend_it(tmp_path: Path) -> None:
    """And without a traceback of ours."""
    run: Any = contract("pollster:host.nowhere")
    (mark,) = run.pytestmark
    first = mark.args[1][0]
    with pytest.raises(
        pytest.fail.Exception, match=r"pollster:host.nowhere is not installed\ninstall its package"
    ):
        inspect.unwrap(run)(first, tmp_path)


def test_what_cannot_be_run_is_skipped(tmp_path: Path) -> None:
    """With the reason."""
    run: Any = contract("trait:map")
    loads = run.pytestmark[0].args[1][1]
    with pytest.raises(pytest.skip.Exception, match="it wants parameters"):
        inspect.unwrap(run)(loads, tmp_path)


def test_a_wrong_call_is_told_at_once() -> None:
    """With what is allowed."""
    with pytest.raises(ConfigError, match="begins with no kind of plugin; allowed: pollster, discovery"):
        contract("polster:host.load")
    with pytest.raises(
        ConfigError, match=r"'resource' cannot be given; allowed: resources.*perhaps: resources"
    ):
        contract("pollster:host.load", resource=["a"])


class Sized:
    """Has options."""

    meters = ("m",)
    options = (
        Option("size", default=5, minimum=1, help="How much."),
        Option("name", help="What."),
    )

    def get_samples(self, options: Any, db: str) -> list[Sample]:
        """As many as the option says, for the resource that is provided."""
        return [sample(volume=options.size, resource_id=db)]


def test_options_are_those_declared_with_what_is_given() -> None:
    """Checked as in the agent."""
    assert dict(options(Sized)) == {"size": 5, "name": None}
    assert options(Sized, size=7).size == 7
    assert dict(options(object)) == {}
    with pytest.raises(
        ConfigError, match="no option 'sise' is declared; declared are size, name; perhaps: size"
    ):
        options(Sized, sise=1)
    with pytest.raises(ConfigError, match="option size: "):
        options(Sized, size=0)
    with pytest.raises(PluginError, match="wanted options"):
        options(type("Wrong", (), {"options": 5}))


def test_polls_gives_options_and_what_others_provide() -> None:
    """Stand-ins for both."""
    with Polls(Sized(), provided={"db": "d"}) as polls:
        (told,) = polls.poll().samples
    assert (told.volume, told.resource_id) == (5, "d")
    with Polls(Sized(), provided={"db": "d", "options": options(Sized, size=9)}) as polls:
        (told,) = polls.poll().samples
    assert told.volume == 9
    with pytest.raises(PluginError, match="'db'"):
        Polls(Sized())


def test_the_fixtures_are_there(
    polls: Callable[..., Polls], fake_clock: FakeClock, convert: Callable[..., testing.Conversion]
) -> None:
    """In any test, without an import."""
    before = fake_clock.wall()
    fake_clock.advance(1)
    polled = polls(ListPollster(sample()), clock=fake_clock).poll()
    assert polled.samples[0].timestamp == before + 1_000_000
    assert convert({"event_type": "nobody.knows"}).problems == [
        "event nobody.knows: refused: message_id: missing"
    ]


def test_a_publisher_to_look_at_keeps_samples_or_raises() -> None:
    """What it was made with first."""
    publisher = ListPublisher(Unavailable("not now"))
    with pytest.raises(Unavailable, match="not now"):
        publisher.publish([sample()])
    publisher.publish([sample()])
    publisher.close()
    assert publisher.published == [[sample()]]


def test_a_middleware_is_set_up_beside_others() -> None:
    """With a log and the conf that is given."""
    told = agent("first", conf=5)
    assert (told.middleware, told.conf, told.log.name) == (("first",), 5, "meteragent.middleware")


def test_what_pytest_loads_everywhere_imports_nothing_of_the_agent() -> None:
    """A run of pytest that uses none of it pays nothing."""
    code = (
        "import sys, pytest; before = {*sys.modules}; import meteragent.testing.pytest_plugin; "
        "print(*sorted({*sys.modules} - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.split() == ["meteragent", "meteragent.testing", "meteragent.testing.pytest_plugin"]


def test_the_public_face_is_whole() -> None:
    """Each name in it can be had, and another one cannot."""
    for name in testing.__all__:
        assert getattr(testing, name) is not None
    assert {*testing.__all__} <= {*dir(testing)}
    assert not hasattr(testing, "nothing")
