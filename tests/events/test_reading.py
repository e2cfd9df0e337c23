"""Tables as companies have them: every oddity ends in one message or in one counted finding."""

import gzip
import re
import zipfile
from dataclasses import replace
from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.config.events import ChurnKind, EventsConfig, EventTable
from churn.errors import UserError
from churn.events import workspace
from churn.events.checks import check_definition
from churn.events.definition import from_json, to_json
from churn.events.findings.tables import history_findings, table_findings
from churn.events.report import make_snapshot
from churn.events.scoring import _check_freshness
from churn.events.times import parse_times
from events.conftest import CUTOFFS, day, definition, rows_at, shop, write_shop


def as_text(folder, frame, name="orders", **options):
    """The table as a text file, and a definition that reads it."""
    frame.to_csv(folder / f"{name}.csv", index=False, **options)
    cfg = definition(folder, ChurnKind.cancelled)
    spec = cfg.tables[name]
    spec.path = f"{name}.csv"
    spec.delimiter = options.get("sep")
    return cfg


def findings(cfg):
    """The titles of what was found."""
    with workspace.open_workspace(cfg) as work:
        return [finding.title for finding in table_findings(work)]


def test_text_gives_the_same_rows_as_parquet(shop_folder, shop_rows):
    expected = shop_rows(ChurnKind.cancelled)
    pd.testing.assert_frame_equal(rows_at(as_text(shop_folder, shop()["orders"])), expected)
    german = as_text(shop_folder, shop()["orders"], sep=";", decimal=",")
    german.tables["orders"].decimal = ","
    pd.testing.assert_frame_equal(rows_at(german), expected)


@pytest.mark.parametrize(
    ("text", "time", "zoned"),
    [
        ("2024-05-31", "2024-05-31", False),
        ("2024-05-31 22:30", "2024-05-31 22:30", False),
        ("2024-05-31T22:30:15.25", "2024-05-31 22:30:15.25", False),
        ("2024-05-31T22:30:15+02:00", "2024-05-31 20:30:15", True),
        ("2024-05-31 22:30:15Z", "2024-05-31 22:30:15", True),
        ("2024-05-31T22:30:15.000-0500", "2024-06-01 03:30:15", True),
        ("2024-06-01 00:30:00+02", "2024-05-31 22:30", True),
        ("2024-05-31 22:30:00.5 -05", "2024-06-01 03:30:00.5", True),
        ("20240531T223000+02", "2024-05-31 20:30", True),
        ("2024-05-31 22:30:15 UTC", "2024-05-31 22:30:15", True),
        ("31.05.2024", "2024-05-31", False),
        ("31.05.2024 7:05", "2024-05-31 07:05", False),
        ("05/31/2024 17:05:09", "2024-05-31 17:05:09", False),
        ("1717194600", "2024-05-31 22:30", True),
        ("1717194600000", "2024-05-31 22:30", True),
        ("1717194600000000", "2024-05-31 22:30", True),
        ("yesterday", None, False),
        ("31.05.2024 noon", None, False),
        ("2024-13-01", None, False),
        ("20240531", "2024-05-31", False),
        ("202405311705", "2024-05-31 17:05", False),
        ("20240531170509", "2024-05-31 17:05:09", False),
    ],
)
def test_times_are_read_as_people_and_programs_write_them(text, time, zoned):
    found, has_zone = parse_times(pd.Series([text], dtype="str"))
    assert found[0] is pd.NaT if time is None else found[0] == pd.Timestamp(time)
    assert has_zone[0] == zoned


def test_unknown_times_and_numbers_are_one_message_with_their_lines(shop_folder):
    orders = shop()["orders"].astype({"at": str, "amount": object})
    orders.loc[3, "at"], orders.loc[5, "amount"] = "last Tuesday", "a lot"
    cfg = as_text(shop_folder, orders)
    with pytest.raises(UserError, match="2 rows cannot be read") as refused:
        rows_at(cfg)
    assert "line 5, column 'at': 'last Tuesday' is not a time" in str(refused.value)
    assert "line 7, column 'amount': 'a lot' is not a number" in str(refused.value)
    assert "events.max_bad_rows=2" in str(refused.value)
    cfg.max_bad_rows = 2
    assert "'orders': 2 rows left out" in findings(cfg)


