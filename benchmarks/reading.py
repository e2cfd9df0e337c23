"""Reading a table: rows per second beside the reader that people would use, and memory.

`read_FORMAT`: `churn train`'s reading of a whole file, exact texts and line numbers included, beside pandas
or the format's own library on the same file. `chunks_FORMAT`: `churn score`'s reading in chunks, beside the
same. `exact_csv`: reading text beside pandas told to keep every cell as it is written, without blanks around
it, as we do: by default pandas makes 007 the number 7. `features_FORMAT`: from the file to what the model
takes, beside pandas doing this from the same cells. All are ratios of rows per second of processor time, all
threads together, so that other programs on the machine count little.
`memory_FORMAT`: peak memory of reading a file of four times the rows in chunks, as a ratio; 1 is bounded.
"""

import argparse
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
from compare import arguments, finish, ratio

from churn.config.data import DataConfig, SyntheticConfig
from churn.data.dataset import Schema
from churn.data.features import to_arrow_features
from churn.data.load import load_dataset
from churn.data.sources import files, synthetic

CHUNK = 50_000
SMALLER = {"xlsx": 10, "ods": 50, "rds": 5, "arff": 5, "json": 2, "avro": 2}  # so many times fewer rows
BOUNDED = ("csv", "parquet", "arrow", "orc", "avro", "jsonl", "sqlite", "duckdb", "sav", "dta")


def main() -> None:
    parser = arguments(__doc__)
    parser.set_defaults(runs=5)
    parser.add_argument(
        "--rows", type=int, default=200_000, help="rows of the largest files (default 200,000)"
    )
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), choices=list(FORMATS))
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        print(peak_memory(options.peak))
        return
    entries = []
    with tempfile.TemporaryDirectory() as root:
        for name in options.formats:
            rows = options.rows // SMALLER.get(name, 1)
            file = Path(root) / f"customers.{name}"
            write, *peer = FORMATS[name]
            write(customers(rows), file)
            entries += speeds(name, file, rows, peer, options.runs)
            if name in BOUNDED:
                entries.append(growth(name, file, rows, write))
            file.unlink()
    finish(entries, options.json, merge=True)


def customers(rows: int) -> pd.DataFrame:
    return synthetic.make_table(SyntheticConfig(rows=rows), 1).frame


def speeds(name: str, file: Path, rows: int, peer: list, runs: int) -> list[dict]:
    """The entries `read_`, `chunks_` and, for text and Parquet, `exact_` and `features_` of a format."""
    label, read = peer
    work = {
        "read": (lambda: whole(file), lambda: read(file)),
        "chunks": (lambda: in_chunks(file), lambda: read(file)),
    }
    entries = [entry(f"{kind}_{name}", rows, pair, label, runs) for kind, pair in work.items()]
    if name == "csv":
        label, read = "pandas.read_csv, exact texts", exact_texts
        entries.append(entry("exact_csv", rows, (lambda: whole(file), lambda: read(file)), label, runs))
    if name in ("csv", "parquet"):
        schema = load_dataset(DataConfig(path=str(file)), 0).schema
        both = (lambda: to_features(file, schema), lambda: pandas_features(read(file), schema))
        entries.append(entry(f"features_{name}", rows, both, label, runs))
    return entries


