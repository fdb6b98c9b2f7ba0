"""Tests of `meteragent statistics`."""

import sys
from pathlib import Path

import pytest

from meteragent.clock import instant
from tests.cli.asked import MINUTE, SAMPLES, START, record, sample
from tests.cli.conftest import Program

ASK = ("statistics", "-m", "disk.read")
PNG = b"\x89PNG\r\n"


@pytest.fixture(autouse=True)
def _stored(state: Path) -> None:
    record(state, *SAMPLES)


def test_the_whole_is_one_row(program: Program) -> None:
    """With the usual aggregates; without a range, the period is open."""
    assert program(*ASK, "-f", "json").rows == [
        {
            "name": "disk.read", "unit": "B", "period_start": None, "period_end": None, "count": 8, "min": 0,
            "max": 180, "avg": 54.25, "sum": 434, "duration_start": "2026-01-01T00:00:00Z",
            "duration_end": "2026-01-01T03:00:00Z", "duration": 10800.0,
        }
    ]  # fmt: skip


def test_periods_and_groups_are_rows(program: Program) -> None:
    """Half-open periods without those that are empty; an unknown project is a group."""
    rows = program(
        *ASK, "--period", "1h", "--group-by", "project_id", "--aggregate", "sum,cardinality/resource_id",
        "-f", "json",
    ).rows  # fmt: skip
    assert list(rows[0]) == [
        "name", "project_id", "unit", "period_start", "period_end", "sum", "cardinality/resource_id",
        "duration_start", "duration_end", "duration",
    ]  # fmt: skip
    assert [(row["project_id"], row["period_start"][11:13], row["sum"]) for row in rows] == [
        (None, "00", 5), ("p1", "00", 69), ("p1", "01", 60), ("p1", "03", 180),
        ("p2", "00", 0), ("p2", "01", 120),
    ]  # fmt: skip
    assert rows[0]["period_end"] == "2026-01-01T01:00:00Z"


def test_a_range_and_conditions_choose(program: Program) -> None:
    """By time, resource, project and metadata."""
    few = (*ASK, "--aggregate", "count", "-f", "value", "-c", "count")
    assert program(*few, "--start", "2026-01-01T00:10:00Z", "--end", "2026-01-01T01:00:00Z").out == "3\n"
    assert program(*few, "--start", "2026-01-01", "--end", "2026-01-02").out == "8\n"
    assert program(*few, "--resource", "r2").out == program(*few, "--project", "p2").out == "2\n"
    assert program(*few, "--where", "metadata.flavor.name = small").out == "5\n"
    assert program(*few, "--where", 'metadata.flavor.name in "very large",x').out == "3\n"
    assert program(*few, "--where", "metadata.cores>=2", "--where", "project_id != null").out == "2\n"
    assert program(*few, "--where", "timestamp < 2026-01-01T00:10:00Z").out == "2\n"
    assert program(*few, "--start", "-2h").out == ""


def test_columns_can_be_chosen_among_those_asked_for(program: Program) -> None:
    """An aggregate that is not asked for is no column."""
    assert program(*ASK, "--aggregate", "stddev", "-c", "stddev", "-f", "value").out.startswith(
        "61.706462384421"
    )
    wrong = program(*ASK, "--aggregate", "stddev", "-c", "sum")
    assert (wrong.code, wrong.out) == (2, "")
    assert "no column 'sum'; there are name, unit, period_start, period_end, stddev" in wrong.err


def test_nothing_is_no_error(program: Program) -> None:
    """An unknown meter is answered with what was meant."""
    nothing = program("statistics", "-m", "disk.raed", "-f", "json")
    assert (nothing.code, nothing.rows) == (0, [])
    assert nothing.err == "meteragent: no meter 'disk.raed' has samples; perhaps: disk.read\n"
    assert program(*ASK, "--resource", "none", "-f", "json").rows == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--period", "0"), "'0' is no period"),
        (("--period", "-1h"), "'-1h' is no period; write seconds above 0"),
        (("--period", "nan"), "'nan' is no period"),
        (("--period", "1y"), "or a number with s, m, h, d or w"),
        (("--period", "99999999999w"), "is no period"),
        (("--period", "0.0000001"), "is no period"),
        (("--group-by", "colour"), "group 'colour' is unknown; allowed: resource_id, project_id"),
        (("--group-by", "a,,b"), "'a,,b' lacks a name"),
        (("--group-by", "user_id,user_id"), "a name twice"),
        (("--aggregate", "median"), "aggregate 'median' is unknown; allowed: count, min"),
        (("--aggregate", "cardinality/x"), "'x' is unknown"),
        (("--where", "colour = red"), "field 'colour' is unknown; allowed: resource_id"),
        (("--where", "volume ~ 1"), "is no condition; write FIELD OP VALUE"),
        (("--where", "volume = many"), "volume = 'many': allowed there: a whole number, a number"),
        (("--where", "volume glob 1*"), "volume glob '1*': is for text; allowed: =, !=, <"),
        (("--where", "volume > null"), "volume > None: allowed there"),
        (("--where", "timestamp > noon"), "'noon' is no time"),
        (
            ("--start", "2026-01-02", "--end", "2026-01-01"),
            "--start 2026-01-02T00:00:00Z is not before --end 2026-01-01T00:00:00Z",
        ),
        (("--start", "2026-13-01"), "is no time; write it such as 2026-01-31T12:00:00Z, 2026-01-31, -2h"),
        (("--start", "2026-01-01T00:00:00"), "names no time zone"),
        (("--start", "-2y"), "'-2y' is no time"),
        (("--timeout", "nan"), "is no number of seconds"),
        (("--timeout", "0"), "is no number of seconds above 0"),
        (("--chart",), "give --period"),
        (("--chart", "--period", "1h", "-f", "json"), "leave out -f json"),
        (("--plot", "x.jpg"), "it ends in .png"),
    ],
)
def test_a_wrong_call_is_told_what_is_allowed(program: Program, words: tuple[str, ...], told: str) -> None:
    """In one line, with exit code 2."""
    ended = program(*ASK, *words)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert told in ended.err


