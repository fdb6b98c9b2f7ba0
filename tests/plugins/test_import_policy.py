"""Which modules a drop-in may not import."""

import pytest

from meteragent.plugins.import_policy import FORBIDDEN, reason, reason_of_names, table


@pytest.mark.parametrize(
    "module", ["ctypes", "ctypes.util", "multiprocessing.pool", "socket", "gc", "signal"]
)
def test_what_crashes_looks_inside_or_fights_the_scheduler_is_forbidden(module: str) -> None:
    """With what is inside of it; each has a reason."""
    assert reason(module, FORBIDDEN)


@pytest.mark.parametrize(
    "module", ["json", "asyncio", "ctypesque", "importlib.metadata", "meteragent.errors"]
)
def test_all_else_is_allowed(module: str) -> None:
    """A name that only begins alike is another module."""
    assert reason(module, FORBIDDEN) == ""


def test_what_is_taken_out_of_a_module_may_be_a_module() -> None:
    """Of ``from concurrent import futures`` the outer one is named; of what is allowed inside, none."""
    assert reason_of_names("concurrent", ("futures",), FORBIDDEN)[0] == "concurrent"
    assert reason_of_names("importlib", ("import_module",), FORBIDDEN)[0] == "importlib"
    assert reason_of_names("importlib", ("metadata",), FORBIDDEN) == ("", "")
    assert reason_of_names("importlib", ("metadata", "import_module"), FORBIDDEN)[0] == "importlib"
    assert reason_of_names("os", ("fork",), {"os.fork": "two agents"}) == ("os.fork", "two agents")


def test_a_configuration_adds_changes_and_allows() -> None:
    """Those that it does not name stay as they are."""
    told = table({"requests": "use the argument http", "gc": "no", "socket": " "})

    assert (told["requests"], told["gc"]) == ("use the argument http", "no")
    assert reason("socket", told) == ""
    assert told["ctypes"] == FORBIDDEN["ctypes"]


def test_a_configuration_may_begin_anew() -> None:
    """With ``*`` only what it names is forbidden."""
    assert table({"*": "", "requests": "use the argument http"}) == {"requests": "use the argument http"}
