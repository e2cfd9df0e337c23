"""Zip archives, folders KEY=VALUE, and files that a name does not tell."""

import gzip
import io
import zipfile

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.config.data import DataConfig
from churn.config.root import compose_config
from churn.data.declared import declared_facts
from churn.data.sources import files
from churn.data.sources.paths import partition_keys
from churn.data.stream.row_groups import ParquetFile, large_table_row_groups, list_row_groups, read_row_group
from churn.data.stream.rows import open_stream
from churn.errors import UserError

TABLE = pd.DataFrame({"id": ["007", "x"], "months": [5, 7], "plan": ["a", "b"]})
CSV = TABLE.to_csv(index=False).encode()


def read(path, **keys):
    return files.read_files(DataConfig(path=str(path), **keys))


def archive(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name.replace("__", "."), content)
    return path


def test_a_table_beside_a_readme_is_read_from_an_archive(tmp_path):
    parquet = TABLE.to_parquet()
    json = TABLE.to_json(orient="records")
    for name, content in (
        ("t.csv", CSV),
        ("t.parquet", parquet),
        ("t.json", json),
        ("t.csv.gz", gzip.compress(CSV)),
    ):
        path = archive(
            tmp_path / "t.zip", **{"README.md": "# hello", "notes.txt": "a,b\n1,2\n", name: content}
        )
        raw = read(path)
        assert raw.frame["id"].tolist() == ["007", "x"], name
        assert raw.files[0] == f"{path}/{name}"


def test_several_members_of_one_table_are_read_in_the_order_of_their_names(tmp_path):
    other = TABLE.assign(id=["y", "z"]).to_csv(index=False)
    path = archive(tmp_path / "t.zip", **{"in/2.csv": other, "in/1.csv": CSV, "__MACOSX/in/._1.csv": "x"})
    raw = read(path)
    assert raw.frame["id"].tolist() == ["007", "x", "y", "z"]
    assert [len(piece.frame) for piece in files.raw_tables(str(path), DataConfig(), rows=1)] == [1] * 4
    bad = archive(tmp_path / "u.zip", **{"train.csv": CSV, "test.csv": "id,months\n1,2\n"})
    with pytest.raises(UserError, match=r"train\.csv and .*test\.csv are not parts of one table"):
        read(bad)


@pytest.mark.parametrize(
    ("members", "what"),
    [({"a.pdf": "x", "b.md": "y"}, r"no table, but a\.pdf, b\.md"), ({}, "no table, but nothing")],
)
def test_an_archive_without_a_table_is_refused(tmp_path, members, what):
    with pytest.raises(UserError, match=what):
        read(archive(tmp_path / "t.zip", **members))


def test_an_archive_with_a_password_for_some_members_is_refused(tmp_path):
    packed = archive(tmp_path / "t.zip", **{"1.csv": CSV, "2.csv": CSV})
    content = bytearray(packed.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.rindex(mark) + offset] |= 1
    packed.write_bytes(content)
    with pytest.raises(UserError, match="needs a password"):
        read(packed)


