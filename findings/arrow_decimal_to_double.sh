#!/bin/sh
# Arrow's cast of decimals to doubles does not give the nearest double: 3.07 becomes 3.0700000000000003, and 1001 in
# BigQuery's NUMERIC (decimal128(38, 9)) becomes 1001.0000000000001, so that a whole number, or an id, has a fraction. The way
# over text gives the nearest double.
# Seen with pyarrow 25.0.1. Ends with 1 if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pyarrow==25.0.1
"$folder/venv/bin/python" - <<'PYTHON'
from decimal import Decimal

import pyarrow as pa

print("pyarrow", pa.__version__)
cases = [("3.07", pa.decimal128(10, 2), 3.0700000000000003), ("1001", pa.decimal128(38, 9), 1001.0000000000001)]
for text, kind, seen in cases:
    column = pa.array([Decimal(text)], kind)
    direct, over_text = column.cast(pa.float64())[0].as_py(), column.cast(pa.string()).cast(pa.float64())[0].as_py()
    print(f"{text} as {kind}: cast {direct!r}, over text {over_text!r}, Python's float {float(Decimal(text))!r}")
    assert direct == seen != float(Decimal(text)) == over_text
PYTHON
