#!/bin/sh
# Ibis 12.0.0: `epoch_seconds()` says that it gives whole numbers (int32). On DuckDB it gives fractions, so that two
# engines disagree on half a second before midnight; and for BigQuery it calls UNIX_SECONDS on a DATE or a DATETIME, which
# takes a TIMESTAMP only (GoogleSQL, "Timestamp functions": UNIX_SECONDS(timestamp_expression)).
# Seen with ibis-framework 12.0.0, duckdb 1.4.4, sqlglot 27.0.0. Ends with 1 if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "ibis-framework[duckdb]==12.0.0" duckdb==1.4.4 sqlglot==27.0.0
"$folder/venv/bin/python" - <<'PYTHON'
import duckdb
import ibis
from ibis.backends.sql.compilers.bigquery import BigQueryCompiler
from ibis.backends.sql.compilers.duckdb import DuckDBCompiler

print("ibis", ibis.__version__, "duckdb", duckdb.__version__)
table = ibis.table({"moment": "timestamp", "day": "date"}, name="t")
seconds = table.moment.epoch_seconds()
print("promised:", seconds.type())
duckdb.sql("CREATE TABLE t AS SELECT TIMESTAMP '2024-05-31 23:59:59.5' AS moment, DATE '2024-05-31' AS day")
(value,) = duckdb.sql(DuckDBCompiler().to_sqlglot(table.select(seconds)).sql("duckdb")).fetchone()
print("DuckDB gives:", value)
sql = BigQueryCompiler().to_sqlglot(table.select(a=seconds, b=table.day.epoch_seconds())).sql("bigquery")
print("BigQuery gets:", sql)
assert seconds.type().is_integer() and value % 1 == 0.5
assert "UNIX_SECONDS(`t0`.`moment`)" in sql and "UNIX_SECONDS(`t0`.`day`)" in sql
PYTHON
