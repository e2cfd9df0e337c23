"""Files that R wrote (they come with rdata), and vectors with R's attributes, written by rdata."""

from dataclasses import dataclass
from importlib.resources import files as package_files

import numpy as np
import pandas as pd
import pytest
import rdata
from rdata.conversion.to_r import DEFAULT_CLASS_MAP, ConverterFromPythonToR, build_r_object
from rdata.parser import RObjectType

from churn.config.data import DataConfig
from churn.data.sources import files
from churn.errors import UserError


@dataclass
class Vector:
    """A vector with attributes, as `attributes(x)` shows them in R."""

    cells: np.ndarray
    attributes: dict


def build_vector(data, converter):
    kind = RObjectType.INT if data.cells.dtype.kind == "i" else RObjectType.REAL
    attributes = converter.convert_to_r_attributes(data.attributes)
    return build_r_object(kind, value=data.cells, is_object=True, attributes=attributes)


def build_frame(data, converter):
    columns = data.columns
    labels = np.ma.array([-(2**31), -len(columns["id"].cells)], mask=[True, False], dtype=np.int32)
    attributes = {
        "names": np.array(list(columns)),
        "class": np.array(["data.table", "data.frame"]),
        "row.names": labels,
    }
    return build_r_object(
        RObjectType.VEC,
        value=[converter.convert_to_r_object(column) for column in columns.values()],
        is_object=True,
        attributes=converter.convert_to_r_attributes(attributes),
    )


class Frame:
    """Vectors by name; no dictionary, which rdata would write as a list."""

    def __init__(self, **columns):
        self.columns = columns


def write(path, frame, file_type="rds"):
    converter = ConverterFromPythonToR(
        constructor_dict=DEFAULT_CLASS_MAP | {Vector: build_vector, Frame: build_frame}
    )
    rdata.unparser.unparse_file(
        path, converter.convert_to_r_data(frame, file_type=file_type), file_type=file_type
    )
    return path


def read(path, **keys):
    return files.read_files(DataConfig(path=str(path), **keys))


def of_class(cells, kind, **attributes):
    return Vector(np.array(cells), {"class": np.array(kind), **attributes})


MISSING = np.iinfo(np.int32).min
FRAME = Frame(
    id=of_class(np.array([2**60 + 1, -1, np.iinfo(np.int64).min]).view(np.float64), ["integer64"]),
    day=of_class([19753.0, np.nan, -1.0], ["Date"]),
    whole_day=of_class(np.array([19753, MISSING, -1], np.int32), ["IDate", "Date"]),
    time=of_class([86400.5, np.nan, -0.5], ["POSIXct", "POSIXt"]),
    plan=of_class(np.array([2, 1, MISSING], np.int32), ["factor"], levels=np.array(["basic", "plus"])),
    size=of_class(np.array([3, 1, 2], np.int32), ["ordered", "factor"], levels=np.array(["S", "M", "L"])),
    waited=of_class([48.0, np.nan, 12.0], ["difftime"], units=np.array(["hours"])),
)


def test_what_r_keeps_in_attributes_is_read(tmp_path):
    raw = read(write(tmp_path / "t.rds", FRAME))
    frame = raw.frame
    assert frame["id"].tolist() == [2**60 + 1, -1, pd.NA]
    for name in ("day", "whole_day"):
        assert frame[name].tolist() == [pd.Timestamp("2024-01-31"), pd.NaT, pd.Timestamp("1969-12-31")], name
    assert frame["time"].tolist() == [pd.Timestamp("1970-01-02"), pd.NaT, pd.Timestamp("1969-12-31 23:59:59")]
    assert frame["plan"].fillna("").tolist() == ["plus", "basic", ""]
    assert frame["size"].tolist() == ["L", "S", "M"]
    np.testing.assert_array_equal(frame["waited"], [2, np.nan, 0.5])
    assert (raw.unit, raw.lines.tolist()) == ("row", [1, 2, 3])


def test_of_several_data_frames_one_is_named(tmp_path):
    path = write(tmp_path / "t.rda", {"june": FRAME, "july": FRAME, "note": np.array(["hello"])}, "rda")
    with pytest.raises(UserError, match=r"which table[\s\S]*'june', 'july'"):
        read(path)
    assert len(read(path, table="july").frame) == 3


@pytest.mark.parametrize("name", ["test_dataframe.rda", "test_dataframe.rds"])
def test_files_that_r_itself_wrote_are_read(name):
    path = package_files("rdata.tests") / "data" / name
    frame = read(path).frame
    assert frame["class"].tolist() == ["a", "b", "b"]
    assert frame["value"].tolist() == [1, 2, 3]


def test_row_names_that_are_texts_are_a_column(tmp_path):
    frame = pd.DataFrame({"x": [1.5, 2]}, index=pd.Index(["a", "b"], dtype=object))
    rdata.write_rds(tmp_path / "t.rds", frame)
    assert read(tmp_path / "t.rds").frame.to_dict("list") == {"rownames": ["a", "b"], "x": [1.5, 2]}


def test_what_holds_no_data_frame_is_refused(tmp_path):
    rdata.write_rds(tmp_path / "t.rds", [1, 2])
    with pytest.raises(UserError, match="which table"):
        read(tmp_path / "t.rds")
    (tmp_path / "u.rds").write_bytes(b"X\n\x00\x00\x00\x03nothing")
    with pytest.raises(UserError, match="R's file cannot be read"):
        read(tmp_path / "u.rds")