def test_an_archive_in_an_archive_is_unpacked(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as packed:
        packed.writestr("t.csv", CSV)
    assert len(read(archive(tmp_path / "t.zip", **{"inner.zip": inner.getvalue()})).frame) == 2


def test_a_compressed_parquet_file_is_unpacked(tmp_path):
    (tmp_path / "t.parquet.gz").write_bytes(gzip.compress(TABLE.to_parquet()))
    assert read(tmp_path / "t.parquet.gz").frame["months"].tolist() == [5, 7]


def test_packed_files_of_one_name_in_several_folders_keep_their_own_rows(tmp_path):
    for country, ids in (("DE", ["a", "b"]), ("FR", ["c", "d"])):
        folder = tmp_path / f"country={country}"
        folder.mkdir()
        (folder / "part-0.parquet.gz").write_bytes(gzip.compress(TABLE.assign(id=ids).to_parquet()))
    whole = read(tmp_path).frame
    assert whole["id"].tolist() == ["a", "b", "c", "d"]
    assert whole["country"].tolist() == ["DE", "DE", "FR", "FR"]


def test_a_packed_parquet_file_declares_its_roles_and_is_read_in_memory(tmp_path):
    table = pa.Table.from_pandas(TABLE).replace_schema_metadata({"churn": '{"name": "gym"}'})
    plain = tmp_path / "t.parquet"
    pq.write_table(table, plain)
    packed, zipped = tmp_path / "p.parquet.gz", tmp_path / "z.zip"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    archive(zipped, t__parquet=plain.read_bytes())
    for path in (plain, packed, zipped):
        cfg = compose_config("data=parquet", f"data.path={path}", "train.stream_rows=1")
        assert declared_facts(cfg.data) == {"name": "gym"}, path
        assert bool(large_table_row_groups(cfg)) == (path == plain)
    packed.write_bytes(gzip.compress(plain.read_bytes()[:-9]))
    with pytest.raises(UserError, match=r"damaged[\s\S]*p\.parquet\.gz"):
        declared_facts(compose_config("data=parquet", f"data.path={packed}").data)


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_member_is_refused_however_it_is_packed(tmp_path, packing):
    path = tmp_path / "t.zip"
    with zipfile.ZipFile(path, "w", packing) as packed:
        packed.writestr("t.csv", "id,fee,left\n" + "".join(f"c{i},{i * i},no\n" for i in range(2_000)))
    content = path.read_bytes()
    path.write_bytes(content[:60] + bytes(100) + content[160:])
    with pytest.raises(UserError, match=r"damaged or cut off[\s\S]*t\.zip"):
        read(path)


@pytest.fixture(params=["csv", "parquet"])
def partitions(tmp_path, request):
    """A table in folders month=.../plan=..., as Hive, Spark and Athena write it."""
    for month, plan in (("2024-01", "a%2Fb"), ("2024-02", "__HIVE_DEFAULT_PARTITION__")):
        folder = tmp_path / "t" / f"month={month}" / f"plan={plan}"
        folder.mkdir(parents=True)
        part = TABLE.drop(columns="plan")
        file = folder / f"part-0.{request.param}"
        part.to_csv(file, index=False) if request.param == "csv" else part.to_parquet(file)
    (tmp_path / "t" / "_SUCCESS").write_text("")
    return tmp_path / "t"


@pytest.mark.parametrize("path", ["", "*/*/part-*", "month=2024-01/plan=a%2Fb/../../*/*/part-0.*"])
def test_the_keys_of_folders_are_columns(partitions, path):
    frame = read(partitions / path).frame.sort_values(["month", "id"], ignore_index=True)
    assert frame["id"].tolist() == ["007", "x"] * 2
    assert frame["month"].tolist() == ["2024-01"] * 2 + ["2024-02"] * 2
    assert frame["plan"].fillna("").tolist() == ["a/b", "a/b", "", ""]


def test_a_single_part_has_its_keys_too():
    assert partition_keys("gs://bucket/t/month=1/x.csv") == {"month": "1"}
    assert partition_keys("t/a=b.csv") == {}
    assert partition_keys("t/plan=a/month=1.zip/x.csv") == {"plan": "a"}


def test_a_stream_has_the_keys_of_folders(tmp_path):
    for month in range(1, 5):
        folder = tmp_path / f"month={month}"
        folder.mkdir()
        frame = pd.DataFrame({"id": [f"{month}-{i}" for i in range(200)], "months": range(200)})
        frame["left"] = [(i * 7 + month) % 3 == 0 for i in range(200)]
        frame.to_parquet(folder / "1.parquet")
    cfg = compose_config(
        "data=parquet", f"data.path={tmp_path}", "data.target=left", "train.stream_rows=10", "data.name=t"
    )
    stream = open_stream(cfg)
    assert set(stream.sample.schema.features) == {"month", "months"}
    rows = stream.rows(stream.groups[:2])
    assert set(rows.features["month"]) == {1, 2} if "month" in stream.sample.schema.numeric else True


def test_a_column_of_the_file_wins_over_the_key_of_its_folder_in_a_stream_too(tmp_path):
    file = tmp_path / "month=02" / "1.parquet"
    file.parent.mkdir()
    TABLE.assign(month=2.5).to_parquet(file)
    assert read(tmp_path).frame["month"].tolist() == [2.5, 2.5]
    [group] = list_row_groups([ParquetFile(str(file))])
    for names in (None, ["month", "id"], ["id"]):
        table = read_row_group(group, names)
        assert table.column_names == (names or [*TABLE, "month"])
        assert table.to_pydict().get("month", [2.5, 2.5]) == [2.5, 2.5]


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"\n\n  <!DOCTYPE html><html>", "web page"),
        (b"\xef\xbb\xbf<html>", "web page"),
        (b"<table><tr><td>1</td></tr></table>", "web page"),
        (b"<?xml version='1.0'?><Workbook>", "XML"),
        (b"%PDF-1.7", "PDF"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
        (b"\x80\x05\x95\x10", "pickle"),
        (b"\x00\x01\x00\x00Standard ACE DB\x00", "Access"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"Rar!\x1a\x07", "RAR"),
        (b"FEA1\x00\x00", "Feather"),
    ],
)
def test_what_is_no_table_is_refused_as_what_it_is(tmp_path, head, what):
    (tmp_path / "t.csv").write_bytes(head + bytes(100) if b"\x00" in head else head + b" " * 50)
    with pytest.raises(UserError, match=what):
        read(tmp_path / "t.csv")
