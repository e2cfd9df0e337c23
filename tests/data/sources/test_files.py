import bz2
import csv
import gzip
import io
import lzma
import zipfile
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn.config.data import DataConfig, Source
from churn.data.declared import declared_facts
from churn.data.sources import files
from churn.data.table import RawTable
from churn.errors import UserError

TABLE = "id,plan,price\na,basic,1.5\nb,plus,2\nc,,3\n"


def read(path, **keys) -> RawTable:
    return files.read_files(DataConfig(path=str(path), **keys))


def write(path, content: str | bytes):
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def cells(raw: RawTable) -> list[list[str]]:
    return raw.frame.to_numpy(object).tolist()


EXPECTED = [["a", "basic", "1.5"], ["b", "plus", "2"], ["c", "", "3"]]


def test_cells_are_stripped_text_with_their_line_and_file(tmp_path):
    raw = read(write(tmp_path / "t.csv", "id, plan ,price\na, basic,1.5 \nb,plus,2\nc, ,3\n"))
    assert list(raw.frame) == ["id", "plan", "price"]
    assert cells(raw) == EXPECTED
    assert raw.lines.tolist() == [2, 3, 4]
    assert set(raw.files) == {str(tmp_path / "t.csv")} == {raw.origin}
    assert raw.unit == "line"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_delimiter_is_recognised_and_noted(tmp_path, delimiter):
    raw = read(write(tmp_path / "t.csv", TABLE.replace(",", delimiter)))
    assert cells(raw) == EXPECTED
    assert {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}[delimiter] in raw.notes[0]


def test_a_semicolon_wins_over_decimal_commas(tmp_path):
    raw = read(write(tmp_path / "t.csv", "a;b;c\n1,5;2,5;3,5\n4,5;5,5;6,5\n"))
    assert cells(raw) == [["1,5", "2,5", "3,5"], ["4,5", "5,5", "6,5"]]


def test_an_unusual_delimiter_must_be_configured(tmp_path):
    path = write(tmp_path / "t.csv", TABLE.replace(",", "~"))
    with pytest.raises(UserError, match=r"the table has one column[\s\S]*data.delimiter"):
        read(path)
    assert cells(read(path, delimiter="~")) == EXPECTED
    with pytest.raises(UserError, match="'~~' is not one character"):
        read(path, delimiter="~~")
    assert cells(read(write(path, TABLE.replace(",", "\t")), delimiter="\\t")) == EXPECTED


@pytest.mark.parametrize(
    ("encoding", "noted"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("utf-16", "utf-16"), ("latin-1", "cp1252")],
)
def test_an_encoding_is_recognised_and_noted(tmp_path, encoding, noted):
    raw = read(write(tmp_path / "t.csv", TABLE.replace("plus", "größer").encode(encoding)))
    assert list(raw.frame) == ["id", "plan", "price"]
    assert raw.frame["plan"][1] == "größer"
    assert noted in raw.notes[0]


def test_text_that_is_not_in_the_configured_encoding_is_refused(tmp_path):
    path = write(tmp_path / "t.csv", TABLE.replace("plus", "größer").encode("latin-1"))
    with pytest.raises(UserError, match=r"not utf-8 \(byte 0xf6\)[\s\S]*data.encoding"):
        read(path, encoding="utf-8")
    with pytest.raises(UserError, match="'utf-9' is no encoding"):
        read(path, encoding="utf-9")


def zipped(content: bytes) -> bytes:
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        archive.writestr("t.csv", content)
        archive.writestr("__MACOSX/._t.csv", "x")
    return file.getvalue()


def zstandard(content: bytes) -> bytes:
    with pa.CompressedOutputStream(sink := pa.BufferOutputStream(), "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstandard, zipped])
def test_a_compressed_file_is_recognised_whatever_its_name(tmp_path, pack):
    assert cells(read(write(tmp_path / "t.csv", pack(TABLE.encode())))) == EXPECTED


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, zipped])
def test_a_compressed_file_that_is_cut_off_is_refused(tmp_path, pack):
    path = write(tmp_path / "t.csv", pack(TABLE.encode() * 1000)[:100])
    with pytest.raises(UserError, match="damaged or cut off"):
        read(path)


