#!/bin/sh
# What DuckDB answers about NaN in a Parquet file depends on whether the file has statistics of its columns. For DuckDB NaN equals NaN
# and is greater than every number. The statistics that pyarrow writes leave NaN out, as Parquet wants it, and DuckDB decides by them:
# then neither `v = 'NaN'` nor `v > 10` finds the NaN, though `max(v)` is NaN. `isnan(v)` is right with both.
# Seen with duckdb 1.4.5 and pyarrow 25.0.1. Ends with 1 if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet duckdb==1.4.5 pyarrow==25.0.1 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

print("duckdb", duckdb.__version__, "pyarrow", pa.__version__)
table, seen = pa.table({"v": np.array([5.0, np.nan, 9.0])}), {}
for statistics in (True, False):
    pq.write_table(table, "t.parquet", write_statistics=statistics)
    counts = "count_if(v = 'NaN'::DOUBLE), count_if(v > 10), count_if(isnan(v)), max(v)"
    equal, greater, is_nan, greatest = duckdb.execute(f"SELECT {counts} FROM 't.parquet'").fetchone()
    seen[statistics] = (equal, greater, is_nan)
    print(f"statistics {statistics}: {equal} equal NaN, {greater} above 10, {is_nan} are NaN; the greatest is {greatest}")
    assert np.isnan(greatest)
assert seen == {True: (0, 0, 1), False: (1, 1, 1)}
PYTHON
