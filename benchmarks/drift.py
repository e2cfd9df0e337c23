"""Drift: speed and memory beside evidently, false alarms, and power beside the defaults of other tools.

Speed and memory: 1,000,000 rows of 20 features in Parquet; each check has its own process; CPU seconds do not
include imports, and memory is the peak of the process. `--simulations 0` leaves out the simulations, `--runs
0` the comparison with evidently, which needs `make bench-setup`.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from compare import arguments, finish, ratio
from drift_simulation import (
    DRIFTS,
    FEATURES,
    LEVELS,
    World,
    draw_values,
    evidently,
    no_drift,
    simulate_defaults,
    simulate_ours,
)

from churn.data.dataset import Schema
from churn.monitor.drift.alarm import DriftPolicy
from churn.monitor.drift.profile import build_profile
from churn.monitor.drift.reference import Reference
from churn.monitor.drift.summary import Summary
from churn.monitor.drift.two_sample import two_sample_test

PEERS = Path(".venv-drift-peers/bin/python")
WINDOWS = [200, 500, 1_000, 2_000, 10_000, 100_000]
POWER_WINDOWS = [500, 1_000, 2_000, 10_000]
REFERENCES = [1_000, 5_000, 50_000]
REFERENCE = 5_000  # of the power tables
NOMINAL = 0.05  # at which the comparison of all features together is checked
RARE = 0.01  # share of runs without drift in which an alarm may be raised


def main() -> None:
    parser = arguments(__doc__)
    parser.set_defaults(runs=1)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the reference and of the window")
    parser.add_argument("--simulations", type=int, default=200, help="runs of each cell (default 200)")
    parser.add_argument(
        "--tables", type=Path, metavar="FILE", help="write the tables of the simulations there"
    )
    options = parser.parse_args()
    entries: list[dict[str, Any]] = []
    if options.runs:
        entries += cost(options.rows, options.runs)
    if options.simulations:
        tables = simulate(options.simulations)
        entries += to_entries(tables)
        if options.tables:
            options.tables.write_text(json.dumps(tables, indent=1) + "\n")
    finish(entries, options.json, merge=True)


def cost(size: int, runs: int) -> list[dict[str, Any]]:
    """Paired ratios of CPU seconds and of megabytes; both tools run in turn."""
    seconds: dict[str, list[float]] = {"ours": [], "evidently": []}
    megabytes: dict[str, list[float]] = {"ours": [], "evidently": []}
    with tempfile.TemporaryDirectory() as folder:
        files = write_inputs(Path(folder), size)
        for _ in range(runs):
            for name in seconds:
                done = run_check(name, files)
                seconds[name].append(done["seconds"])
                megabytes[name].append(done["megabytes"])
                print(f"{name:10} {done['seconds']:7.2f} CPU s {done['megabytes']:7.0f} MB", flush=True)
        check_formulas(Path(folder))
    peer = "evidently 0.7.23, DataDriftPreset"
    return [
        ratio("drift_speed", seconds["ours"], seconds["evidently"], peer),
        ratio("drift_memory", megabytes["ours"], megabytes["evidently"], peer),
    ]


def table(size: int, seed: Any) -> pd.DataFrame:
    """Rows of the simulation without drift."""
    random = np.random.default_rng(seed)
    words = {
        f"c{i}": np.array([f"level {level}" for level in range(n + 1)], object) for i, n in enumerate(LEVELS)
    }
    values = {name: draw_values(World(), name, size, random) for name in FEATURES}
    return pd.DataFrame({name: words[name][v] if name in words else v for name, v in values.items()})


def reference(size: int, seed: Any) -> tuple[pd.DataFrame, Schema, pd.DataFrame, np.ndarray]:
    """The arguments of `build_profile`: rows, schema, held-out rows and their probabilities."""
    schema = Schema("left", ("yes",), tuple(FEATURES[:10]), tuple(FEATURES[10:]))
    rows = table(size, seed)
    held_out = rows[:5_000]
    return rows, schema, held_out, np.random.default_rng(seed).beta(1, 3, len(held_out))


def write_inputs(folder: Path, size: int) -> dict[str, list[Path]]:
    """The files of each check: the reference, or its profile, and the window."""
    rows, *others = reference(size, 0)
    (folder / "profile.json").write_text(json.dumps(build_profile(rows, *others)))
    rows.to_parquet(folder / "reference.parquet", index=False)
    table(size, 1).to_parquet(folder / "window.parquet", index=False)
    window = folder / "window.parquet"
    return {"ours": [folder / "profile.json", window], "evidently": [folder / "reference.parquet", window]}


def run_check(name: str, files: dict[str, list[Path]]) -> dict[str, Any]:
    """Cost and result of a check in a child process with one thread."""
    if not PEERS.exists():
        raise SystemExit(f"there is no {PEERS}: make bench-setup")
    python = str(PEERS) if name == "evidently" else sys.executable
    command = [python, str(Path(__file__).with_name("drift_peers.py")), name, *map(str, files[name])]
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | one_thread)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def check_formulas(folder: Path) -> None:
    """Stop unless the simulation's formulas give evidently's own distances on the same rows."""
    small = {name: folder / f"small-{name}.parquet" for name in ("reference", "window")}
    frames = {name: table(3_000, seed) for seed, name in enumerate(small, 5)}
    for name, frame in frames.items():
        frame.to_parquet(small[name], index=False)
    distances = run_check("evidently", {"evidently": [*small.values()]})["columns"]
    for name in FEATURES:
        pair = [frame[name] for frame in frames.values()]
        values = [
            x.to_numpy() if name[0] == "n" else x.str.split().str[1].astype(int).to_numpy() for x in pair
        ]
        by_formula = evidently(*values, name)[0]
        if abs(by_formula - distances[name]) > 1e-6:
            raise SystemExit(f"evidently says {distances[name]} of {name}, our formula {by_formula}")
    print("our formulas give evidently's own distances of all 20 features")


def simulate(runs: int) -> dict[str, Any]:
    """The tables: our false alarms and power, and those of the defaults of others."""
    return {
        "false_alarms": simulate_ours(runs, dict.fromkeys(REFERENCES, WINDOWS), no_drift(), seed=1),
        "power": simulate_ours(max(50, runs // 5), {REFERENCE: POWER_WINDOWS}, DRIFTS, seed=2),
        "defaults": simulate_defaults(max(20, runs // 20), REFERENCE, POWER_WINDOWS, seed=3),
        "together": [
            joint_test(max(20, runs // 6), m, n) for m, n in ((1_000, 200), (1_000, 2_000), (20_000, 10_000))
        ],
    }


def joint_test(runs: int, m: int, n: int) -> dict[str, Any]:
    """Share of runs without drift in which the test of all features has a p-value below `NOMINAL`.

    Each reference of m rows is compared with five windows of n rows.
    """
    random, rejected = np.random.default_rng(4), 0
    for number in range(max(1, runs // 5)):
        profile = Reference(build_profile(*reference(m, seed=[4, m, number])))
        for _ in range(5):
            window, (seed, sample) = (
                Summary(profile, int(random.integers(1 << 31))),
                random.integers(1 << 31, size=2),
            )
            rows = table(n, int(seed))
            window.add({name: rows[name].to_numpy() for name in FEATURES})
            policy = DriftPolicy(permutations=200, seed=int(sample))
            rejected += two_sample_test(profile, window, policy).p < NOMINAL
    tried = 5 * max(1, runs // 5)
    return {"reference": m, "window": n, "nominal": NOMINAL, "share": rejected / tried, "runs": tried}


def to_entries(tables: dict[str, Any]) -> list[dict[str, Any]]:
    """Print the tables, and give the entries."""
    quiet, level = tables["false_alarms"], DriftPolicy().significance_together
    runs = quiet[0]["runs"]
    print(f"Share of {runs} runs without drift with a warning or an alarm, over 20 features and the score:")
    for m in REFERENCES:
        cells = [f"{cell['window']:,}: {cell['alarms']:.2%}" for cell in quiet if cell["reference"] == m]
        print(f"  reference {m:6,}, windows of  " + "  ".join(cells))
    print(f"The comparison of all features together, by permutation, adds at most {level:.1%} to these:")
    for cell in tables["together"]:
        print(
            f"  reference {cell['reference']:6,}, windows of {cell['window']:6,}: "
            f"p below {NOMINAL} in {cell['share']:.1%} of {cell['runs']}"
        )
    shares = [cell["alarms"] + level for cell in quiet]
    alarms = {"value": float(np.mean(shares)), "low": min(shares), "high": max(shares)}
    lead = {"value": least_lead(tables["power"], tables["defaults"]), "low": None, "high": None}
    return [
        {"name": "drift_false_alarms", **alarms, "unit": "share of runs: mean, least and worst cell"}
        | {"peer": f"the promise of {RARE:.0%}", "better": "lower"},
        {"name": "drift_power", **lead, "unit": "least power minus that of a default that alarms as rarely"}
        | {"peer": "evidently and Vertex AI, defaults", "better": "higher"},
    ]


def least_lead(power: list[dict[str, Any]], defaults: list[dict[str, Any]]) -> float:
    """Print our power beside the defaults'; gives our least lead over those with as few false alarms."""
    peers = sorted({cell["peer"] for cell in defaults})
    alarms = {(cell["window"], cell["drift"], cell["peer"]): cell["alarms"] for cell in defaults}
    least = 1.0
    for n in POWER_WINDOWS:
        quiet = [peer for peer in peers if alarms[n, "none", peer] < RARE]
        false = ", ".join(f"{peer} {alarms[n, 'none', peer]:.0%}" for peer in peers)
        print(f"\nPower, reference {REFERENCE:,}, window {n:,} (false alarms: {false}):")
        for cell in (cell for cell in power if cell["window"] == n):
            values = {peer: alarms[n, cell["drift"], peer] for peer in peers}
            print(f"  {cell['drift']:34} ours {cell['alarms']:5.2f}", end="")
            print(
                "".join(
                    f"  {peer} {value:4.2f}{'' if peer in quiet else '*'}" for peer, value in values.items()
                )
            )
            if "not worth" not in cell["drift"]:
                least = min([least, *(cell["alarms"] - values[peer] for peer in quiet)])
    print("* alarms in more than 1 % of the runs without drift")
    return least


if __name__ == "__main__":
    main()
