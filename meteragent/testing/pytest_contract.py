"""The contract of a plugin as a test of pytest's: ``test_contract = contract("pollster:host.cpu")``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meteragent.errors import ConfigError
from meteragent.plain import near
from meteragent.testing.configured import agent_options
from meteragent.testing.finding import of_label
from meteragent.testing.subject import Given, Subject
from meteragent.testing.suite import checks, kinds, verdict
from meteragent.testing.verdict import BREACH, UNDECIDED, Check


def contract(label: str, *, conf: Any = None, **given: Any) -> Callable[..., None]:
    """A test that an installed plugin keeps its contract, run once for each check.

    :param label: ``<kind>:<name>``, for pollsters ``pollster:<namespace>.<name>``
    :param conf: the agent's options by ``group.name``
    :param given: what it is tried out with, as the fields of ``Given`` say: resources, param, notification,
        priority, url, parameters, options, seconds
    :raises ConfigError: for a label of no kind of plugin, or something else that can be given
    """
    kind = label.partition(":")[0]
    if kind not in kinds():
        raise ConfigError(f"{label!r:.80} begins with no kind of plugin; allowed: {', '.join(kinds())}")
    for name in given:
        if name not in Given.__struct_fields__:
            allowed = ", ".join(Given.__struct_fields__)
            raise ConfigError(
                f"contract: {name!r} cannot be given; allowed: {allowed}",
                suggestion=near(name, Given.__struct_fields__),
            )

    @pytest.mark.parametrize("check", checks(kind), ids=lambda check: check.name)
    def test_contract(check: Check, tmp_path: Path) -> None:
        """It keeps what the agent needs."""
        options = agent_options(conf or {})
        found = of_label(options, label)
        told = verdict(check, Subject(label, found, options, tmp_path, Given(**given)))
        if told.outcome == UNDECIDED:
            pytest.skip(told.problem)
        if told.outcome == BREACH:
            where = f"\nat {told.place}" if told.place else ""
            pytest.fail(f"{told.problem}{where}\n{told.mend}", pytrace=False)

    return test_contract