@pytest.mark.parametrize(
    "preamble",
    ["Report\n" + "line\n" * 20 + "\n", "Report,,\n" + ",,\n" * 20 + "As of,June,\n", "a,b\n" * 22],
)
def test_22_lines_before_the_header_are_skipped_and_noted(tmp_path, preamble):
    rows = TABLE.partition("\n")[2]
    raw = read(write(tmp_path / "t.csv", preamble + TABLE + rows * 6))
    assert cells(raw) == EXPECTED * 7
    assert raw.lines.tolist() == list(range(24, 24 + 21))
    assert "22 lines before the header skipped" in raw.notes[0]


def test_lines_to_skip_can_be_configured(tmp_path):
    raw = read(write(tmp_path / "t.csv", "x,y,z\n" + TABLE), skip_lines=1)
    assert cells(raw) == EXPECTED


def test_a_table_without_a_header_is_refused(tmp_path):
    path = write(tmp_path / "t.csv", TABLE.partition("\n")[2])
    with pytest.raises(UserError, match=r"no header[\s\S]*line 1"):
        read(path)


def test_lines_are_right_after_quoted_newlines_and_blank_lines(tmp_path):
    text = 'id,plan,price\na,"ba\nsic",1\n\nb,plus,2\n,,\nc,"x ""y"", z",3\n'
    raw = read(write(tmp_path / "t.csv", text))
    assert cells(raw) == [["a", "ba\nsic", "1"], ["b", "plus", "2"], ["c", 'x "y", z', "3"]]
    assert raw.lines.tolist() == [2, 5, 7]


def test_trailing_delimiters_add_no_column(tmp_path):
    rows = TABLE.partition("\n")[2].replace("\n", ",\n")
    for header in ("id,plan,price\n", "id,plan,price,\n"):
        raw = read(write(tmp_path / "t.csv", header + rows))
        assert list(raw.frame) == ["id", "plan", "price"]
        assert cells(raw) == EXPECTED


def test_a_column_without_a_name_has_the_name_that_pandas_gives_it(tmp_path):
    raw = read(write(tmp_path / "t.csv", ",plan,price\n0,basic,1.5\n1,plus,2\n"))
    assert list(raw.frame) == ["Unnamed: 0", "plan", "price"]


def test_rows_of_the_wrong_width_are_listed_with_their_lines(tmp_path):
    raw = read(write(tmp_path / "t.csv", TABLE + "d,basic\ne,plus,1,2\nf,plus,4\n"))
    assert cells(raw) == [*EXPECTED, ["f", "plus", "4"]]
    assert raw.lines.tolist() == [2, 3, 4, 7]
    assert raw.broken[["line", "value", "reason"]].to_numpy().tolist() == [
        [5, "d,basic", "the row has 2 cells, the header 3"],
        [6, "e,plus,1,2", "the row has 4 cells, the header 3"],
    ]


