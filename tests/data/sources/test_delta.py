"""Delta tables, written by delta-rs: only the rows of the current version are read."""

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from churn.config.data import DataConfig
from churn.config.root import compose_config
from churn.data.sources import files
from churn.data.stream.row_groups import large_table_row_groups
from churn.errors import UserError


@pytest.fixture
def delta(tmp_path):
    """A partitioned table of which a customer was erased, one was changed, and one was added."""
    folder = str(tmp_path / "customers")
    table = pa.table({"id": [1, 2, 3, 4], "plan": ["a", "b", None, "d"], "month": ["01", "01", "02", "02"]})
    write_deltalake(folder, table, partition_by=["month"])
    DeltaTable(folder).delete("id = 2")
    DeltaTable(folder).update(predicate="id = 3", updates={"plan": "'new'"})
    write_deltalake(folder, pa.table({"id": [2**60 + 1], "plan": ["e"], "month": ["02"]}), mode="append")
    return folder


def read(path, **keys):
    return files.read_files(DataConfig(path=str(path), **keys))


def test_only_the_current_rows_are_read(delta):
    raw = read(delta)
    frame = raw.frame.sort_values("id", ignore_index=True)
    assert frame["id"].tolist() == [1, 3, 4, 2**60 + 1]
    assert frame["plan"].tolist() == ["a", "new", "d", "e"]
    assert frame["month"].tolist() == ["01", "02", "02", "02"]
    assert "Delta, version 3" in raw.notes[0]
    assert max(len(piece.frame) for piece in files.raw_tables(delta, DataConfig(), rows=1)) == 1


@pytest.mark.parametrize("path", ["*/*.parquet", "month=02", "{first}"])
def test_the_files_of_a_table_are_not_its_rows_and_are_refused(delta, path):
    first = next(Path(delta).glob("*/*.parquet"))
    with pytest.raises(
        UserError, match=r"table of Delta: its files also hold rows that were overwritten or deleted"
    ):
        read(f"{delta}/{path}" if "{" not in path else first)


def test_a_delta_table_is_never_streamed_from_its_files(delta):
    cfg = compose_config("data=parquet", f"data.path={delta}", "train.stream_rows=1")
    assert large_table_row_groups(cfg) == []


def test_a_renamed_column_is_read_by_its_name(tmp_path):
    folder = tmp_path / "renamed"
    write_deltalake(str(folder), pa.table({"a": [1, 2], "b": ["x", "y"]}))
    log = folder / "_delta_log" / "00000000000000000000.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        if meta := action.get("metaData"):
            schema = json.loads(meta["schemaString"])
            for i, (field, name) in enumerate(zip(schema["fields"], ("tenure", "plan"), strict=True), 1):
                field["metadata"] = {
                    "delta.columnMapping.id": i,
                    "delta.columnMapping.physicalName": field["name"],
                }
                field["name"] = name
            meta["schemaString"] = json.dumps(schema)
            meta["configuration"] = {"delta.columnMapping.mode": "name"}
        if protocol := action.get("protocol"):
            protocol.update(minReaderVersion=2, minWriterVersion=5)
    log.write_text("".join(json.dumps(action) + "\n" for action in actions))
    assert read(folder).frame.to_dict("list") == {"tenure": [1, 2], "plan": ["x", "y"]}


@pytest.mark.parametrize(("folder", "kind"), [(".hoodie", "Hudi"), ("metadata", "Iceberg")])
def test_tables_of_hudi_and_iceberg_are_refused_with_what_to_export(tmp_path, folder, kind):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "v1.metadata.json").write_text("{}")
    (tmp_path / "data").mkdir()
    for path in (tmp_path, tmp_path / "data"):
        pd.DataFrame({"id": [1]}).to_parquet(path / "1.parquet")
    for path in (tmp_path, tmp_path / "*.parquet"):
        with pytest.raises(UserError, match=rf"table of {kind}[\s\S]*export its current rows as Parquet"):
            read(path)
