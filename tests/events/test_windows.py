"""The features say what was known of the time before a cut-off: compared with loops over plain lists."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.config.events import ChurnKind, EventTable
from churn.errors import UserError
from churn.events.duck import snapshot_parts
from churn.events.names import feature_roles
from churn.events.workspace import open_workspace
from events.conftest import CUTOFFS, day, definition, rows_at, shop, write_shop


def expected_features(orders, cutoff, windows):
    """The features of one customer, the slow way."""
    seen = orders[(orders["at"] < cutoff) & (orders["known"].dt.normalize() < cutoff)]
    age = (cutoff - seen["at"].dt.normalize()).dt.days
    found = {}
    if (near := seen[age <= 2 * max(windows)]).empty:
        found["recency"] = math.nan
    else:
        found["recency"] = (cutoff - near["at"].dt.floor("s").max()).total_seconds() / 86400
    for days in windows:
        part, before = seen[age <= days], seen[(age > days) & (age <= 2 * days)]
        found[f"count_{days}d"] = len(part)
        found[f"count_change_{days}d"] = len(part) - len(before)
        times = part["at"].sort_values()
        found[f"gap_{days}d"] = times.diff().dt.total_seconds().mean() / 86400 if len(part) > 1 else math.nan
        for column in ("amount", "items"):
            found[f"{column}_sum_{days}d"] = part[column].sum()
            found[f"{column}_sum_change_{days}d"] = part[column].sum() - before[column].sum()
            found[f"{column}_mean_{days}d"] = part[column].mean()
            found[f"{column}_std_{days}d"] = part[column].std()
        for level in ("app", "shop", "web"):
            found[f"channel_share_{level}_{days}d"] = (
                (part["channel"] == level).mean() if len(part) else math.nan
            )
        levels = part["channel"].dropna().where(part["channel"].dropna() != "phone", "other")
        found[f"channel_levels_{days}d"] = levels.nunique()
        found[f"product_distinct_{days}d"] = part["product"].nunique()
    return found


@pytest.mark.parametrize(("seed", "windows"), [(0, [7, 30]), (1, [5, 20, 30])])
def test_features_are_what_loops_over_the_events_find(tmp_path, seed, windows):
    """Also where the window before one reaches beyond the longest."""
    tables = shop(seed, customers=25, events=700)
    write_shop(tmp_path, tables)
    cfg = definition(tmp_path, ChurnKind.cancelled, windows=windows)
    found = rows_at(cfg)
    assert len(found) > 30
    for row in found.to_dict("records"):
        own = tables["orders"][tables["orders"]["who"] == row["customer"]]
        for name, value in expected_features(own, row["cutoff"], cfg.windows).items():
            np.testing.assert_allclose(
                row[f"orders_{name}"], value, rtol=1e-5, atol=1e-5, err_msg=f"{name}: {row}"
            )


def test_names_that_are_alike_do_not_mix_their_numbers(shop_folder, shop_rows):
    """Columns called like sums of the query, and levels that differ only in capitals."""
    new = {"amount": "before", "items": "before_before"}
    orders = pd.read_parquet(shop_folder / "orders.parquet").rename(columns=new)
    orders.replace({"channel": {"app": "WEB"}}).to_parquet(shop_folder / "orders.parquet")
    cfg = definition(shop_folder)
    cfg.tables["orders"].values = list(new.values())
    names = {"_items_": "_before_before_", "_amount_": "_before_"}
    names |= {"share_app": "share_WEB_0", "share_shop": "share_shop_1", "share_web": "share_web_2"}
    expected = shop_rows()
    for old, name in names.items():
        expected.columns = expected.columns.str.replace(old, name)
    pd.testing.assert_frame_equal(rows_at(cfg), expected)


def test_of_two_levels_one_says_all_and_of_the_two_most_frequent_of_many_both_stay(shop_folder):
    with open_workspace(definition(shop_folder, max_levels=2)) as work:
        assert work.cfg.tables["orders"].levels == {"channel": ["app", "web"]}
    orders = pd.read_parquet(shop_folder / "orders.parquet")
    orders[orders["channel"].isin(["app", "web"])].to_parquet(shop_folder / "orders.parquet")
    with open_workspace(definition(shop_folder, max_levels=2)) as work:
        assert work.cfg.tables["orders"].levels == {"channel": ["app"]}


def test_features_of_a_category_without_any_text_are_numbers_too(tmp_path):
    tables = shop()
    tables["orders"]["channel"] = None
    write_shop(tmp_path, tables)
    with open_workspace(definition(tmp_path)) as work:
        table = pa.concat_tables(snapshot_parts(work, [day(text) for text in CUTOFFS]))
    assert {str(table.schema.field(name).type) for name in feature_roles(work.cfg)["numeric"]} == {"float"}
    assert set(table["orders_channel_levels_30d"].to_pylist()) == {0.0}


def test_equal_values_have_no_spread_however_large_they_are(tmp_path):
    tables = shop()
    tables["orders"]["amount"] = 1234567.89
    write_shop(tmp_path, tables)
    found = rows_at(definition(tmp_path))
    spread = found["orders_amount_std_30d"].dropna()
    assert len(spread) > 50
    assert (spread == 0).all()


def test_many_equal_values_of_one_customer_have_no_spread(tmp_path):
    at = pd.date_range("2024-05-03", "2024-05-30", periods=250_000)
    write_shop(tmp_path, {**shop(), "orders": pd.DataFrame({"who": "c001", "at": at, "amount": 99.95})})
    cfg = definition(tmp_path, windows=[30], properties={})
    cfg.tables["orders"] = EventTable(path="orders.parquet", customer="who", time="at", values=["amount"])
    assert rows_at(cfg, CUTOFFS[:1], labelled=False)["orders_amount_std_30d"].tolist() == [0.0]


def test_a_small_spread_of_large_values_is_one(tmp_path):
    tables = shop()
    tables["orders"]["amount"] = 1e6 + np.arange(1500) % 2
    write_shop(tmp_path, tables)
    found = rows_at(definition(tmp_path)).query("orders_count_30d > 9")["orders_amount_std_30d"]
    assert len(found) > 10
    assert found.between(0.3, 0.6).all()


def test_a_small_spread_of_many_values_is_one(tmp_path):
    tables = shop()
    at = pd.date_range("2024-05-03", "2024-05-30", periods=5000).floor("s")
    orders = pd.concat([tables["orders"].iloc[:1]] * 5000, ignore_index=True)
    tables["orders"] = orders.assign(at=at, known=at, amount=20_000 + 0.05 * (np.arange(5000) % 2))
    write_shop(tmp_path, tables)
    found = rows_at(definition(tmp_path), CUTOFFS[:1], labelled=False)
    assert found["orders_amount_std_30d"].tolist() == pytest.approx([0.025], rel=0.05)


def test_the_spread_of_numbers_of_single_precision_is_exact(tmp_path):
    tables = shop()
    tables["orders"]["amount"] = np.float32(19.99)
    write_shop(tmp_path, tables)
    spread = rows_at(definition(tmp_path))["orders_amount_std_30d"].dropna()
    assert len(spread) > 50
    assert (spread == 0).all()


@pytest.mark.parametrize("kind", [pa.decimal256(50, 10), pa.decimal256(39, 9)])
def test_decimals_that_duckdb_misreads_are_right(tmp_path, kind):
    """DuckDB 1.4.5 reads decimals of more than 38 digits in Parquet as other numbers, without a word."""
    tables = shop()
    tables["orders"]["amount"] = np.arange(1500) % 16 / 4
    write_shop(tmp_path, tables)
    expected = rows_at(definition(tmp_path))
    orders = pq.read_table(tmp_path / "orders.parquet")
    at = orders.schema.get_field_index("amount")
    numbers = orders["amount"].cast(kind)
    pq.write_table(orders.set_column(at, "amount", numbers), tmp_path / "orders.parquet")
    pd.testing.assert_frame_equal(rows_at(definition(tmp_path)), expected)


def test_an_infinite_number_of_16_bits_is_refused(tmp_path):
    tables = shop()
    tables["orders"]["amount"] = np.where(np.arange(1500) == 7, np.inf, 2).astype(np.float16)
    write_shop(tmp_path, tables)
    with pytest.raises(UserError, match=r"line 8, column .amount.: .inf. is not a number"):
        rows_at(definition(tmp_path))


def test_nothing_that_happens_or_arrives_from_the_cutoff_on_changes_a_feature(tmp_path):
    tables = shop()
    write_shop(tmp_path, tables)
    before = rows_at(definition(tmp_path), CUTOFFS[:1], labelled=False)
    cutoff = pd.Timestamp(CUTOFFS[0])
    orders, plans = tables["orders"], tables["plans"]
    later = orders["at"] >= cutoff
    orders.loc[later, "at"] += pd.to_timedelta(np.arange(later.sum()) % 40, unit="D")
    orders.loc[later, "amount"] = 1e6
    orders.loc[later, "known"] = orders.loc[later, "at"]
    late = ~later & (orders["known"] >= cutoff)
    assert late.sum() > 5
    orders.loc[late, ["amount", "channel"]] = [1e6, "web"]
    orders = pd.concat([orders, orders[later].assign(product="new")])
    plans.loc[plans["since"] >= cutoff, "fee"] = 99.0
    write_shop(tmp_path, {**tables, "orders": orders, "plans": plans})
    pd.testing.assert_frame_equal(rows_at(definition(tmp_path), CUTOFFS[:1], labelled=False), before)


@pytest.mark.parametrize("arrival", ["known", None])
def test_an_event_in_the_last_second_before_the_cutoff_counts_and_none_from_it_on(tmp_path, arrival):
    tables, cfg = shop(), definition(tmp_path, ChurnKind.cancelled)
    columns = tables["orders"].iloc[0].to_dict()
    moments = pd.to_datetime(["2024-05-31 23:59:59", "2024-06-01 00:00:00", "2024-06-01 15:00:00"])
    tables["orders"] = pd.DataFrame([columns | {"who": "c000", "at": at, "known": at} for at in moments])
    begun = {"who": ["c000"], "from": [pd.Timestamp("2024-01-01")], "to": [pd.NaT]}
    write_shop(tmp_path, {**tables, "contracts": pd.DataFrame(begun)})
    orders = replace(cfg.tables["orders"], arrival=arrival)
    row = rows_at(replace(cfg, tables={"orders": orders}), CUTOFFS[:1], labelled=False).iloc[0]
    assert (row["orders_count_7d"], row["orders_count_30d"]) == (1, 1)
    assert row["orders_recency"] > 0


def test_the_day_begins_where_the_clock_hangs(tmp_path):
    tables = shop()
    columns = tables["orders"].iloc[0].to_dict()
    moment = pd.Timestamp("2024-05-31 22:30", tz="UTC")  # June has begun in Berlin
    tables["orders"] = pd.DataFrame([columns | {"who": "c000", "at": moment, "known": moment}])
    tables["contracts"] = pd.DataFrame(
        {"who": ["c000"], "from": [pd.Timestamp("2024-01-01")], "to": [pd.NaT]}
    )
    write_shop(tmp_path, tables)
    counts = {
        zone: rows_at(definition(tmp_path, ChurnKind.cancelled, timezone=zone), CUTOFFS[:1])[
            "orders_count_7d"
        ].iloc[0]
        for zone in ("UTC", "Europe/Berlin", "America/New_York")
    }
    assert counts == {"UTC": 1, "Europe/Berlin": 0, "America/New_York": 1}


def test_properties_are_those_that_held_before_the_cutoff(shop_rows):
    plans = shop()["plans"]
    found = shop_rows(ChurnKind.cancelled)
    for row in found.to_dict("records"):
        own = plans[(plans["who"] == row["customer"]) & (plans["since"] < row["cutoff"])]
        if own.empty or own["since"].duplicated().any():
            continue
        newest = own.sort_values("since").iloc[-1]
        np.testing.assert_equal(row["plans_fee"], np.float32(newest["fee"]))
        assert row["plans_plan"] == newest["plan"] or (pd.isna(row["plans_plan"]) and pd.isna(newest["plan"]))
        assert row["plans_birth"] == (row["cutoff"] - newest["birth"]).days


def test_the_rows_do_not_depend_on_how_many_customers_are_worked_on_at_a_time(
    shop_folder, shop_rows, monkeypatch
):
    monkeypatch.setattr("churn.events.duck.PART_ROWS", 21)
    pd.testing.assert_frame_equal(rows_at(definition(shop_folder, threads=2)), shop_rows())
