"""Snapshots of event tables: speed and memory beside pandas and featuretools, and growth.

snapshot.py [--rows 10000000] [--large 100000000] [--folder FOLDER] [--runs 3]. Synthetic events, 50 of each
customer over two years; 12 monthly cut-offs, windows of 30, 90 and 180 days over three columns of numbers and
one category. `churn snapshot` is the whole command: tables staged, rows, findings and page. Every measurement
is a process of its own; in FOLDER tables and findings are kept: the command goes on there.

- snapshot_pandas: rows of the snapshot per second beside the obvious pandas (groupby for each cut-off and
  window);
- snapshot_featuretools: the same beside featuretools with cut-off times, on the share of the customers that
  it can do (in the environment of `make bench-setup`, or --featuretools PYTHON);
- snapshot_memory: peak resident memory beside that of pandas;
- snapshot_growth: seconds for the large table beside those for the other, times the ratio of their rows: 1 is
  linear; snapshot_large_memory: gigabytes (10^9 bytes) resident at most on it.
"""

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from argparse import SUPPRESS
from pathlib import Path
from typing import Any

from compare import arguments, finish

EVENTS_PER_CUSTOMER = 50
WINDOWS, CUTOFFS = (30, 90, 180), 12
VALUES, CATEGORY = ("amount", "minutes", "items"), "channel"
SHARE = 100  # events of so many customers in ten thousand are what featuretools gets
PRIMITIVES = [
    "count",
    "sum",
    "mean",
    "std",
    "num_unique",
    "time_since_last",
    "avg_time_between",
]  # featuretools'
GIGABYTE = 1e9


