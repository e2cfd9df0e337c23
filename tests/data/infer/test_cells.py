import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from churn.config.data import DataConfig
from churn.data.infer.cells import (
    are_dates,
    has_lost_digits,
    parse_numbers,
    to_ids,
    to_numbers,
    to_text,
    to_times,
)
from churn.errors import UserError


@pytest.mark.parametrize(
    ("cells", "dtype", "expected"),
    [
        ([" a ", "", None], "str", ["a", "", ""]),
        ([" a ", np.nan, 1], object, ["a", "", "1"]),
        ([1.0, np.nan], "float64", ["1", ""]),
        ([1.5, np.nan], "float64", ["1.5", ""]),
        (["1.0", "-2.0", "2.0.0", "v1.0", "1.000"], "str", ["1", "-2", "2.0.0", "v1.0", "1"]),
        (["TRUE", "True", "true", "1", "1.0", "FALSE"], "str", ["1", "1", "1", "1", "1", "0"]),
        (["007", "1e+05", "\\N", "#N/A", "None"], "str", ["007", "1e+05", "", "", "None"]),
        ([1e300, np.inf], "float64", ["1e+300", "inf"]),
        ([2**60 + 1, None], "Int64", [str(2**60 + 1), ""]),
        ([True, None], "boolean", ["1", ""]),
        (["a", None], "category", ["a", ""]),
        (["a", None], pd.ArrowDtype(pa.string()), ["a", ""]),
    ],
)
def test_a_cell_has_one_text_whatever_type_its_source_gave_it(cells, dtype, expected):
    text = to_text(pd.Series(cells, dtype=dtype))
    assert text.tolist() == expected
    assert text.dtype == "str"


def test_texts_that_mean_missing_become_empty():
    assert to_text(pd.Series(["NA", "N", " - "]), DataConfig(missing=["NA", "-"])).tolist() == ["", "N", ""]
    for cells in (["-99", "-99.0", "1"], [-99, -99.0, 1]):
        for code in ("-99", "-99.0"):
            assert to_text(pd.Series(cells), DataConfig(missing=[code])).tolist() == ["", "", "1"]
            numbers, not_a_number, _ = to_numbers(pd.Series(cells), DataConfig(missing=[code]))
            np.testing.assert_array_equal(numbers, [np.nan, np.nan, 1])
            assert not not_a_number.any()


@pytest.mark.parametrize(
    ("text", "decimal", "thousands", "value"),
    [
        ("12", ".", None, 12),
        ("-.5", ".", None, -0.5),
        ("+5.", ".", None, 5),
        ("1e5", ".", None, 1e5),
        ("1,234,567.5", ".", ",", 1234567.5),
        ("950", ".", ",", 950),
        ("1.234,5", ",", ".", 1234.5),
        ("1 234", ".", " ", 1234),
        ("-inf", ".", None, -np.inf),
    ],
)
def test_a_number_is_read_in_the_configured_format(text, decimal, thousands, value):
    assert parse_numbers(pd.Series([text]), decimal, thousands) == [value]


@pytest.mark.parametrize("text", ["", "x", "1,5", "1_000", "0x10", "nan", "12,34.5", "1e", "1 2", "٣", "12%"])
@pytest.mark.parametrize("thousands", [None, ","])
def test_a_text_in_another_format_is_not_a_number(text, thousands):
    assert np.isnan(parse_numbers(pd.Series([text]), ".", thousands)).all()


def test_unusable_numbers_are_distinguished_from_missing_ones():
    numbers, not_a_number, too_large = to_numbers(
        pd.Series(["1", "", "?", "x", "1e30", "-inf"]), DataConfig(), {"?"}
    )
    np.testing.assert_array_equal(numbers, [1, np.nan, np.nan, np.nan, np.nan, np.nan])
    assert not_a_number.tolist() == [False, False, False, True, False, False]
    assert too_large.tolist() == [False, False, False, False, True, True]
    numbers, not_a_number, too_large = to_numbers(pd.Series([1, np.inf, np.nan, -1e30]), DataConfig())
    assert not not_a_number.any()
    assert too_large.tolist() == [False, True, False, True]


@pytest.mark.parametrize(
    "text",
    [
        "2025-01-31",
        "2025-01",
        "2025-01-31 10:00:00",
        "2025-01-31T10:00:00Z",
        "2025/01/31",
        "31.1.2025",
        "1/31/25",
        "31/01/2025 10:15 AM",
        "2025-01-31 10:15:00+02",
        "2025-01-31 10:15:00 UTC",
    ],
)
def test_dates_are_recognised_and_read(text):
    assert are_dates(pd.Series([text]))
    time, wrong = to_times(pd.Series([text]))
    assert time.astype("datetime64[M]") == np.datetime64("2025-01")
    assert not wrong.any()


