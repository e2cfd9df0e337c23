"""Labels and lists of ids are read as any other table, and a row that cannot be read is an error."""

import pandas as pd
import pytest

from churn.data.sources.side_files import read_ids, read_side_table
from churn.errors import UserError

IDS = {"1001", "1002"}


@pytest.mark.parametrize(
    "content",
    [
        b"customer\n1001\n1002\n",
        b"1001\n1002\n",
        b" 1001 \r\n\r\n1002\r\n",
        b"customer,name\n1001.0,a\n1002.0,b\n",
        "customer;Straße\n1001;Müller\n1002;Größe\n".encode("cp1252"),
        "customer\tname\n1001\tä\n1002\tb\n".encode("utf-16"),
        b"\xef\xbb\xbfcustomer,name\n1001,a\n1002,b\n",
        b'"customer","name"\n"1001","a, b"\n"1002","c"\n',
    ],
)
def test_a_list_of_ids_is_read_however_it_was_exported(tmp_path, content):
    (tmp_path / "ids.csv").write_bytes(content)
    assert read_ids(str(tmp_path / "ids.csv"), "customer", "score.do_not_contact") == IDS


def test_a_list_of_ids_may_be_typed_a_workbook_or_empty(tmp_path):
    frame = pd.DataFrame({"customer": [1001.0, 1002.0], "name": ["a", "b"]})
    frame.to_parquet(tmp_path / "ids.parquet")
    frame[:0].to_parquet(tmp_path / "none.parquet")
    frame.to_excel(tmp_path / "ids.xlsx", index=False)
    frame[["customer"]].astype(str).to_excel(tmp_path / "one.xlsx", index=False)
    (tmp_path / "none.csv").touch()
    for name, ids in (
        ("ids.parquet", IDS),
        ("none.parquet", set()),
        ("ids.xlsx", IDS),
        ("one.xlsx", IDS),
        ("none.csv", set()),
    ):
        assert read_ids(str(tmp_path / name), "customer", "score.do_not_contact") == ids


@pytest.mark.parametrize(
    ("content", "ids"),
    [("customer\n", set()), ("customer,why\n", set()), ("0042", {"0042"}), ('"0042"\n', {"0042"})],
)
def test_a_list_may_be_a_header_or_a_single_id(tmp_path, content, ids):
    (tmp_path / "ids.csv").write_text(content)
    assert read_ids(str(tmp_path / "ids.csv"), "customer", "score.do_not_contact") == ids


def test_the_header_of_another_table_is_no_list_of_ids(tmp_path):
    (tmp_path / "ids.csv").write_text("name,why\n")
    with pytest.raises(UserError, match="there is no column 'customer'"):
        read_ids(str(tmp_path / "ids.csv"), "customer", "score.do_not_contact")


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (
            "a,2026-03-31,0\nb,2026-03-31,0,9",
            r"the row has 4 cells, the header 3[\s\S]*line 3: b,2026-03-31,0,9",
        ),
        (
            "a,2026-03-31\nb,x,0,9\nc,2026-03-31,0",
            r"2 lines cannot be read[\s\S]*line 2: a,[\s\S]*line 3: b,",
        ),
    ],
)
def test_a_row_of_another_width_is_an_error_with_its_line(tmp_path, lines, says):
    (tmp_path / "labels.csv").write_text(f"customer_key,time,churned\n{lines}\n")
    with pytest.raises(UserError, match=says):
        read_side_table(str(tmp_path / "labels.csv"))
