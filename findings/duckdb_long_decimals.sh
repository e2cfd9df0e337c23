#!/bin/sh
# DuckDB has decimals of at most 38 digits. A Parquet column of more (Arrow's decimal256) it reads as DOUBLE
# without a word, but the numbers are others: 1.5 of decimal(39, 9) becomes 1.08e17, of decimal(70, 30) 98304. With 76 digits, the
# most that Arrow has, they are right, and so they are with 38.
# Seen with duckdb 1.4.5 and pyarrow 25.0.1. Ends with 1 if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet duckdb==1.4.5 pyarrow==25.0.1
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

print("duckdb", duckdb.__version__, "pyarrow", pa.__version__)
is_right = {}
for digits, scale in ((38, 9), (39, 9), (50, 10), (70, 30), (76, 38)):
    kind = pa.decimal128(digits, scale) if digits <= 38 else pa.decimal256(digits, scale)
    pq.write_table(pa.table({"v": pa.array([Decimal("1.5")], kind)}), "t.parquet")
    assert pq.read_table("t.parquet")["v"].to_pylist() == [Decimal("1.5")]
    found, name = duckdb.execute("SELECT v, typeof(v) FROM 't.parquet'").fetchone()
    print(f"decimal({digits}, {scale}): 1.5 is read as {found} ({name})")
    is_right[digits] = found == Decimal("1.5")
assert is_right == {38: True, 39: False, 50: False, 70: False, 76: True}
PYTHON