def test_iso_times_are_read_beside_dates_in_another_form_and_wrong_ones():
    times, wrong = to_times(pd.Series(["2026-03-31T12:00:00.5Z", "13.4.26", "31.3.26x", ""], dtype="str"))
    assert times[:2].astype(str).tolist() == ["2026-03-31T12:00:00", "2026-04-13T00:00:00"]
    assert wrong.tolist() == [False, False, True, True]


def test_a_text_that_is_not_a_date_is_reported():
    assert not are_dates(pd.Series(["382-4657", "2025-01-31"]))
    assert to_times(pd.Series(["2025-01-31", "soon", ""]))[1].tolist() == [False, True, True]


def test_day_and_month_are_distinguished_by_all_dates_of_the_column_or_refused():
    assert to_times(pd.Series(["03/04/2025", "13/04/2025"]))[0][0] == np.datetime64("2025-04-03")
    assert to_times(pd.Series(["03/04/2025", "04/13/2025"]))[0][0] == np.datetime64("2025-03-04")
    with pytest.raises(UserError, match="'03/04/2025' may begin with the day or the month"):
        to_times(pd.Series(["03/04/2025", "05/06/2025"], name="joined"))


@pytest.mark.parametrize("form", ["%y-%m-%d", "%y-%m-%d 12:30"])
@pytest.mark.parametrize(("freq", "first"), [("D", "2024-01-01"), ("ME", "2023-01-31"), ("MS", "2019-01-01")])
def test_dates_that_may_begin_with_a_year_of_two_digits_are_refused(form, freq, first):
    dates = pd.Series(pd.date_range(first, periods=24, freq=freq).strftime(form), name="joined")
    with pytest.raises(UserError, match="may begin with the day or the year"):
        to_times(dates)


@pytest.mark.parametrize("form", ["%d.%m.%y", "%d/%m/%y", "%d-%m-%y"])
@pytest.mark.parametrize("freq", ["D", "11D", "ME"])
def test_days_before_months_and_years_of_two_digits_are_read(form, freq):
    dates = pd.Series(pd.date_range("2018-01-01", periods=24, freq=freq))
    assert pd.Series(to_times(dates.dt.strftime(form))[0]).equals(dates.astype("datetime64[s]"))


def test_true_and_false_are_one_and_zero_among_numbers():
    for cells in (["TRUE", "false", " True "], [True, False, True]):
        numbers, not_a_number, _ = to_numbers(pd.Series(cells), DataConfig())
        assert (numbers.tolist(), not_a_number.any()) == ([1, 0, 1], False)


def test_a_point_that_separates_thousands_is_no_decimal_mark():
    german = DataConfig(decimal=",", thousands=".")
    assert to_text(pd.Series(["1.000", "1,0", "2,000"]), german).tolist() == ["1.000", "1", "2"]
    assert to_numbers(pd.Series(["1.000", "1,5"]), german)[0].tolist() == [1000, 1.5]


@pytest.mark.parametrize(
    ("cells", "dtype", "expected"),
    [
        (["007", " 1001.0", "1001.00", "A-1.0", None], "str", ["007", "1001", "1001", "A-1.0", ""]),
        (["1e+05", "1.2e+06", "7e123456"], "str", ["100000", "1200000", "7e123456"]),  # as R writes 100000
        ([1001.0, np.nan], "float64", ["1001", ""]),
        ([2**63 - 1, None], "Int64", [str(2**63 - 1), ""]),
        (["true", "TRUE", "\\N"], "str", ["true", "TRUE", ""]),
    ],
)
def test_an_id_is_text_digit_for_digit(cells, dtype, expected):
    ids = pd.Series(cells, dtype=dtype)
    assert to_ids(ids).tolist() == expected
    assert not has_lost_digits(ids).any()


def test_ids_that_lost_digits_are_recognised():
    assert has_lost_digits(pd.Series(["8.94411E+18", "1,23457E+11", "12", ""])).tolist() == [
        True,
        True,
        False,
        False,
    ]
    assert has_lost_digits(pd.Series([2.0**53 + 2, 12, np.nan])).tolist() == [True, False, False]


@pytest.mark.parametrize("dtype", [np.float64, str])
def test_numbers_so_small_that_runtimes_disagree_about_them_are_zero(dtype):
    column = pd.Series([1e-40, -1e-31, 1e-29, 0.5, 1e-300]).astype(dtype)
    assert to_numbers(column, DataConfig())[0].tolist() == [0, 0, 1e-29, 0.5, 0]