def test_numbers_that_may_be_thousands_are_asked_about(shop_folder, tmp_path):
    """As `churn train` does; a definition that says it is believed, and so is the rest of a long table."""
    orders = shop()["orders"].astype({"items": int}).assign(amount=np.resize(["1.234", "950", ""], 1500))
    cfg = as_text(shop_folder, orders)
    with (
        pytest.raises(UserError, match=r"'1\.234' may be more than a thousand") as refused,
        workspace.open_workspace(cfg) as work,
    ):
        make_snapshot(work, tmp_path / "s.parquet", 0)
    points, commas = re.findall(r"events\.tables\.orders\.(?:thousands)='(.)'", str(refused.value))
    assert "events.tables.orders.decimal=','" in str(refused.value)
    spec = cfg.tables["orders"]
    for thousands, decimal, largest in ((points, ",", 1234), (commas, ".", 950)):
        spec.thousands, spec.decimal = thousands, decimal
        with workspace.open_workspace(cfg) as work:
            assert work.one("SELECT max(value_amount) FROM all_orders") == largest
            make_snapshot(work, tmp_path / "s.parquet", 0)
    cfg = as_text(shop_folder, pd.concat([orders, orders.head(1).assign(amount="12.5")]))
    with workspace.open_workspace(cfg) as work:
        make_snapshot(work, tmp_path / "s.parquet", 0)


def test_numbers_in_another_form_name_the_keys_to_set(shop_folder):
    orders = shop()["orders"].assign(amount=np.resize(["1.234,50", "950,00"], 1500))
    with pytest.raises(UserError) as refused:
        rows_at(as_text(shop_folder, orders))
    settings = "\"events.tables.orders.thousands='.'\" \"events.tables.orders.decimal=','\""
    assert refused.value.do == f"{settings}; or leave the rows out: events.max_bad_rows=1500"


@pytest.mark.parametrize(
    ("cell", "do"),
    [
        ("12,50", "correct them"),
        ("abc", "correct them"),
        ("1,250.50", "\"events.tables.orders.thousands=','\""),
    ],
)
def test_one_number_in_another_form_does_not_change_how_the_others_are_read(shop_folder, cell, do):
    orders = shop()["orders"].assign(amount=np.resize(["12.50", "8.75"], 1500))
    orders.loc[5, "amount"] = cell
    with pytest.raises(UserError, match="1 row cannot be read") as refused:
        rows_at(as_text(shop_folder, orders))
    assert refused.value.do.startswith(do)
    assert refused.value.do.endswith("; or leave the rows out: events.max_bad_rows=1")


@pytest.mark.parametrize(
    ("cells", "decimal", "settings"),
    [
        (["1.234"] * 14 + ["1.234,50"], ".", "thousands='.' decimal=','"),
        (["-1.234"] * 14 + ["1.234,50"], ".", "thousands='.' decimal=','"),
        (["1.234", "950", "12,50"], ".", "decimal=','"),
        (["1.234", "950", "1.234", "1.234.567,00"], ".", "thousands='.' decimal=','"),
        (["12.50", "1,250", "3"], ".", "thousands=','"),
        (["1.250,00"] * 14 + ["1,250.50"], ",", ""),
        (["12,50"] * 14 + ["1,250.50"], ",", ""),
        (["1,250.50", "950.00"], ",", "thousands=',' decimal='.'"),
    ],
)
def test_whole_thousands_say_nothing_of_the_decimal_mark(shop_folder, cells, decimal, settings):
    """Nor is a mark advised for thousands that is the decimal mark of the others."""
    cfg = as_text(shop_folder, shop()["orders"].assign(amount=np.resize(cells, 1500)))
    cfg.tables["orders"].decimal = decimal
    if cells[0] == "1.250,00":
        cfg.tables["orders"].thousands = "."
    with pytest.raises(UserError, match="cannot be read") as refused:
        rows_at(cfg)
    advice = refused.value.do.partition("; ")[0]
    assert advice.replace('"', "").replace("events.tables.orders.", "") == (settings or "correct them")


def test_a_cell_that_is_no_number_does_not_say_that_points_are_decimal_marks(shop_folder, tmp_path):
    orders = shop()["orders"].assign(amount=np.resize(["1.234", "950"], 1500), items=1)
    orders.loc[5, "amount"] = "abc"
    cfg = as_text(shop_folder, orders)
    cfg.max_bad_rows = 1
    with (
        pytest.raises(UserError, match=r"'1\.234' may be more than a thousand"),
        workspace.open_workspace(cfg) as work,
    ):
        make_snapshot(work, tmp_path / "s.parquet", 0)


