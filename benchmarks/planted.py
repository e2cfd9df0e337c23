"""Searches every file that train, score, serve, monitor, retrain and MLflow write for planted values.

Planted are ids, two personal columns, texts of single customers, unseen texts of requests, and secrets in the
environment. One customer is asked about again and again with an unseen text, and one request has a personal
column, which is refused. Parquet files and archives are searched by their content. What the user asks for by
name (the file of scores) has ids and is not searched; the tables of the user are not, either. The prediction
log holds the inputs of requests, because models learn from it: a text of a request may be there, and nowhere
else.
"""

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from compare import arguments, finish

SMALL = [
    "train.epochs=2", "evaluate.bootstrap=50", "evaluate.importance_repeats=1", "export.refits=1",
]  # fmt: skip
SECRETS = {"CHURN_TOKEN": "planted-token-7f3a", "CHURN_ID_KEY": "planted-key-of-the-ids-0123456789abcdef"}
ROWS, REQUESTS = 2_000, 300
STEMS = {  # what all values of a kind have, for a quick search
    "id": "planted-id-",
    "personal column (email)": "@example.org",
    "personal column (born)": ":59",
    "rare text of training": "Planted Person ",
    "rare text of requests": "Unseen Person ",
    "secret of the environment": "planted-",
}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--keep", type=Path, help="write to this folder and keep it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = options.keep or Path(folder)
        planted, output = run_stages(root)
        files = {path: list(contents(path)) for path in written(root)}
        files[root / "what was printed"] = [output.encode()]
        hits = [hit for hit in search(files, planted) if not may_be_there(*hit)]
    for kind, values in planted.items():
        found = [hit for hit in hits if hit[0] == kind]
        print(f"{kind:32} {len(values):6,} values  {len(found):4} hits")
        for _, value, file in found[:5]:
            print(f"    {value!r} in {file}")
    total = sum(map(len, planted.values()))
    print(f"{len(files):,} files searched for {total:,} values: {len(hits)} hits")
    results = {"planted_files": len(files), "planted_values": total, "planted_hits": len(hits)}
    for name, value in results.items():
        results[name] = {"name": name, "value": value, "low": value, "high": value, "unit": "", "peer": ""}
    finish([entry | {"better": "lower"} for entry in results.values()], options.json)
    sys.exit(bool(hits))


def run_stages(root: Path) -> tuple[dict[str, list[str]], str]:
    """Run every stage in turn; gives the planted values by kind, and all that was printed."""
    table, planted = plant(np.random.default_rng(0))
    table.to_csv(root / "customers.csv", index=False)
    data = [
        "data=csv", f"data.path={root}/customers.csv", "data.name=planted", f"run.root={root}/runs",
        "data.target=left", "data.id=customer", "data.personal=[email,born]",
    ]  # fmt: skip
    printed = churn("train", *data, *SMALL, f"run.dir={root}/runs/run", "data.max_bad_rows=1")
    printed += churn("score", *data, f"input={root}/customers.csv", f"output={root}/scores.csv")
    printed += serve(root, data, table)
    labels = write_labels(root, table)
    later = f"{datetime.now(UTC) + timedelta(days=40):%Y-%m-%d}"
    printed += churn("monitor", *data, labels, f"monitor.until={later}", "monitor.days=60")
    retrain = ["retrain.force=true", "retrain.gate.min_rows=20", f"retrain.now={later}"]
    printed += churn("retrain", *data, *SMALL, labels, *retrain, code=None)
    return planted, printed