def main() -> None:
    parser = arguments(__doc__)
    parser.set_defaults(runs=3)
    parser.add_argument("--rows", type=int, default=10_000_000, help="events")
    parser.add_argument("--large", type=int, default=0, help="events of the large table, e.g. 100000000")
    parser.add_argument("--folder", type=Path, help="where tables and findings are kept")
    parser.add_argument("--featuretools", default=".venv-featuretools/bin/python", help="its Python")
    parser.add_argument("--one", nargs=2, help=SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(MEASURED[options.one[0]](Path(options.one[1]))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        table = make_events(folder, options.rows)
        ours = [measured("churn", table, sys.executable)]
        pandas = measured("pandas", table, sys.executable)  # in between: all see the same machine
        ours += [measured("churn", table, sys.executable, number) for number in range(1, options.runs)]
        found = beside_pandas(ours, pandas)
        if Path(options.featuretools).exists():
            few = make_share(table, options.rows)
            found += beside_featuretools(ours, measured("featuretools", few, options.featuretools))
        else:
            print(f"featuretools is not there: {options.featuretools} (make bench-setup)")
        if options.large:
            large = make_events(folder, options.large)
            found += growth(ours, measured("churn", large, sys.executable), options.large / options.rows)
    finish(found, options.json)


def make_events(folder: Path, rows: int) -> Path:
    """A Parquet file of so many events, sorted by time; always the same."""
    import duckdb

    file, customers = folder / f"events-{rows}.parquet", max(rows // EVENTS_PER_CUSTOMER, 1)
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        aside = file.with_suffix(".partial")
        with duckdb.connect(config={"memory_limit": "3GB", "temp_directory": str(folder / "spill")}) as con:
            con.execute(
                f"COPY (SELECT 'C' || lpad((hash(i) % {customers})::VARCHAR, 8, '0') AS customer, "
                f"TIMESTAMP '2023-01-01' + to_seconds((i * {730 * 86_400 / rows})::BIGINT) AS at, "
                "(hash(i + 1) % 10000) / 100.0 AS amount, (hash(i + 2) % 600) / 10.0 AS minutes, "
                "(hash(i + 3) % 9 + 1)::DOUBLE AS items, 'channel' || (hash(i + 4) % 5) AS channel "
                f"FROM range({rows}) t(i)) TO '{aside}' (FORMAT parquet)"
            )
        aside.rename(file)
    return file


def make_share(table: Path, rows: int) -> Path:
    """The events of the first of its customers."""
    import duckdb

    file, customers = table.with_name(f"share-{rows}.parquet"), rows // EVENTS_PER_CUSTOMER * SHARE // 10_000
    if not file.exists():
        with duckdb.connect() as con:
            con.execute(
                f"COPY (SELECT * FROM '{table}' WHERE customer < 'C' || lpad('{customers}', 8, '0')) "
                f"TO '{file}'"
            )
    return file


def measured(what: str, table: Path, python: str, number: int = 0) -> dict[str, Any]:
    """What a measurement finds in a process of its own, or found before; with its peak memory in bytes."""
    kept = table.with_name(f"{table.stem}.{what}.{number}.json")
    if kept.exists():
        return json.loads(kept.read_text())
    read, write = os.pipe()
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen([python, __file__, "--one", what, str(table)], stdout=write, env=environment)
    os.close(write)
    with os.fdopen(read) as output:
        said = output.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{what} failed:\n{said}")
    found = json.loads(said.splitlines()[-1]) | {
        "memory": usage.ru_maxrss * 1024,
        "cpu": usage.ru_utime + usage.ru_stime,
    }
    gigabytes = found["memory"] / GIGABYTE
    print(f"{what:14}{found['rows']:>12,} rows in {found['seconds']:8.1f} s, {gigabytes:5.2f} GB, "
          f"{found['cpu']:.0f} s of processor", flush=True)  # fmt: skip
    kept.write_text(json.dumps(found))
    return found


def beside_pandas(ours: list[dict[str, Any]], theirs: dict[str, Any]) -> list[dict[str, Any]]:
    """Speed and memory."""
    peer = "pandas, groupby for each cut-off and window"
    memory = [one["memory"] / theirs["memory"] for one in ours]
    held = max(one["memory"] for one in ours) / GIGABYTE
    return [
        speed("snapshot_pandas", ours, theirs, peer),
        entry("snapshot_memory", memory, peer, "lower", gigabytes=held),
    ]


def beside_featuretools(ours: list[dict[str, Any]], theirs: dict[str, Any]) -> list[dict[str, Any]]:
    """Speed, each on its own table: on few customers the start of a command is most of its time."""
    peer = f"featuretools with cut-off times, on {theirs['rows']:,} rows"
    return [speed("snapshot_featuretools", ours, theirs, peer)]


def speed(name: str, ours: list[dict[str, Any]], theirs: dict[str, Any], peer: str) -> dict[str, Any]:
    """Rows per second beside a peer; `processor`: the same ratio by seconds of processor."""
    ratios = [speed_of(one) / speed_of(theirs) for one in ours]
    by_processor = [speed_of(one, "cpu") / speed_of(theirs, "cpu") for one in ours]
    told = {"rows_per_second": max(map(speed_of, ours)), "theirs": speed_of(theirs)}
    return entry(name, ratios, peer, "higher", processor=sorted(by_processor)[len(ours) // 2], **told)


def growth(ours: list[dict[str, Any]], large: dict[str, Any], ratio: float) -> list[dict[str, Any]]:
    """Time and memory of the large table."""
    grown = [large["seconds"] / (ratio * one["seconds"]) for one in ours]
    by_processor = sorted(large["cpu"] / (ratio * one["cpu"]) for one in ours)[len(ours) // 2]
    memory = entry("snapshot_large_memory", [large["memory"] / GIGABYTE], None, "lower")
    return [
        entry(
            "snapshot_growth", grown, f"{ratio:g} times the smaller table", "lower", processor=by_processor
        ),
        memory | {"unit": "GB"},
    ]


def speed_of(found: dict[str, Any], clock: str = "seconds") -> float:
    """Rows of the snapshot per second."""
    return found["rows"] / found[clock]


def entry(name: str, values: list[float], peer: str | None, better: str, **more: float) -> dict[str, Any]:
    """One entry of the result."""
    values = sorted(values)
    told = {"value": values[len(values) // 2], "low": values[0], "high": values[-1]}
    print(f"{name:24}{told['value']:8.2f} ({told['low']:.2f} to {told['high']:.2f})")
    return {"name": name, **told, "unit": "ratio", "peer": peer, "better": better, **more}


def by_churn(table: Path) -> dict[str, Any]:
    """The whole of `churn snapshot`."""
    from churn.config.events import ChurnConfig, ChurnKind, CutoffConfig, EventsConfig, EventTable
    from churn.config.root import compose_config
    from churn.events.stage import snapshot

    cfg = compose_config(f"output={table.with_suffix('')}-snapshots.parquet")
    spec = EventTable(
        path=str(table), customer="customer", time="at", values=list(VALUES), categories=[CATEGORY]
    )
    cfg.events = EventsConfig(
        name="bench",
        tables={"shop": spec},
        churn=ChurnConfig(kind=ChurnKind.inactive, table="shop", lookback=90),
        cutoffs=CutoffConfig(first="2023-12-01", last="2024-11-01"),
        windows=list(WINDOWS),
        scratch=str(table.parent),
    )
    gc.set_threshold(100_000)  # as the command line does
    began = time.perf_counter()
    snapshot(cfg)
    seconds = time.perf_counter() - began
    import pyarrow.parquet as pq

    rows = pq.read_metadata(cfg.output).num_rows
    if rows > 5_000_000:
        Path(str(cfg.output)).unlink()
    return {"rows": rows, "seconds": seconds}


def by_pandas(table: Path) -> dict[str, Any]:
    """The obvious way: for each cut-off and window filter, group, put together."""
    import pandas as pd

    began = time.perf_counter()
    events = pd.read_parquet(table)
    tables = []
    for cutoff in pd.date_range("2023-12-01", periods=CUTOFFS, freq="MS"):
        tables.append(pandas_rows(events, cutoff))
        print(cutoff, f"{time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    whole = pd.concat(tables)
    whole.to_parquet(table.with_name(f"{table.stem}-pandas.parquet"))
    return {"rows": len(whole), "seconds": time.perf_counter() - began}


def pandas_rows(events: Any, cutoff: Any) -> Any:
    """The rows of one cut-off."""
    import pandas as pd

    lookback = cutoff - pd.Timedelta(days=90)
    active = events[(events["at"] >= lookback) & (events["at"] < cutoff)]
    after = events[(events["at"] >= cutoff) & (events["at"] < cutoff + pd.Timedelta(days=30))]
    rows = pd.DataFrame(index=pd.Index(active["customer"].unique(), name="customer"))
    for days in WINDOWS:
        rows = rows.join(pandas_window(events, cutoff, days))
    past = events[(events["at"] >= cutoff - pd.Timedelta(days=2 * max(WINDOWS))) & (events["at"] < cutoff)]
    rows["recency"] = (cutoff - past.groupby("customer")["at"].max()).dt.total_seconds() / 86_400
    rows["days_as_customer"] = (cutoff - events.groupby("customer")["at"].min()).dt.days
    rows["churned"] = (~rows.index.isin(after["customer"].unique())).astype(int)
    return rows.assign(cutoff=cutoff).reset_index()


def pandas_window(events: Any, cutoff: Any, days: int) -> Any:
    """The features of one window: counts, gaps, sums, means, spreads, shares, levels, and what changed."""
    import pandas as pd

    start = cutoff - pd.Timedelta(days=days)
    part = events[(events["at"] >= start) & (events["at"] < cutoff)]
    before = events[(events["at"] >= start - pd.Timedelta(days=days)) & (events["at"] < start)]
    grouped, earlier = part.groupby("customer"), before.groupby("customer")
    found = grouped[list(VALUES)].agg(["sum", "mean", "std"])
    found.columns = [f"{column}_{what}" for column, what in found.columns]
    found["count"] = grouped.size()
    ordered = part.sort_values(["customer", "at"])
    found["gap"] = (
        ordered.groupby("customer")["at"].diff().dt.total_seconds().groupby(ordered["customer"]).mean()
        / 86_400
    )
    found["levels"] = grouped[CATEGORY].nunique()
    shares = part.groupby(["customer", CATEGORY]).size().unstack(fill_value=0)
    found = found.join(shares.div(found["count"], axis=0).add_prefix("share_"))
    past = earlier[list(VALUES)].sum().add_suffix("_sum").assign(count=earlier.size())
    change = found[past.columns].sub(past, fill_value=0).add_suffix("_change")
    return found.join(change, how="outer").add_suffix(f"_{days}d")


def by_featuretools(table: Path) -> dict[str, Any]:
    """Deep feature synthesis with cut-off times, a training window at a time."""
    import featuretools as ft
    import pandas as pd

    events = pd.read_parquet(table).reset_index(names="event").astype({CATEGORY: "category"})
    cutoffs = pd.date_range("2023-12-01", periods=CUTOFFS, freq="MS")
    began = time.perf_counter()
    entities = ft.EntitySet("shop")
    entities.add_dataframe(dataframe_name="events", dataframe=events, index="event", time_index="at",
                           logical_types={CATEGORY: "Categorical", "customer": "Categorical"})  # fmt: skip
    entities.normalize_dataframe("events", "customers", "customer", make_time_index=False)
    customers = events["customer"].unique()
    asked = pd.DataFrame(
        [(customer, cutoff) for cutoff in cutoffs for customer in customers], columns=["customer", "time"]
    )
    rows = 0
    for days in WINDOWS:
        made = ft.dfs(
            entityset=entities,
            target_dataframe_name="customers",
            cutoff_time=asked,
            training_window=f"{days} days",
            agg_primitives=PRIMITIVES,
            trans_primitives=[],
            max_depth=1,
            n_jobs=1,
        )[0]
        rows = len(made)
    return {"rows": rows, "seconds": time.perf_counter() - began}


MEASURED = {"churn": by_churn, "pandas": by_pandas, "featuretools": by_featuretools}

if __name__ == "__main__":
    main()