def test_times_without_a_zone_beside_times_with_one_are_refused(shop_folder):
    orders = shop()["orders"].astype({"at": str})
    orders.loc[10:12, "at"] = "2024-05-31T22:30:00Z"
    with pytest.raises(UserError, match=r"mixes 3 times with a zone \(line 12: .*\) and 1,497 without"):
        rows_at(as_text(shop_folder, orders))


def test_a_column_that_is_not_there_is_named_with_the_nearest(shop_folder):
    cfg = definition(shop_folder)
    cfg.tables["orders"].values = ["amout"]
    with pytest.raises(UserError, match="there is no column 'amout'; did you mean 'amount'"):
        rows_at(cfg)


def test_oddities_are_counted(shop_folder):
    tables = shop()
    orders = tables["orders"]
    orders.loc[:4, "who"] = "stranger"
    orders.loc[5:6, "at"] = pd.Timestamp("1900-01-01")
    orders.loc[7, "who"] = None
    orders.loc[8, "known"] = orders.loc[8, "at"] - pd.Timedelta(days=3)
    orders = pd.concat([orders, orders.iloc[20:24]])
    tables["contracts"].loc[0, "to"] = tables["contracts"].loc[0, "from"] - pd.Timedelta(days=5)
    write_shop(shop_folder, {**tables, "orders": orders})
    found = "\n".join(findings(definition(shop_folder, ChurnKind.cancelled)))
    for told in (
        "'orders': 5 events of unknown customers left out",
        "'orders': 3 rows without a customer, or without a time between 1970 and 2200",
        "'orders': 4 exact copies of other events kept",
        "'orders': 1 event with an arrival before its time",
        "'orders': one event in a hundred arrives 20 days late",
        "with a negative 'amount', as of refunds",
        "'contracts': 1 contract with an end before the beginning",
        "with a later one of the same customer before its end",
    ):
        assert told in found, found


def test_copies_of_an_event_count_once_where_times_have_a_time_of_day(shop_folder, shop_rows):
    orders, once = shop()["orders"], shop_rows(ChurnKind.cancelled)
    write_shop(shop_folder, {"orders": pd.concat([orders, orders.iloc[::3]])})
    cfg = definition(shop_folder, ChurnKind.cancelled)
    cfg.tables["orders"].drop_copies = None
    pd.testing.assert_frame_equal(rows_at(cfg), once)
    assert "'orders': 500 exact copies of other events dropped" in findings(cfg)


@pytest.mark.parametrize("as_days", [lambda at: at.dt.date, lambda at: at.dt.normalize()])
def test_copies_stay_where_times_are_days(shop_folder, as_days):
    orders = shop()["orders"]
    orders["at"] = as_days(orders["at"])
    write_shop(shop_folder, {"orders": pd.concat([orders, orders.iloc[::3]])})
    cfg = definition(shop_folder, ChurnKind.cancelled)
    cfg.tables["orders"].drop_copies = None
    with workspace.open_workspace(cfg) as work:
        assert work.cfg.tables["orders"].drop_copies is False


@pytest.mark.parametrize("as_text_file", [True, False])
@pytest.mark.parametrize("written_in", ["UTC", "Europe/Berlin"])
def test_copies_stay_where_times_are_midnights_in_utc_or_on_the_local_clock(
    tmp_path, written_in, as_text_file
):
    midnights = pd.to_datetime(["2024-03-01"] * 3 + ["2024-04-02"]).tz_localize(written_in)
    orders = pd.DataFrame({"who": "c001", "at": midnights})
    write_shop(tmp_path, {**shop(), "orders": orders})
    cfg = definition(tmp_path, ChurnKind.cancelled, timezone="Europe/Berlin")
    cfg.tables["orders"] = EventTable(path="orders.parquet", customer="who", time="at")
    if as_text_file:
        orders.assign(at=[f"{time:%Y-%m-%dT%H:%M:%S%z}" for time in midnights]).to_csv(tmp_path / "o.csv")
        cfg.tables["orders"].path = "o.csv"
    with workspace.open_workspace(cfg) as work:
        assert work.one("SELECT count(*) FROM all_orders") == 4