def test_a_query_that_takes_too_long_is_one_line(program: Program) -> None:
    """With what to do."""
    ended = program(*ASK, "--timeout", "0.000001")
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert "the query took longer than 1e-06 s; narrow its range of time" in ended.err


def test_a_sum_that_no_double_can_tell_is_one_line(program: Program, state: Path) -> None:
    """It names the meter."""
    (state / "samples.db").unlink()
    record(state, *(sample(minute, "r1", 1.7e308) for minute in (0, 1)))
    ended = program(*ASK)
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert "sum of meter 'disk.read' is too large" in ended.err or "avg of meter 'disk.read'" in ended.err
    assert program(*ASK, "--aggregate", "max", "-f", "value", "-c", "max").out == "1.7e+308\n"


def test_a_chart_is_a_line_for_each_group(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """As wide as the terminal, with the range below; the average unless told otherwise."""
    monkeypatch.setenv("COLUMNS", "60")
    chart = program(*ASK, "--period", "1h", "--group-by", "resource_id", "--chart").out.splitlines()
    assert chart == [
        "r1 [B] ▂▃ █ 23 to 180",
        "r2 [B] ▁▆   0 to 120",
        "r3 [B] ▁    5 to 5",
        "       2026-01-01T00:00:00Z to 2026-01-01T04:00:00Z",
    ]
    fine = program(*ASK, "--period", "1m", "--chart", "--aggregate", "max").out.splitlines()
    assert max(map(len, fine[:-1])) <= 60
    assert fine[-1].endswith("; a character is the largest of 5 periods")
    assert program(*ASK, "--period", "1m", "--chart", "--resource", "none").out == ""


def test_a_plot_is_a_png_file(program: Program, tmp_path: Path) -> None:
    """Beside the rows, also when there is nothing to draw or a label looks like a formula."""
    file = tmp_path / "usage.png"
    words = (*ASK, "--period", "1h", "--group-by", "resource_id", "--plot", str(file), "-f", "json")
    assert len(program(*words).rows) == 6
    assert file.read_bytes().startswith(PNG)
    size = file.stat().st_size
    assert program(*words, "--resource", "none").rows == []
    assert file.read_bytes().startswith(PNG)
    assert file.stat().st_size < size
    missing = program(*words[:-3], "/nowhere/usage.png")
    assert (missing.code, missing.err) == (1, "meteragent: /nowhere/usage.png: no such file or directory\n")


def test_a_plot_of_the_first_year_is_refused_in_one_line(
    program: Program, state: Path, tmp_path: Path
) -> None:
    """Whose margin lies before any calendar; the range that holds it can be left out."""
    (state / "samples.db").unlink()
    first = (instant("0001-01-01T00:00:00Z") - START) // MINUTE
    record(state, *SAMPLES, sample(first, "r1", 1))
    words = (*ASK, "--period", "1d", "--plot", str(tmp_path / "usage.png"))
    ended = program(*words)
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert "--plot cannot draw this: " in ended.err
    assert program(*words, "--start", "2026-01-01").code == 0


def test_a_plot_without_matplotlib_says_what_to_install(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line, and no file."""
    kept = [path for path in sys.path if "site-packages" not in path]
    monkeypatch.setattr(sys, "path", kept)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    ended = program(*ASK, "--period", "1h", "--plot", str(tmp_path / "usage.png"))
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        "meteragent: --plot needs matplotlib, which is not installed: pip install meteragent[plot]\n"
    )
    assert not (tmp_path / "usage.png").exists()
