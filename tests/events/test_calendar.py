"""Cut-offs, the history of silences, and seasons."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from churn.config.events import CutoffConfig, Step
from churn.errors import UserError
from churn.events.calendar import EPOCH, cutoff_days, decided_days, to_date, to_day
from churn.events.findings.labels import _seasons
from churn.events.silence import _estimate
from churn.events.writing import Contents


def days(step, first, last):
    return [str(to_date(day)) for day in cutoff_days(CutoffConfig(first, last, step), 0, 0)]


def test_cutoffs_are_firsts_of_months_mondays_or_all_days():
    assert days(Step.month, "2024-01-15", "2024-04-01") == ["2024-02-01", "2024-03-01", "2024-04-01"]
    assert days(Step.week, "2024-02-26", "2024-03-12") == ["2024-02-26", "2024-03-04", "2024-03-11"]
    assert days(Step.day, "2024-02-28", "2024-03-01") == ["2024-02-28", "2024-02-29", "2024-03-01"]


def test_no_cutoff_in_a_range_and_none_that_is_decided_are_refused():
    with pytest.raises(UserError, match="there is no first of a month between 2024-01-02 and 2024-01-31"):
        days(Step.month, "2024-01-02", "2024-01-31")
    with pytest.raises(UserError, match="the first cut-off, 2024-02-01, would be after the last, 2024-01-01"):
        days(Step.month, "2024-02-01", "2024-01-01")
    with pytest.raises(UserError, match="the outcome of no cut-off is known yet"):
        decided_days([to_day("2024-12-01", "")], to_day("2024-11-12", ""))


def test_days_and_dates_are_each_other():
    assert to_day("1970-01-02", "") == 1
    assert to_date(to_day("2024-02-29", "")) == date(2024, 2, 29)
    assert to_date(0) == EPOCH


def test_the_share_that_comes_back_is_kaplan_and_meiers():
    """Of ten silences five end after one day, two are censored after two, three end after three."""
    found = _estimate("t", censored=np.array([0, 0, 2, 0.0]), returned=np.array([0, 5, 0, 3.0]))
    np.testing.assert_allclose(found.come_back, [1, 1, 1, 1])
    found = _estimate("t", censored=np.array([0, 0, 2, 3.0]), returned=np.array([0, 5, 0, 0.0]))
    np.testing.assert_allclose(found.come_back, [0.5, 0.5, 0, 0])
    assert found.at_risk.tolist() == [10, 10, 5, 3]
    many = _estimate("t", censored=np.array([0, 0, 200, 300.0]), returned=np.array([0, 500, 0, 0.0]))
    assert many.stable_from == 2


def test_a_day_of_silence_counts_as_an_end_only_where_thirty_silences_lasted_so_long():
    censored, returned = np.zeros(101), np.zeros(101)
    returned[[1, 5, 40]], censored[[50, 100]] = (70, 20, 5), (2, 3)
    found = _estimate("orders", censored, returned)
    assert found.at_risk[[1, 2, 6, 41]].tolist() == [100, 30, 10, 5]
    assert found.come_back[[2, 6, 41]] == pytest.approx([25 / 30, 5 / 10, 0])
    assert found.stable_from is None
    assert _estimate("orders", 10 * censored, 10 * returned).stable_from == 41


def season(rate):
    """Contents with a cut-off a month over two years."""
    contents = Contents()
    for cutoff in pd.date_range("2023-01-01", periods=24, freq="MS"):
        contents.by_cutoff[str(cutoff.date())] = [1000, int(1000 * rate(cutoff.month))]
    return [finding.title for finding in _seasons(contents)]


def test_seasons_are_named_and_chance_is_not():
    assert season(lambda month: 0.1 + 0.08 * (month == 12)) == [
        "the base rate depends on the time of the year"
    ]
    assert season(lambda month: 0.1 + 0.005 * (month % 2)) == []