def test_properties_without_a_date_are_said_to_look_into_the_future(shop_folder):
    cfg = definition(shop_folder)
    cfg.properties["plans"].since = None
    assert "the columns of 'plans' have no date from which they hold" in findings(cfg)
    assert rows_at(cfg, CUTOFFS[:1])["plans_plan"].notna().any()


def test_years_of_birth_with_two_digits_are_said_to_lie_ahead(shop_folder):
    plans = shop()["plans"].assign(birth="31.05.75")
    plans.loc[3:5, "birth"] = "31.05.65"
    cfg = definition(shop_folder)
    plans.to_csv(shop_folder / "plans.csv", index=False)
    cfg.properties["plans"].path = "plans.csv"
    assert "'plans': 3 dates of 'birth' more than 20 years ahead" in findings(cfg)


@pytest.mark.parametrize("form", ["%d.%m.%Y %H:%M", "%m/%d/%y %H:%M"])
def test_the_order_of_days_and_months_is_that_of_the_whole_column(shop_folder, form):
    """As of daily files, of which some have no day above 12."""
    orders = shop()["orders"]
    orders["at"] = orders["at"].dt.floor("min")
    write_shop(shop_folder, {"orders": orders})
    cfg = definition(shop_folder)
    expected = rows_at(cfg)
    (shop_folder / "daily").mkdir()
    for number, (_, part) in enumerate(orders.groupby(orders["at"].dt.day)):
        part = part.assign(at=part["at"].dt.strftime(form))
        part.to_csv(shop_folder / "daily" / f"{number:02}.csv", index=False)
    cfg.tables["orders"].path = "daily"
    pd.testing.assert_frame_equal(rows_at(cfg), expected)


@pytest.mark.parametrize(
    ("files", "day_first"),
    [
        ([["31.01.2024"], ["01/31/2024"], ["03/02/2024"]], None),
        ([["03/02/2024"], ["31.01.2024"], ["02/25/2024"]], None),
        ([["01/25/2024", "02/26/2024", "31/01/2024"], ["03/02/2024"]], None),
        ([["03/02/2024", "13/13/2024"]], None),
        ([["03/02/2024"], ["13/13/2024", "25/01/2024"]], True),
        ([["03/02/2024"], ["99/01/2024"], ["01/25/2024"]], False),
        ([["03/02/2024"], ["31/02/2024", "29/02/2023", "31/04/24"]], None),
        ([["03/02/2024"], ["31/02/2024"], ["01/25/2024"]], False),
    ],
)
def test_days_and_months_are_told_apart_only_by_dates_that_do_not_contradict(shop_folder, files, day_first):
    """Nor by what is no date, nor by which file comes first."""
    (shop_folder / "parts").mkdir()
    for number, dates in enumerate(files):
        rows = {"who": "c001", "at": dates, "amount": 1}
        pd.DataFrame(rows).to_csv(shop_folder / "parts" / f"{number}.csv", index=False)
    cfg = definition(shop_folder, max_bad_rows=3)
    cfg.tables["orders"] = EventTable(path="parts", customer="who", time="at", values=["amount"])
    if day_first is None:
        with pytest.raises(UserError, match="may begin with the day or the month"):
            findings(cfg)
        return
    with workspace.open_workspace(cfg) as work:
        days = {found for (found,) in work.rows("SELECT day FROM all_orders")}
    assert days == {day("2024-02-03" if day_first else "2024-03-02"), day("2024-01-25")}


def test_many_files_of_one_table_are_one_table(shop_folder, shop_rows):
    orders = shop()["orders"]
    (shop_folder / "parts").mkdir()
    for number in range(3):
        orders.iloc[number::3].to_parquet(shop_folder / "parts" / f"{number}.parquet", index=False)
    cfg = definition(shop_folder)
    cfg.tables["orders"].path = "parts"
    pd.testing.assert_frame_equal(rows_at(cfg), shop_rows(), rtol=1e-5)


def pack(file):
    """A zip archive of a file, in its place."""
    with zipfile.ZipFile(file.with_suffix(".zip"), "w") as archive:
        archive.write(file, file.name)
    file.unlink()


def pack_by_gzip(file):
    """A file compressed, in its place."""
    file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    file.unlink()


