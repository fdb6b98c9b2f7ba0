"""Judges what an agent kept while it was killed again and again; plain SQL, knows nothing of meteragent.

    python -m benchmarks.verdict STATE_FOLDER INTERVAL RESOURCES METERS

The counting pollster writes into each volume the tick, the resource and the meter, so a row can be
checked by itself: ``volume = tick * 1000 + resource * 10 + meter``.
"""

import json
import sqlite3
import sys
from collections import Counter
from pathlib import Path
from typing import Any

SECOND = 1_000_000

_SAMPLES = "select at, resource_id, meter, volume, origin from sample_view where resource_id like ? || '/%'"
_DUCKDB_SAMPLES = _SAMPLES.replace("at,", "instant,").replace("volume", "whole")


def is_duckdb(path: Path) -> bool:
    """Whether a file is one of DuckDB, told by its mark."""
    with path.open("rb") as file:
        return file.read(12)[8:] == b"DUCK"


def rows(path: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """What a question to a SQLite file gives, or to one of DuckDB that no process has open."""
    if is_duckdb(path):
        import duckdb  # not there in every installation, nor needed where no store is of this kind

        with duckdb.connect(str(path), read_only=True) as store:
            return store.execute(sql, values).fetchall()
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


def judge(
    folder: Path, interval: int, resources: int, meters: int, store: Path | None = None
) -> dict[str, Any]:
    """Faults found, and figures; no fault means that each sample counts once and each tick is told of."""
    store, journal = store or folder / "samples.db", folder / "journal.db"
    faults: list[str] = []
    polls: dict[str, dict[int, list[tuple[str, str]]]] = {}
    for source, tick, pollster, outcome in rows(
        store, "select polling_source, tick, pollster, outcome from poll order by tick"
    ):
        polls.setdefault(source, {}).setdefault(tick, []).append((pollster, outcome))
    missed: dict[str, list[tuple[int, int, int, str]]] = {}
    for source, start, end, ticks, reason in rows(
        store, 'select polling_source, start, "end", ticks, reason from missed order by start'
    ):
        missed.setdefault(source, []).append((start, end, ticks, reason))
    lost_ticks = 0
    for source, ticks in polls.items():
        lost_ticks += _grid(source, sorted(ticks), missed.get(source, []), interval * SECOND, faults)
        lost_ticks += _samples(store, source, ticks, resources, meters, faults)
    faults.extend(unbalanced(journal))
    faults.extend(_file(folder / "samples.jsonl", store))
    counted = rows(store, "select count(*) from sample_view")[0][0]
    return {"faults": faults, "samples": counted, "ticks": sum(map(len, polls.values())), "lost": lost_ticks}


def _grid(
    source: str, ticks: list[int], missed: list[tuple[int, int, int, str]], interval: int, faults: list[str]
) -> int:
    """Each instant of the grid between the first tick and the last is polled, or missed in one run.

    The grid is the remainder that most ticks share; others were polled at a start, or missed there on
    a full disk, and an instant less than half an interval after such a one is neither polled nor missed.
    """
    (offset, shared), *_ = Counter(tick % interval for tick in ticks).most_common(1)
    if shared < 2:  # polls at starts only: no two of them tell the grid
        return sum(run[2] for run in missed)
    began = [*ticks, *(start for start, _, _, _ in missed)]
    polled, starts = set(ticks), [tick for tick in began if tick % interval != offset]
    first = ticks[0] + (offset - ticks[0]) % interval
    lost = 0
    for instant in range(first, ticks[-1] + 1, interval):
        runs = sum(start <= instant < end for start, end, _, _ in missed)
        near = any(0 < instant - start < interval / 2 for start in starts)
        if instant in polled:
            if runs:
                faults.append(f"{source}: tick {instant} is polled and in {runs} missed runs")
        elif runs == 1:
            lost += 1
        elif runs > 1 or not near:
            faults.append(f"{source}: tick {instant} is not polled and in {runs} missed runs")
    for start, end, _, _ in missed:
        for tick in ticks:
            if start <= tick < end and tick % interval != offset:
                faults.append(f"{source}: start poll {tick} lies in a missed run")
    return lost


def _samples(
    store: Path,
    source: str,
    ticks: dict[int, list[tuple[str, str]]],
    resources: int,
    meters: int,
    faults: list[str],
) -> int:
    """Each resource has one row with the right value for each complete poll, at most one for others."""
    found: dict[tuple[int, str], Counter[tuple[str, str]]] = {}
    question = _DUCKDB_SAMPLES if is_duckdb(store) else _SAMPLES
    for tick, resource, meter, volume, origin in rows(store, question, source):
        number, index = int(resource.rsplit("/", 1)[1]), int(meter.rsplit(".", 1)[1])
        if volume != tick * 1000 + number * 10 + index or origin != 0:
            faults.append(f"{resource} {meter} at {tick}: volume {volume}")
        found.setdefault((tick, meter.split(".", 1)[0]), Counter())[(resource, meter)] += 1
    lost = 0
    for tick, pollsters in ticks.items():
        for pollster, outcome in pollsters:
            seen = found.pop((tick, pollster), Counter())
            if any(count != 1 for count in seen.values()):
                faults.append(f"{source}/{pollster} at {tick}: a sample is there more than once")
            if outcome == "complete" and len(seen) != resources * meters:
                faults.append(f"{source}/{pollster} at {tick}: {len(seen)} of {resources * meters} samples")
            lost += outcome != "complete"
    faults.extend(f"{source}: samples at {tick} of {name}, but no poll row" for tick, name in found)
    return lost


def unbalanced(journal: Path) -> list[str]:
    """A fault for each line of account that does not add up."""
    faults = []
    account = dict(rows(journal, "select name, value from account"))
    told = [account[f"messages {part}"] for part in ("converted", "ignored", "quarantined", "discarded")]
    if account["messages received"] != sum(told):
        faults.append(f"messages do not balance: {account}")
    if account["read"] != account["journaled"] + account["refused"] + account["discarded"]:
        faults.append(f"samples do not balance: {account}")
    parts = (
        "delivered + duplicate + superseded + conflict + unmatched + absorbed + quarantined"
        " + discarded + detached"
    )
    for name, journaled, told, pending in rows(
        journal,
        f"select name, ? - joined, {parts}, (select coalesce(sum(samples), 0) from batch"
        " where batch.sequence > sink.sequence) from sink",
        account["journaled"],
    ):
        if journaled != told + pending:
            faults.append(f"sink {name} does not balance: {journaled} != {told} + {pending}")
    return faults


def _file(path: Path, store: Path) -> list[str]:
    """The file sink has each sample once, and none that the store lacks; the last line is whole."""
    if not path.exists():
        return []
    text = path.read_bytes()
    if text and not text.endswith(b"\n"):
        return [f"{path.name}: the last line is torn"]
    keys = Counter(json.loads(line)["id"] for line in text.splitlines())
    faults = [f"{path.name}: {key} {count} times" for key, count in keys.items() if count > 1]
    stored = rows(store, "select count(*) from sample_view")[0][0]
    if len(keys) > stored:
        faults.append(f"{path.name}: {len(keys)} samples, the store has {stored}")
    return faults[:10]


def main() -> None:
    """Print the verdict; exit 1 when there is a fault."""
    folder, interval, resources, meters = sys.argv[1:5]
    verdict = judge(Path(folder), int(interval), int(resources), int(meters))
    print(json.dumps(verdict, indent=1))
    sys.exit(bool(verdict["faults"]))


if __name__ == "__main__":
    main()
