"""JSON as pandas, loggers and interfaces write it."""

import json

import numpy as np
import pandas as pd
import pytest

from churn.config.data import DataConfig
from churn.data.infer.cells import to_ids, to_numbers, to_text
from churn.data.sources import files
from churn.errors import UserError

ROWS = [
    {
        "id": "007",
        "number": 12345678901234567890,
        "months": 5,
        "fee": 29.85,
        "flag": True,
        "date": "2024-01-31",
    },
    {
        "id": "12345678901234567890",
        "number": 7,
        "months": None,
        "fee": 1,
        "flag": False,
        "date": "2024-02-01",
    },
    {"id": "x", "number": None, "months": 0, "fee": 2.5, "flag": None, "date": ""},
]
SMALL = [{key: value for key, value in row.items() if key != "number"} for row in ROWS]


def read(path, **keys):
    return files.read_files(DataConfig(path=str(path), **keys))


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def columns(rows):
    return json.dumps({name: {str(i): row[name] for i, row in enumerate(rows)} for name in rows[0]})


def split(rows):
    data = [list(row.values()) for row in rows]
    return json.dumps({"columns": list(rows[0]), "index": list(range(len(rows))), "data": data})


WRITERS = {
    "lines": lines,
    "records": json.dumps,
    "indented": lambda rows: "\n" + json.dumps(rows, indent=2),
    "columns": columns,
    "split": split,
    "table": lambda rows: json.dumps({"schema": {"fields": []}, "data": rows}),
    "one list": lambda rows: json.dumps({"count": len(rows), "customers": rows}),
    "lists": lambda rows: json.dumps({name: [row[name] for row in rows] for name in rows[0]}),
    "index": lambda rows: json.dumps({str(i): row for i, row in enumerate(rows * 4)}),
}


@pytest.mark.parametrize("rows", [ROWS, SMALL], ids=["large numbers", "plain"])
@pytest.mark.parametrize("layout", WRITERS)
def test_every_layout_gives_the_same_cells(tmp_path, layout, rows):
    (tmp_path / "t.json").write_text(WRITERS[layout](rows))
    frame = read(tmp_path / "t.json").frame[:3]
    assert list(frame) == list(rows[0])
    assert to_ids(frame["id"]).tolist() == ["007", "12345678901234567890", "x"]
    assert to_text(frame["flag"]).tolist() == ["1", "0", ""]
    assert to_text(frame["date"]).tolist() == ["2024-01-31", "2024-02-01", ""]
    assert to_text(frame["months"]).tolist() == ["5", "", "0"]
    assert to_numbers(frame["fee"], DataConfig())[0].tolist() == [29.85, 1, 2.5]
    if "number" in frame:
        assert to_ids(frame["number"]).tolist() == ["12345678901234567890", "7", ""]


@pytest.mark.parametrize("number", [1, 2**70])
@pytest.mark.parametrize("layout", WRITERS)
def test_nan_is_a_missing_cell_and_infinity_is_none(tmp_path, layout, number):
    fees = {"a": 0.5, "b": float("nan"), "c": float("inf")}
    rows = [{"id": id, "number": number, "fee": fee} for id, fee in fees.items()]
    (tmp_path / "t.json").write_text(WRITERS[layout](rows))
    numbers, wrong, too_large = to_numbers(read(tmp_path / "t.json").frame[:3]["fee"], DataConfig())
    assert (numbers[0], np.isnan(numbers[1]), too_large[2], wrong.any()) == (0.5, True, True, False)


def test_half_of_a_character_is_a_question_mark(tmp_path):
    (tmp_path / "t.json").write_text(r'[{"id": "a\ud83d", "x": 1}, {"id": "b", "x": 2}]')
    assert read(tmp_path / "t.json").frame["id"].tolist() == ["a?", "b"]


@pytest.mark.parametrize("orient", ["records", "columns", "split", "index"])
def test_what_pandas_writes_is_read(tmp_path, orient):
    frame = pd.DataFrame(
        {"id": [f"c{i}" for i in range(9)], "months": range(9), "fee": [i + 0.5 for i in range(9)]}
    )
    frame.to_json(tmp_path / "t.json", orient=orient)
    found = read(tmp_path / "t.json").frame
    assert to_numbers(found["fee"], DataConfig())[0].tolist() == frame["fee"].tolist()
    assert found["id"].tolist() == frame["id"].tolist()
    frame.set_index("id").to_json(tmp_path / "u.json", orient=orient)
    if orient != "records":  # which leaves the index out
        assert read(tmp_path / "u.json").frame["index"].tolist() == frame["id"].tolist()


