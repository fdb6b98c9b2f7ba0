"""What fails again and again is not asked for a while."""

import time
from collections.abc import Iterator

import pytest

from meteragent.errors import MeteragentError, PluginUnavailable, Rejected, Unavailable
from meteragent.middleware.circuit_breaker import CircuitBreaker
from meteragent.middleware.rate_limit import RateLimit
from meteragent.plugins.bind import Bound, Context
from meteragent.plugins.isolation import Abandoned
from tests.middleware.wrapping import Failing, wrapped


def fail(call: Bound, times: int) -> None:
    """Let it fail so often."""
    for _ in range(times):
        with pytest.raises(OSError, match=r"^away$"):
            call({})


def test_after_so_many_failures_in_a_row_it_is_not_called() -> None:
    """The reason tells how many, the last of them, and when it is tried again."""
    failing = Failing(9)
    call = wrapped(CircuitBreaker(), failing, failures=3)
    fail(call, 3)
    told = r"^not called after 3 failures in a row, the last: OSError: away; tried again at 20.*Z$"
    with pytest.raises(PluginUnavailable, match=told):
        call({})
    assert failing.calls == 3


def test_a_success_in_between_counts_from_the_start() -> None:
    """Only failures in a row open it."""
    failing = Failing(2)
    call = wrapped(CircuitBreaker(), failing, failures=3)
    fail(call, 2)
    call({})
    failing.left = 2
    fail(call, 2)
    assert call({}) == [6]


def test_one_is_tried_again_after_a_while() -> None:
    """Fails it, all wait once more; succeeds it, all go on."""
    failing = Failing(2)
    call = wrapped(CircuitBreaker(), failing, failures=1, reset=0.05)
    fail(call, 1)
    time.sleep(0.06)
    fail(call, 1)
    with pytest.raises(PluginUnavailable):
        call({})
    time.sleep(0.06)
    assert [call({}), call({})] == [[3], [4]]


def test_while_one_is_tried_the_others_wait() -> None:
    """It is not asked by all at once."""
    seen: list[type[BaseException] | None] = []

    def get_samples() -> list[int]:
        if not seen:
            seen.append(None)
            raise OSError("away")
        try:
            call({})
        except PluginUnavailable as error:
            seen.append(type(error))
        return [1]

    call = wrapped(CircuitBreaker(), get_samples, failures=1, reset=0.05)
    fail(call, 1)
    time.sleep(0.06)
    assert call({}) == [1]
    assert seen == [None, PluginUnavailable]


def test_a_failure_in_the_middle_of_the_samples_counts() -> None:
    """And what is given up by whoever asked does not."""

    def get_samples() -> Iterator[int]:
        yield 1
        raise OSError("away")

    call = wrapped(CircuitBreaker(), get_samples, failures=1)
    given = call({})
    next(given)
    given.close()
    with pytest.raises(OSError, match=r"^away$"):
        list(call({}))
    with pytest.raises(PluginUnavailable):
        call({})


def test_each_source_has_a_circuit_of_its_own() -> None:
    """The failures of one do not cost the other."""
    breaker, failing = CircuitBreaker(), Failing(1)
    one, two = (wrapped(breaker, failing, source=source, failures=1) for source in "ab")
    fail(one, 1)
    assert two({}) == [2]


def test_a_sink_waits_for_what_is_unavailable() -> None:
    """Around a publisher, where it is meant to be, its batch is kept."""
    failing = Failing(9)
    call = wrapped(CircuitBreaker(), failing, "publisher:file", failures=1, plugins=["publisher:*"])
    fail(call, 1)
    with pytest.raises(Unavailable):
        call({})


def test_one_that_hangs_opens_it() -> None:
    """What ends its calls is no ordinary exception."""
    calls = []

    def get_samples() -> list[int]:
        calls.append(1)
        raise Abandoned

    call = wrapped(CircuitBreaker(), get_samples, failures=2)
    for _ in range(2):
        with pytest.raises(Abandoned):
            call({})
    with pytest.raises(PluginUnavailable, match="after 2 failures in a row, the last: Abandoned"):
        call({})
    assert len(calls) == 2


def test_a_trial_of_which_no_more_is_wanted_closes_it() -> None:
    """As where a poll has as many samples as it may."""
    failing = Failing(1)

    def get_samples() -> Iterator[int]:
        yield from failing()
        yield 0

    call = wrapped(CircuitBreaker(), get_samples, failures=1, reset=0.05)
    with pytest.raises(OSError, match=r"^away$"):
        list(call({}))
    time.sleep(0.06)
    trial = call({})
    next(trial)
    trial.close()
    assert list(call({})) == [3, 0]


def test_a_batch_that_is_rejected_is_no_failure() -> None:
    """It is the batch that is at fault: the others go on, and earlier failures are over."""
    failing = Failing(1)
    call = wrapped(CircuitBreaker(), failing, "publisher:file", failures=2, plugins=["publisher:*"])
    fail(call, 1)
    failing.left, failing.error = 3, Rejected("no such meter")
    for _ in range(3):
        with pytest.raises(Rejected):
            call({})
    failing.left, failing.error = 1, OSError("away")
    fail(call, 1)
    assert call({}) == [6]


@pytest.mark.parametrize("label", ["pollster:host.p", "publisher:file"])
def test_what_has_no_turn_yet_is_no_failure(label: str) -> None:
    """Nor is what has nothing to do here; a limit within it is told as itself."""
    failing = Failing(2, PluginUnavailable("no such device"))
    limited = RateLimit().apply(failing, limits(label))
    call = wrapped(CircuitBreaker(), limited, label, failures=1, plugins=["*"])
    for _ in range(2):
        with pytest.raises(PluginUnavailable, match=r"^no such device$"):
            call({})
    for _ in range(2):
        with pytest.raises(MeteragentError, match=r"^called 2 times within 60 s, which is the limit"):
            call({})


def limits(label: str) -> Context:
    """Of a limit to two calls."""
    options = {"calls": 2, "period": 60.0, "wait": 0.0, "plugins": ["*"]}
    return Context(label.partition(":")[0], "p", label, "s", options=options)