def as_other_types(file):
    """A Parquet file with other types of the same values."""
    table = pq.read_table(file)
    kinds = {"who": pa.large_string(), "at": pa.timestamp("ms"), "items": pa.int32()}
    fields = [pa.field(field.name, kinds.get(field.name, field.type)) for field in table.schema]
    pq.write_table(table.cast(pa.schema(fields)), file)


@pytest.mark.parametrize("change", [pack, pack_by_gzip, as_other_types])
def test_parts_of_a_table_may_be_packed_or_of_other_types(shop_folder, shop_rows, change):
    orders = shop()["orders"]
    (shop_folder / "parts").mkdir()
    for number in range(2):
        orders.iloc[number::2].to_parquet(shop_folder / "parts" / f"{number}.parquet", index=False)
    change(shop_folder / "parts" / "1.parquet")
    cfg = definition(shop_folder)
    cfg.tables["orders"].path = "parts"
    pd.testing.assert_frame_equal(rows_at(cfg), shop_rows(), rtol=1e-5)


def test_a_column_may_be_in_the_names_of_folders(shop_folder, shop_rows):
    orders = shop()["orders"]
    for level, part in orders.groupby("channel", dropna=False):
        folder = (
            shop_folder / "parts" / f"channel={'__HIVE_DEFAULT_PARTITION__' if pd.isna(level) else level}"
        )
        folder.mkdir(parents=True)
        part.drop(columns="channel").to_parquet(folder / "0.parquet", index=False)
    cfg = definition(shop_folder)
    cfg.tables["orders"].path = "parts"
    pd.testing.assert_frame_equal(rows_at(cfg), shop_rows(), rtol=1e-5)
    for file in (shop_folder / "parts").glob("*/*"):  # a column of the file comes before one of its folder
        pd.read_parquet(file).assign(channel="web").to_parquet(file, index=False)
    assert (rows_at(cfg)["orders_channel_levels_30d"] <= 1).all()


def test_a_folder_is_no_pattern_of_others(tmp_path, shop_rows):
    for name in ("[a] b", "a b"):
        (tmp_path / name).mkdir()
        write_shop(tmp_path / name, shop(seed=len(name)))
    write_shop(tmp_path / "[a] b", shop())
    pd.testing.assert_frame_equal(rows_at(definition(tmp_path / "[a] b")), shop_rows())


def test_another_column_may_differ_only_in_capitals(shop_folder, shop_rows):
    orders = shop()["orders"]
    orders.insert(0, "Amount", 7.0)
    write_shop(shop_folder, {"orders": orders})
    pd.testing.assert_frame_equal(rows_at(definition(shop_folder)), shop_rows())


def test_an_infinite_number_in_parquet_is_refused_as_in_text(shop_folder):
    orders = shop()["orders"]
    orders.loc[3, "amount"] = np.inf
    write_shop(shop_folder, {"orders": orders})
    with pytest.raises(UserError, match=r"line 4, column 'amount': 'inf' is not a number"):
        rows_at(definition(shop_folder))


@pytest.mark.parametrize(
    "write",
    [lambda at: at.dt.strftime("%Y%m%d").astype(int), lambda at: at.dt.normalize().astype("int64") // 10**6],
)
def test_numbers_in_parquet_may_be_dates_or_seconds(shop_folder, write):
    orders = shop()["orders"].astype({"at": "datetime64[us]"})
    write_shop(shop_folder, {"orders": orders.assign(at=orders["at"].dt.normalize())})
    expected = rows_at(definition(shop_folder))
    write_shop(shop_folder, {"orders": orders.assign(at=write(orders["at"]))})
    pd.testing.assert_frame_equal(rows_at(definition(shop_folder)), expected)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda file: file.write_bytes(b""), "the file is empty"),
        (lambda file: file.write_bytes(file.read_bytes()[:-200]), "the file is damaged"),
        (lambda file: shop()["orders"].iloc[:0].to_parquet(file), "no row of orders has a customer"),
        (lambda file: file.unlink(), "there is no such file"),
    ],
)
def test_a_table_that_is_none_ends_in_one_message(shop_folder, tmp_path, spoil, says):
    spoil(shop_folder / "orders.parquet")
    with pytest.raises(UserError, match=says), workspace.open_workspace(definition(shop_folder)) as work:
        make_snapshot(work, tmp_path / "s.parquet", 0)
    assert not (tmp_path / "s.parquet").exists()


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_table_beside_others_may_have_no_rows(shop_folder, form, capsys):
    orders, cfg = shop()["orders"].iloc[:0], definition(shop_folder, ChurnKind.cancelled)
    getattr(orders, f"to_{form}")(shop_folder / f"orders.{form}", index=False)
    cfg.tables["orders"].path = f"orders.{form}"
    found = rows_at(cfg)
    assert len(found) > 60
    assert (found["orders_count_30d"] == 0).all()
    with workspace.open_workspace(cfg) as work:
        titles = [finding.title for finding in history_findings(work, [day(CUTOFFS[-1])])]
        _check_freshness(work, day(CUTOFFS[-1]))
    assert titles == ["'orders' has no event before the last cut-off"]
    assert capsys.readouterr().out == "! 'orders' has no event before the cut-off 2024-08-01\n"