def entry(name: str, rows: int, pair: tuple[Callable, Callable], peer: str, runs: int) -> dict:
    """Rows per second of both, in turn, after one warm-up."""
    speeds: tuple[list[float], list[float]] = ([], [])
    for number in range(runs + 1):
        for one, found in zip(pair, speeds, strict=True):
            began = time.process_time()
            one()
            if number:
                found.append(rows / (time.process_time() - began))
    ours, theirs = (round(sorted(found)[runs // 2]) for found in speeds)
    result = ratio(name, *speeds, peer) | {"better": "higher", "rows_per_second": ours, "rows": rows}
    spread = f"{result['value']:6.2f} x ({result['low']:.2f} to {result['high']:.2f})"
    print(f"{name:16} {ours:11,} rows/s {theirs:11,} {peer:28} {spread}", flush=True)
    return result


def whole(file: Path) -> int:
    return len(files.read_files(DataConfig(path=str(file))).frame)


def in_chunks(file: Path) -> int:
    return sum(len(chunk.table) for chunk in files.file_chunks(str(file), DataConfig(), CHUNK))


def to_features(file: Path, schema: Schema) -> list:
    chunks = files.file_chunks(str(file), DataConfig(), CHUNK)
    return [to_arrow_features(chunk.table, schema) for chunk in chunks if len(chunk.table)]


def exact_texts(file: Path) -> pd.DataFrame:
    """Every cell as text without blanks around it, by pandas."""
    frame = pd.read_csv(file, dtype="str", keep_default_na=False)
    return frame.apply(lambda column: column.str.strip())


def pandas_features(frame: pd.DataFrame, schema: Schema) -> list:
    """Numbers with NaN, and codes of stripped texts."""
    numbers = [pd.to_numeric(frame[name], errors="coerce").to_numpy(float) for name in schema.numeric]
    texts = (frame[name].fillna("").astype("str").str.strip() for name in schema.categorical)
    return [*numbers, *(pd.factorize(text) for text in texts)]


def growth(name: str, file: Path, rows: int, write: Callable) -> dict:
    """The entry `memory_`."""
    large = file.with_stem("large")
    write(customers(4 * rows), large)
    one, four = in_process(file), in_process(large)
    large.unlink()
    found = {"name": f"memory_{name}", "value": four / one, "low": None, "high": None, "unit": "ratio"}
    print(f"{found['name']:16} {one:.0f} MB, {four:.0f} MB for four times the rows", flush=True)
    return found | {"peer": "a quarter of the rows", "better": "lower", "megabytes": round(four)}


def in_process(file: Path) -> float:
    command = [sys.executable, __file__, "--peak", str(file)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def peak_memory(file: Path) -> float:
    """Megabytes of this process at most, the program itself included, after reading a file in chunks."""
    in_chunks(file)
    status = Path("/proc/self/status").read_text()  # ru_maxrss would begin with the parent's memory
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


# Writers and peers by format. A peer gives a table as its users get it.


def write_avro(frame: pd.DataFrame, file: Path) -> None:
    import fastavro

    types = {"O": "string", "f": "double", "i": "long", "b": "boolean", "M": "string"}
    fields = [
        {"name": name.replace(" ", "_"), "type": ["null", types.get(frame[name].dtype.kind, "string")]}
        for name in frame
    ]
    plain = frame.astype(object).where(frame.notna(), None).set_axis([f["name"] for f in fields], axis=1)
    with file.open("wb") as out:
        fastavro.writer(out, {"type": "record", "name": "r", "fields": fields}, plain.to_dict("records"))


def read_avro(file: Path) -> pd.DataFrame:
    import fastavro

    with file.open("rb") as stream:
        return pd.DataFrame(list(fastavro.reader(stream)))


def write_sqlite(frame: pd.DataFrame, file: Path) -> None:
    with sqlite3.connect(file) as base:
        frame.to_sql("customers", base, index=False)
    base.close()


def read_sqlite(file: Path) -> pd.DataFrame:
    import sqlalchemy

    engine = sqlalchemy.create_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        frame = pd.read_sql_query("SELECT * FROM customers", connection)
    engine.dispose()
    return frame


def write_duckdb(frame: pd.DataFrame, file: Path) -> None:
    import duckdb

    with duckdb.connect(str(file)) as base:
        base.register("frame", pa.Table.from_pandas(frame, preserve_index=False))
        base.execute("CREATE TABLE customers AS SELECT * FROM frame")


def read_duckdb(file: Path) -> pd.DataFrame:
    import duckdb

    with duckdb.connect(str(file), read_only=True) as base:
        return base.execute("SELECT * FROM customers").df()


def write_statistics(frame: pd.DataFrame, file: Path) -> None:
    import pyreadstat

    named = frame.set_axis([name.replace(" ", "_") for name in frame], axis=1)
    {".sav": pyreadstat.write_sav, ".dta": pyreadstat.write_dta, ".xpt": pyreadstat.write_xport}[file.suffix](
        named, file
    )


def read_statistics(file: Path) -> pd.DataFrame:
    import pyreadstat

    kind = {".sav": pyreadstat.read_sav, ".dta": pyreadstat.read_dta, ".xpt": pyreadstat.read_xport}[
        file.suffix
    ]
    return kind(file, apply_value_formats=True)[0]


def write_rds(frame: pd.DataFrame, file: Path) -> None:
    import rdata

    rdata.write_rds(file, frame.astype({name: object for name in frame if frame[name].dtype == "str"}))


def read_rds(file: Path) -> object:
    import rdata

    return rdata.read_rds(file)


def write_arff(frame: pd.DataFrame, file: Path) -> None:
    import arff

    kinds = {"f": "REAL", "i": "INTEGER"}
    attributes = [(name, kinds.get(frame[name].dtype.kind, "STRING")) for name in frame]
    cells = frame.astype(object).where(frame.notna(), None).to_numpy().tolist()
    with file.open("w") as out:
        arff.dump({"relation": "customers", "attributes": attributes, "data": cells}, out)


def read_arff(file: Path) -> object:
    import arff

    with file.open() as stream:
        return arff.load(stream)


def write_json(frame: pd.DataFrame, file: Path) -> None:
    frame.to_json(file, orient="records", lines=file.suffix == ".jsonl")


FORMATS: dict[str, tuple[Callable, str, Callable]] = {
    "csv": (lambda f, p: f.to_csv(p, index=False), "pandas.read_csv", pd.read_csv),
    "parquet": (lambda f, p: f.to_parquet(p, row_group_size=50_000), "pandas.read_parquet", pd.read_parquet),
    "arrow": (lambda f, p: f.to_feather(p, compression="lz4"), "pandas.read_feather", pd.read_feather),
    "orc": (lambda f, p: f.to_orc(p, index=False), "pandas.read_orc", pd.read_orc),
    "avro": (write_avro, "fastavro", read_avro),
    "jsonl": (write_json, "pandas.read_json(lines)", lambda p: pd.read_json(p, lines=True)),
    "json": (write_json, "pandas.read_json", pd.read_json),
    "xlsx": (lambda f, p: f.to_excel(p, index=False, engine="xlsxwriter"), "pandas.read_excel(calamine)",
             lambda p: pd.read_excel(p, engine="calamine")),
    "sqlite": (write_sqlite, "pandas.read_sql_query", read_sqlite),
    "duckdb": (write_duckdb, "duckdb.df", read_duckdb),
    "sav": (write_statistics, "pyreadstat", read_statistics),
    "dta": (write_statistics, "pyreadstat", read_statistics),
    "rds": (write_rds, "rdata", read_rds),
    "arff": (write_arff, "liac-arff", read_arff),
}  # fmt: skip


if __name__ == "__main__":
    main()