def plant(random: np.random.Generator) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """A table with planted values, and these by kind."""
    tenure, plan = random.exponential(30, ROWS).round(1), random.choice(["basic", "gold"], ROWS)
    left = random.random(ROWS) < 1 / (1 + np.exp(0.05 * tenure - (plan == "basic")))
    note = np.where(random.random(ROWS) < 0.4, "quiet", "called").astype(object)
    note[:40] = [f"Planted Person {i}" for i in range(40)]
    ids = [f"planted-id-{i:05}" for i in range(ROWS)]
    emails = [f"planted{i:05}@example.org" for i in range(ROWS)]
    born = [
        f"{1940 + i % 60}-{1 + i % 12:02}-{1 + i % 28:02}T{i % 24:02}:{i % 60:02}:59" for i in range(ROWS)
    ]
    table = pd.DataFrame(
        {"customer": ids, "email": emails, "born": born, "tenure": tenure, "plan": plan, "note": note}
    ).assign(left=np.where(left, "yes", "no"))
    unseen = [f"Unseen Person {i}" for i in range(REQUESTS // 10)]
    kinds = dict(
        zip(STEMS, (ids, emails, born, list(note[:40]), unseen, list(SECRETS.values())), strict=True)
    )
    return table, kinds


def serve(root: Path, data: list[str], table: pd.DataFrame) -> str:
    """Ask a server about some of the customers, every tenth with an unseen text; gives what it printed."""
    command = [sys.executable, "-u", "-m", "churn", "serve", *data, "serve.port=0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | SECRETS
    ) as process:
        printed = ""
        while not printed.startswith("Serving "):
            printed = process.stdout.readline()
        url = printed.split()[-1]
        rows = table[["tenure", "plan", "note"]].assign(customer_key=table["customer"])[-REQUESTS:]
        rows.loc[rows.index[::10], "note"] = [f"Unseen Person {i}" for i in range(REQUESTS // 10)]
        token = {"Authorization": f"Bearer {SECRETS['CHURN_TOKEN']}"}
        often = [rows.iloc[0].to_dict()] * 20  # one customer's text is not shared by many
        for row in rows.to_dict("records") + often:
            httpx.post(url, json={"instances": [row]}, headers=token).raise_for_status()
        personal = table.loc[rows.index[0], ["email", "born"]].to_dict()
        refused = httpx.post(url, json={"instances": [often[0] | personal]}, headers=token)
        if refused.status_code != 400:
            sys.exit(f"a personal column was not refused: {refused.status_code}")
        printed += refused.text
        printed += httpx.get(url.rpartition("/")[0] + "/metrics", headers=token).text
        process.terminate()
        return printed + process.stdout.read()


def write_labels(root: Path, table: pd.DataFrame) -> str:
    """Labels of the customers who were asked about."""
    now = datetime.now(UTC)
    asked = table[-REQUESTS:]
    times = [f"{now + timedelta(days=20 if left == 'yes' else 35):%Y-%m-%d}" for left in asked["left"]]
    labels = pd.DataFrame({"customer_key": asked["customer"], "time": times, "churned": asked["left"]})
    labels.to_csv(root / "labels.csv", index=False)
    return f"monitor.labels={root}/labels.csv"


def churn(*words: str, code: int | None = 0) -> str:
    """Run a stage; gives what it printed. code: its exit code; None: any but that of a bug."""
    command = [sys.executable, "-m", "churn", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | SECRETS, check=False)
    if done.returncode == 1 or (code is not None and done.returncode != code):
        sys.exit(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def written(root: Path) -> list[Path]:
    """The files below `runs`, each once."""
    return sorted({path.resolve() for path in (root / "runs").rglob("*") if path.is_file()})


def contents(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and those of what it holds compressed."""
    yield path.read_bytes()
    if path.suffix == ".parquet":
        yield json.dumps(pq.read_table(path).to_pylist(), default=str).encode()
        yield repr(pq.read_schema(path).metadata).encode()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name) for name in archive.namelist())


def search(files: dict[Path, list[bytes]], planted: dict[str, list[str]]) -> list[tuple[str, str, Any]]:
    """Kind, value and file of each planted value that a file holds."""
    found = []
    for path, parts in files.items():
        for kind, values in planted.items():
            suspects = [part for part in parts if STEMS[kind].encode() in part]
            found += [(kind, v, path) for v in values if any(v.encode() in part for part in suspects)]
    return found


def may_be_there(kind: str, value: str, path: Path) -> bool:
    """Whether this is a text of a request in the prediction log."""
    return kind == "rare text of requests" and path.parent.name == "log"


if __name__ == "__main__":
    main()