def test_properties_without_a_row_are_said(shop_folder, capsys):
    plans, cfg = shop()["plans"].iloc[:0], definition(shop_folder)
    plans.to_parquet(shop_folder / "plans.parquet", index=False)
    assert "'plans' has no row that can be used" in findings(cfg)
    with workspace.open_workspace(cfg) as work:
        _check_freshness(work, day(CUTOFFS[-1]))
    assert capsys.readouterr().out == "! 'plans' has no row that can be used\n"


def test_a_file_that_is_damaged_inside_is_said_to_be(shop_folder):
    file = shop_folder / "orders.parquet"
    content = bytearray(file.read_bytes())
    content[200:5000] = bytes(4800)
    file.write_bytes(content)
    with pytest.raises(UserError, match="a file cannot be read or written"):
        rows_at(definition(shop_folder))


def test_a_file_that_cannot_be_synced_is_one_message(shop_folder):
    with (
        pytest.raises(UserError, match="a file cannot be read or written"),
        workspace.open_workspace(definition(shop_folder)),
    ):
        raise duckdb.FatalException("FATAL Error: fsync failed!")  # the words of DuckDB 1.4


def test_too_little_memory_is_said(shop_folder):
    with pytest.raises(UserError, match="DuckDB needs more memory"):
        rows_at(definition(shop_folder, memory_gb=0.004))


def test_typed_parquet_is_read_as_the_other_formats_are(tmp_path):
    at = pd.to_datetime(["2024-05-10", "2024-05-11", "2024-05-12"])
    orders = pd.DataFrame(
        {"who": ["7", "7", "8"], "at": at, "amount": [14.0, None, 3.0], "paid": ["True"] * 3}
    )
    cfg = definition(tmp_path)
    cfg.tables["orders"] = EventTable(
        path="orders.csv", customer="who", time="at", values=["amount"], only={"paid": ["True"]}
    )
    cfg = replace(cfg, contracts={}, properties={})
    orders.to_csv(tmp_path / "orders.csv", index=False)
    expected = rows_at(cfg, CUTOFFS[:1], labelled=False)
    assert expected["orders_amount_sum_30d"].tolist() == [14, 3]
    cfg.tables["orders"].path = "orders.parquet"
    for changed in ({"who": [7.0, 7.0, 8.0]}, {"who": [" 7", "7 ", "8"]}, {"paid": [True] * 3}):
        table = pa.Table.from_pandas(orders.assign(**changed), preserve_index=False)
        nan = pa.array(np.array([14.0, np.nan, 3.0]))  # NumPy's arrays have NaN, where Arrow has nulls
        pq.write_table(table.set_column(2, "amount", nan), tmp_path / "orders.parquet")
        pd.testing.assert_frame_equal(rows_at(cfg, CUTOFFS[:1], labelled=False), expected)
    table = pa.Table.from_pandas(orders, preserve_index=False)
    money = pa.array([Decimal(14), None, Decimal(3)], pa.decimal128(38, 18))  # whose squares overflow
    pq.write_table(table.set_column(2, "amount", money), tmp_path / "orders.parquet")
    pd.testing.assert_frame_equal(rows_at(cfg, CUTOFFS[:1], labelled=False), expected)


