"""ARFF files, written by liac-arff and as Weka has them."""

import arff
import numpy as np
import pytest

from churn.config.data import DataConfig
from churn.data.sources import files
from churn.errors import UserError

WEKA = """% a comment
@RELATION 'churn data'
@attribute 'customer id' string
@attribute months numeric
@ATTRIBUTE plan {basic, 'plus more'}
@attribute since date "yyyy-MM-dd"
@attribute left {yes,no}

@DATA
'007', 5, basic, "2024-01-31", yes
x, ?, 'plus more', ?, no
% between
y, 2.5, ?, "2024-02-01", no
"""


def read(path, **keys):
    return files.read_files(DataConfig(path=str(path), **keys))


def test_an_arff_file_keeps_texts_numbers_and_missing_cells(tmp_path):
    (tmp_path / "t.arff").write_text(WEKA)
    frame = read(tmp_path / "t.arff").frame
    assert list(frame) == ["customer id", "months", "plan", "since", "left"]
    assert frame["customer id"].tolist() == ["007", "x", "y"]
    np.testing.assert_array_equal(frame["months"], [5, np.nan, 2.5])
    assert frame["plan"].fillna("").tolist() == ["basic", "plus more", ""]
    assert frame["since"].fillna("").tolist() == ["2024-01-31", "", "2024-02-01"]
    assert frame["left"].tolist() == ["yes", "no", "no"]


def test_what_liac_arff_writes_is_read_in_chunks(tmp_path):
    data = [[f"c{i}", i / 2, "a" if i % 2 else None] for i in range(7)]
    attributes = [("id", "STRING"), ("x", "REAL"), ("plan", ["a", "b"])]
    (tmp_path / "t.arff").write_text(arff.dumps({"relation": "r", "attributes": attributes, "data": data}))
    pieces = list(files.raw_tables(str(tmp_path / "t.arff"), DataConfig(), rows=3))
    assert [len(piece.frame) for piece in pieces] == [3, 3, 1]
    assert [cell for piece in pieces for cell in piece.frame["x"]] == [row[1] for row in data]


def test_a_mistake_is_refused_with_its_text(tmp_path):
    (tmp_path / "t.arff").write_text(WEKA.replace("x, ?", "x, many, ?"))
    with pytest.raises(UserError, match="x, many, "):
        read(tmp_path / "t.arff")