def test_a_quote_that_is_never_closed_is_refused_with_its_line(tmp_path):
    path = write(tmp_path / "t.csv", TABLE + 'd,"basic,4\n' + "e,plus,5\n" * 100)
    with pytest.raises(UserError, match=r"quotes[\s\S]*line 5"):
        read(path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "holds no text"),
        (b"id,plan,price\n", "3 columns but no rows"),
        (b"id,plan,id\n1,2,3\n", "several columns have the same name: id"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b'[{"id": 1}', "no JSON"),
        (b"a,b\n\x00\x01\x02,3\n", "no text file"),
        (b"PAR1 and no more", "damaged"),
    ],
)
def test_a_file_that_is_not_a_table_is_refused_with_its_kind(tmp_path, content, what):
    path = write(tmp_path / "t.csv", content)
    with pytest.raises(UserError, match=what) as error:
        read(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("begin", ["Par1", "par1", "arrow1", "fea1", "id,plan,duck"])
def test_a_header_like_the_mark_of_another_format_in_other_letters_is_text(tmp_path, begin):
    frame = read(write(tmp_path / "t.csv", f"{begin},left\n{'1,' * begin.count(',')}2,yes\n")).frame
    assert frame["left"].tolist() == ["yes"]


def test_a_file_that_does_not_exist_is_refused_with_the_nearest_name(tmp_path):
    write(tmp_path / "customers.csv", TABLE)
    with pytest.raises(UserError, match=r"did you mean '.*customers\.csv'"):
        read(tmp_path / "custmers.csv")


@pytest.fixture
def exports(tmp_path):
    folder = tmp_path / "exports"
    folder.mkdir()
    write(folder / "_SUCCESS", "")
    write(folder / "notes.md", "x")
    write(folder / "1.csv", TABLE)
    write(folder / "2.csv.gz", gzip.compress(b"price,id,plan\n4,d,plus\n"))
    return folder


@pytest.mark.parametrize("glob", ["", "*.csv*", "../*/[12].csv*"])
def test_a_folder_or_glob_is_one_table_with_the_columns_of_its_first_file(exports, glob):
    raw = read(exports / glob)
    assert cells(raw) == [*EXPECTED, ["d", "plus", "4"]]
    assert raw.lines.tolist() == [2, 3, 4, 2]
    assert [file.rpartition("/")[2] for file in raw.files] == ["1.csv", "1.csv", "1.csv", "2.csv.gz"]
    assert raw.origin.startswith("2 files of ")


def test_files_with_other_columns_are_refused_by_name(exports):
    write(exports / "3.csv", "id,Plan,cost\ne,plus,1\n")
    with pytest.raises(UserError, match=r"3\.csv and .*1\.csv are not parts of one table") as error:
        read(exports)
    assert "'plan' is missing; did you mean 'Plan'?" in str(error.value)
    assert "'cost' is not in" in str(error.value)


def test_a_folder_of_text_and_parquet_is_refused(exports):
    pd.DataFrame({"id": ["x"], "plan": ["y"], "price": [1.0]}).to_parquet(exports / "3.parquet")
    with pytest.raises(UserError, match=r"several formats[\s\S]*is text.*is Parquet"):
        read(exports)


def test_a_folder_without_tables_and_a_glob_without_files_are_refused(tmp_path):
    write(tmp_path / "notes.md", "x")
    with pytest.raises(UserError, match=r"no table in this folder, but notes\.md"):
        read(tmp_path)
    with pytest.raises(UserError, match="no file matches"):
        read(tmp_path / "*.csv")


def test_parquet_columns_become_few_types_and_lose_nothing(tmp_path):
    table = pa.table(
        {
            "id": pa.array([2**60 + 1, None]),
            "decimal": pa.array([Decimal("1.50"), None]),
            "day": pa.array([date(2025, 1, 31), None]),
            "level": pa.array(["a", None]).dictionary_encode(),
            "flag": pa.array([True, None]),
            "nothing": pa.nulls(2),
            "binary": pa.array([b"x", None]),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    raw = read(tmp_path / "t.parquet")
    assert raw.frame["id"][0] == 2**60 + 1
    assert raw.frame["decimal"][0] == 1.5
    assert raw.frame["day"][0] == pd.Timestamp("2025-01-31")
    assert raw.frame.iloc[0][["level", "flag", "binary"]].tolist() == ["a", True, "x"]
    assert raw.frame.isna().sum().tolist() == [1, 1, 1, 1, 1, 2, 1]
    assert (raw.unit, raw.lines.tolist()) == ("row", [1, 2])


def test_a_nested_parquet_column_is_refused_unless_dropped(tmp_path):
    pq.write_table(pa.table({"id": [1, 2], "calls": [[1, 2], []]}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=r"'calls' is list[\s\S]*'data.drop=\[\"calls\"\]'"):
        read(tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet", drop=["calls"]).frame["id"].tolist() == [1, 2]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_chunks_are_the_table_in_pieces(tmp_path, kind):
    frame = pd.DataFrame({"id": [f"c{i}" for i in range(25)], "x": [str(i) for i in range(25)]})
    path = tmp_path / f"t.{kind}"
    frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    pieces = list(files.raw_tables(str(path), DataConfig(), rows=10))
    assert [len(piece.frame) for piece in pieces] == [10, 10, 5]
    assert all(piece.frame.index[0] == 0 for piece in pieces)
    whole = read(path)
    assert np.concatenate([piece.lines for piece in pieces]).tolist() == whole.lines.tolist()
    pd.testing.assert_frame_equal(pd.concat([p.frame for p in pieces], ignore_index=True), whole.frame)


any_cell = st.text(st.sampled_from("ab1 ,;\n\"'ü\r"), max_size=6)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(any_cell, any_cell), min_size=1, max_size=12), st.integers(1, 5))
def test_all_output_of_a_csv_writer_is_read_back_with_its_lines(tmp_path_factory, rows, chunk):
    path = tmp_path_factory.mktemp("any") / "t.csv"
    text, lines = io.StringIO(newline=""), []
    writer = csv.writer(text)
    writer.writerow(["number", "first", "second"])
    for i, row in enumerate(rows):
        lines.append(1 + len(list(io.StringIO(text.getvalue(), newline=""))))
        writer.writerow([f"row {i}", *row])
    path.write_bytes(text.getvalue().encode())
    pieces = list(files.raw_tables(str(path), DataConfig(), rows=chunk))
    read_back = [row for piece in pieces for row in cells(piece)]
    assert read_back == [[f"row {i}", *(cell.strip() for cell in row)] for i, row in enumerate(rows)]
    assert [line for piece in pieces for line in piece.lines] == lines


@pytest.fixture(scope="module")
def bucket():
    """A Cloud Storage bucket of the emulator; gives a function from a path to its gs:// address."""
    import requests
    from gcp_storage_emulator.server import create_server

    server = create_server("localhost", 0, in_memory=True, default_bucket="bucket")
    server.start()
    host = "localhost:{1}".format(*server._api._httpd.server_address)
    frame = pd.DataFrame({"id": ["e"], "plan": ["x"], "price": [1.0]})
    objects = {
        "in/1.csv": TABLE.encode(),
        "in/2.csv": b"id,plan,price\nd,plus,4\n",
        "t.parquet": frame.to_parquet(),
    }
    for name, content in objects.items():
        address = f"http://{host}/upload/storage/v1/b/bucket/o?uploadType=media&name={name}"
        requests.post(
            address, data=content, headers={"Content-Type": "text/csv"}, timeout=10
        ).raise_for_status()
    yield lambda path: f"gs://anonymous@bucket/{path}?endpoint_override={host}&scheme=http"
    server.stop()


@pytest.mark.parametrize(
    ("path", "rows"), [("in/1.csv", 3), ("in", 4), ("in/*.csv", 4), ("in/?.csv", 4), ("t.parquet", 1)]
)
def test_cloud_storage_is_read_like_a_folder(bucket, path, rows):
    raw = read(bucket(path))
    assert len(raw.frame) == rows
    assert raw.files[0] == {"t": "gs://bucket/t.parquet"}.get(path[0], "gs://bucket/in/1.csv")


@pytest.mark.parametrize("path", ["none.csv", "in/none*.csv", "in/1*.parquet"])
def test_an_object_that_is_not_in_cloud_storage_is_refused(bucket, path):
    with pytest.raises(UserError, match=r"no such object|no file matches"):
        read(bucket(path))


def test_a_cloud_storage_that_does_not_answer_is_refused_with_what_to_do(monkeypatch):
    address = "gs://anonymous@bucket/t.csv?endpoint_override=localhost:9&scheme=http&retry_limit_seconds=1"
    with pytest.raises(UserError, match=r"Google Cloud Storage refused[\s\S]*gcloud auth"):
        declared_facts(DataConfig(source=Source.file, path=address))  # what a training reads first