SPELLINGS = {  # of the levels 1 and 0
    "text": {"1": "1", "0": "0"},
    "capitals": {"1": "TRUE", "0": "False"},
    "decimals": {"1": "1.000", "0": "0.0"},
    "booleans": {"1": True, "0": False},
    "numbers": {"1": 1, "0": 0},
}


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_level_has_one_spelling(shop_folder, spelling, form):
    """The same columns and values, also by levels and conditions that were written otherwise."""
    orders, cfg = shop()["orders"], definition(shop_folder)
    two = orders.assign(channel=orders["channel"].map({"web": "1", "app": "0"})).dropna(subset="channel")
    write_shop(shop_folder, {"orders": two})
    expected = rows_at(cfg)
    assert "orders_channel_share_0_30d" in expected
    two = two.assign(channel=two["channel"].map(SPELLINGS[spelling]))
    if form == "csv":
        two.to_csv(shop_folder / "orders.csv", index=False)
    write_shop(shop_folder, {"orders": two})
    cfg.tables["orders"].path = f"orders.{form}"
    pd.testing.assert_frame_equal(rows_at(cfg), expected)
    cfg.tables["orders"].levels = {"channel": ["False"]}
    named = rows_at(cfg).rename(columns=lambda name: name.replace("share_False", "share_0"))
    pd.testing.assert_frame_equal(named, expected)
    cfg.tables["orders"].only = {"channel": ["0.0", "1"]}
    pd.testing.assert_frame_equal(rows_at(cfg).set_axis(expected.columns, axis=1), expected)


@pytest.mark.parametrize("odd", ["1.0\t", "web\xa0", "#N/A", "\\N", " TRUE "])
def test_texts_of_parquet_are_levels_as_those_of_other_formats(shop_folder, odd):
    orders, cfg = shop()["orders"], definition(shop_folder)
    orders["channel"] = np.resize(["1", "web", odd, "app"], len(orders))
    write_shop(shop_folder, {"orders": orders})
    orders.to_csv(shop_folder / "orders.csv", index=False)
    typed = rows_at(cfg)
    cfg.tables["orders"].path = "orders.csv"
    pd.testing.assert_frame_equal(typed, rows_at(cfg))


@pytest.mark.parametrize(
    ("levels", "says"),
    [
        (["TRUE", "1", "x"], "2 levels named for 'channel' are one, spelled '1'"),
        (["#N/A", "x"], "'#N/A', named for 'channel', means missing"),
    ],
)
def test_levels_that_are_one_and_those_that_mean_missing_are_refused(tmp_path, levels, says):
    """Also where a bundle names them, which learnt from them when they were several."""
    cfg = definition(tmp_path)
    cfg.tables["orders"].levels = {"channel": levels}
    with pytest.raises(UserError, match=says):
        check_definition(from_json(to_json(cfg), EventsConfig()))
    cfg.tables["orders"].levels = {"channel": ["True", "x"]}
    check_definition(cfg)


@pytest.mark.parametrize("names", [("order", "people", "ages"), ("left", "orders", "t3")])
def test_tables_may_be_called_like_words_of_sql_and_tables_of_ours(shop_folder, shop_rows, names):
    cfg = definition(shop_folder)
    orders, contracts, plans = names
    cfg = replace(
        cfg,
        tables={orders: cfg.tables["orders"]},
        contracts={contracts: cfg.contracts["contracts"]},
        properties={plans: cfg.properties["plans"]},
        churn=replace(cfg.churn, table=orders),
    )
    expected = shop_rows()
    expected.columns = expected.columns.str.replace("^orders_", f"{orders}_", regex=True)
    expected.columns = expected.columns.str.replace("^plans_", f"{plans}_", regex=True)
    pd.testing.assert_frame_equal(rows_at(cfg), expected)


def test_names_that_differ_only_in_capitals_are_refused(tmp_path):
    cfg = definition(tmp_path)
    cfg.tables["Contracts"] = cfg.tables["orders"]
    cfg.tables["orders"] = replace(cfg.tables["orders"], values=["amount", "Amount"])
    with pytest.raises(UserError) as refused:
        check_definition(cfg)
    assert "several tables are called 'contracts', capitals or not" in str(refused.value)
    assert "two columns would be called 'orders_amount_sum_7d', capitals or not" in str(refused.value)


def test_a_condition_that_no_row_meets_is_said(shop_folder):
    cfg = definition(shop_folder, ChurnKind.cancelled)
    cfg.tables["orders"].only = {"channel": ["WEB"]}
    assert "'orders': no row meets the condition of `only`" in findings(cfg)