def test_lines_are_read_in_chunks_and_numbered(tmp_path):
    rows = [{"id": f"c{i}", "x": i if i != 7 else "many"} for i in range(10)]
    text = lines(rows[:5]) + "\n" + lines(rows[5:])
    (tmp_path / "t.jsonl").write_text(text)
    pieces = list(files.raw_tables(str(tmp_path / "t.jsonl"), DataConfig(), rows=4))
    assert [len(piece.frame) for piece in pieces] == [4, 3, 3]
    assert [line for piece in pieces for line in piece.lines] == [1, 2, 3, 4, 5, 7, 8, 9, 10, 11]
    assert pieces[0].unit == "line"
    assert to_text(read(tmp_path / "t.jsonl").frame["x"]).tolist() == [str(row["x"]) for row in rows]


@pytest.mark.parametrize("start", ["\n", " \n\r\n\n"])
def test_blank_lines_before_the_first_object_are_counted_and_skipped(tmp_path, start):
    path = tmp_path / "t.jsonl"
    path.write_text(start + lines(ROWS))
    assert read(path).frame["id"].tolist() == [row["id"] for row in ROWS]
    path.write_text(start + lines(ROWS) + "{\n")
    with pytest.raises(UserError, match=f"line {start.count(chr(10)) + len(ROWS) + 1}"):
        read(path)


def test_a_field_that_some_lines_leave_out_is_missing_there(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"id": "a", "x": 1}\n{"id": "b"}\n')
    assert to_text(read(tmp_path / "t.jsonl").frame["x"]).tolist() == ["1", ""]
    (tmp_path / "t.jsonl").write_text('{"id": "a"}\n' * 3 + '{"id": "b", "x": 1}\n')
    assert to_text(read(tmp_path / "t.jsonl").frame["x"]).tolist() == ["", "", "", "1"]
    with pytest.raises(UserError, match=r"'x' is in no earlier line[\s\S]*after line 3"):
        list(files.raw_tables(str(tmp_path / "t.jsonl"), DataConfig(), rows=2))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"id": 1}\n{"id": 2,}\n', r"no JSON[\s\S]*line 2"),
        ('[{"id": 1},\n{"id": }]', r"no JSON[\s\S]*line 2"),
        ("[[1, 2], [3, 4]]", "a row is no object"),
        ("[]", "no table"),
        ('{"id": {"a": [1]}, "x": {"a": 2}}', "nested columns"),
        ('{"columns": ["id", "x"], "data": [[1, 2], [3]]}', "do not fit"),
        ('{"id": [1, 2], "x": [3]}', "do not fit"),
        ('{"columns": [["id", "a"], ["id", "b"]], "data": [[1, 2]]}', "do not fit"),
        ("[" * 50_000, "nested too deeply"),
        (('{"a":' * 5_000 + "1" + "}" * 5_000 + "\n") * 2, "nested too deeply"),
        ('{"id": "a", "calls": [1, 2]}\n{"id": "b", "calls": []}\n', "nested columns"),
    ],
)
def test_what_is_no_json_table_is_refused_with_its_place(tmp_path, text, what):
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(UserError, match=what) as error:
        read(tmp_path / "t.json")
    assert "t.json" in str(error.value)


def test_compressed_and_other_encodings_of_json_are_read(tmp_path):
    import gzip

    (tmp_path / "t.json.gz").write_bytes(gzip.compress(lines(SMALL).encode()))
    (tmp_path / "u.json").write_bytes(json.dumps(SMALL).encode("utf-16"))
    (tmp_path / "v.json").write_bytes(b"\xef\xbb\xbf" + lines(SMALL).encode())
    for name in ("t.json.gz", "u.json", "v.json"):
        assert read(tmp_path / name).frame["id"].tolist() == ["007", "12345678901234567890", "x"]


def test_several_files_of_lines_are_one_table_with_fields_that_begin_later(tmp_path):
    for name in ("a", "b"):
        lines = [{"id": f"{name}1"}, {"id": f"{name}2", "x": 1}, {"id": f"{name}3", "x": "n/a"}]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    frame = read(tmp_path).frame
    assert frame["id"].tolist() == ["a1", "a2", "a3", "b1", "b2", "b3"]
    assert to_text(frame["x"]).tolist() == ["", "1", "n/a"] * 2


def test_lines_may_be_read_one_by_one(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"id": "a"}\n{"id": "b"}\n{"id": "c"}\n')
    pieces = list(files.raw_tables(str(tmp_path / "t.jsonl"), DataConfig(), rows=1))
    assert [piece.frame["id"].tolist() for piece in pieces] == [["a"], ["b"], ["c"]]
    assert [list(piece.lines) for piece in pieces] == [[1], [2], [3]]
