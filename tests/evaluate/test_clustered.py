"""Intervals hold the truth as often as they say, also where a customer has several rows."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from churn.evaluate.bootstrap import jeffreys_interval
from churn.evaluate.clustered import auc_interval, effective_rows, mean_interval, share_interval

CUSTOMER = np.arange(100).repeat(12)


def test_the_auc_and_its_interval_are_delong_s():
    random = np.random.default_rng(0)
    churned = (random.random(500) < 0.4).astype(int)
    probability = np.round(expit(random.normal(churned, 1)), 2)  # with ties
    auc = auc_interval(churned, probability, np.arange(500))
    assert auc.value == pytest.approx(roc_auc_score(churned, probability))
    drawn = []
    for _ in range(400):
        rows = random.integers(500, size=500)
        drawn.append(roc_auc_score(churned[rows], probability[rows]))
    assert auc.high - auc.low == pytest.approx(2 * 1.96 * np.std(drawn), rel=0.15)


def test_the_interval_of_a_mean_holds_the_true_mean_in_95_of_100_samples():
    samples, customer = np.random.default_rng(0).exponential(size=(600, 300)), np.arange(300)
    holds = [one.low <= 1 <= one.high for one in (mean_interval(each, customer) for each in samples)]
    assert 0.92 < np.mean(holds) < 0.97


def test_the_error_of_a_mean_of_few_customers_has_one_degree_of_freedom_less():
    found = mean_interval(np.array([1.0, 2, 4, 8, 10]), np.arange(5))
    assert found.high - found.value == pytest.approx(1.96 * np.std([1, 2, 4, 8, 10], ddof=1) / np.sqrt(5))
    assert np.isnan(mean_interval(np.array([1.0, 2]), np.zeros(2, int)).low), "of one customer it is unknown"


def test_twelve_rows_of_a_customer_make_no_interval_narrower():
    random, holds = np.random.default_rng(0), []
    z = random.normal(size=1_000_000)
    y = random.random(len(z)) < expit(z)
    auc = roc_auc_score(y, z)
    for sample in np.split(random.permutation(len(z))[: 300 * 100], 300):
        found = auc_interval(y[sample].repeat(12), z[sample].repeat(12), CUSTOMER)
        mean = mean_interval(z[sample].repeat(12), CUSTOMER)
        share = share_interval(z[sample].repeat(12) < 1, CUSTOMER)
        holds.append(
            [one.low <= truth <= one.high for one, truth in ((found, auc), (mean, 0), (share, 0.8413))]
        )
    assert np.mean(holds, axis=0) == pytest.approx([0.95] * 3, abs=0.035)


def test_copies_of_rows_leave_the_interval_of_the_auc_as_it_is():
    random, once = np.random.default_rng(0), np.arange(100)
    y, z = np.arange(100) % 3 == 0, random.normal(size=100)
    alone, copied = auc_interval(y, z, once), auc_interval(y.repeat(12), z.repeat(12), CUSTOMER)
    assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high))


def test_rows_of_one_customer_each_count_and_copies_do_not():
    hits = np.arange(100) % 4 == 0
    assert effective_rows(hits, np.arange(100)) == pytest.approx(100)
    assert effective_rows(hits.repeat(12), CUSTOMER) == pytest.approx(99, abs=0.1)
    assert effective_rows(np.ones(1_200), CUSTOMER) == 100
    found = share_interval(hits, np.arange(100))
    assert (found.low, found.high) == pytest.approx(jeffreys_interval(25, 100))


def test_rows_never_count_as_more_than_they_are():
    hits = np.append(np.tile([1, 0], 99), [1, 1])  # nearly all customers have one hit and one miss
    assert effective_rows(hits, np.arange(100).repeat(2)) == 200


def test_customers_who_left_and_stayed_with_one_probability_add_no_error_to_the_auc():
    z, customer = np.random.default_rng(0).normal(size=100).repeat(2), np.arange(100).repeat(2)
    found = auc_interval(np.tile([1, 0], 100), z, customer)
    assert (found.low, found.high) == pytest.approx((0.5, 0.5))


def test_the_interval_of_a_share_of_none_begins_at_none_and_of_all_ends_at_all():
    none, all_ = (share_interval(np.full(100, hit), np.arange(100)) for hit in (0, 1))
    assert none.value == none.low == 0 < none.high < 0.03
    assert 0.97 < all_.low < all_.high == all_.value == 1
    low, high = jeffreys_interval(np.array([0, 1, 10]), 10)
    assert (low[0], high[2]) == (0, 1)
    assert 0 < low[1] < 0.1 < high[1]
    assert np.isnan(jeffreys_interval(np.nan, 0)).all()


@pytest.mark.parametrize("customers", [1, 2, 7])
def test_customers_with_equal_shares_of_hits_count_and_their_rows_do_not(customers):
    hits, customer = np.tile(np.arange(40) % 5 < 2, customers), np.arange(customers).repeat(40)
    assert effective_rows(hits, customer) == customers
