"""`churn monitor`: from a log to a report, a page, gauges and an exit code."""

import json
import os
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import compose_config
from doubles.bigquery import BigQuery, Table

from churn.data.id_hash import IdHash
from churn.errors import UserError
from churn.monitor.drift.alarm import STATUSES
from churn.monitor.history import read_history
from churn.monitor.period import Period
from churn.monitor.source import VERTEX_COLUMNS
from churn.monitor.stage import monitor
from churn.monitor.weekdays import leave_out_weekdays, weekday_columns
from churn.monitor.wording import describe_outcomes
from churn.vertex.cloud.deployment import Deployment

from .conftest import START, customers, log_table, probability, read_report


@pytest.fixture
def run_monitor(arguments):
    """A function that runs the monitor in this process, for a day."""
    return lambda day=0, *more: monitor(compose_config(*arguments(day, *more)))


def labels(path, outcomes, day=0, treated=None):
    """Labels of a day's customers: the churners left after ten days, the others were there after 30 days."""
    lines = ["customer_key,time,churned" + (",treated" if treated is not None else "")]
    for i, left in enumerate(outcomes):
        time = START + timedelta(days=day + (10 if left else 31))
        extra = "" if treated is None else f",{treated[i]}"
        lines.append(f"c{day}-{i},{time:%Y-%m-%dT%H:%M:%SZ},{left}{extra}")
    path.write_text("\n".join(lines) + "\n")
    return f"monitor.labels={path}"


def test_a_window_like_training_is_ok_and_a_changed_one_is_an_alarm(write_log, run_monitor, tmp_path):
    write_log(day=0)
    write_log(day=1, shift=12)
    run_monitor(0)
    assert read_report(tmp_path)["status"] == "ok"
    run_monitor(1)
    report = read_report(tmp_path)
    assert report["status"] == "alarm"
    assert next(iter(report["features"])) == "age"
    assert report["score"]["status"] == "alarm"
    past = read_history(tmp_path / "monitor" / "synthetic")
    assert [report["status"] for report in past] == ["ok", "alarm"]
    assert past[-1] == report
    assert report["rows"] == 1_000
    assert report["expected"]["churn_rate"] > past[0]["expected"]["churn_rate"] + 0.1


def test_it_does_not_import_tensorflow_and_ends_with_the_code_of_its_verdict(write_log, arguments, tmp_path):
    write_log(day=0, shift=12)
    script = (
        "import sys\nsys.argv[0] = 'churn'\nfrom churn.__main__ import main\n"
        "try: main()\nexcept SystemExit as end: code = end.code\n"
        "heavy = {'tensorflow', 'keras', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\nsys.exit(code)"
    )
    command = [sys.executable, "-c", script, "monitor", *arguments(0, "monitor.exit_code=true")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 11, done.stderr
    assert "ALARM" in done.stdout
    assert "age: " in done.stdout


def test_too_few_rows_are_a_status_of_their_own_and_no_error(write_log, run_monitor, tmp_path, capsys):
    write_log(day=0, rows=150, shift=12)
    run_monitor(0, "monitor.exit_code=true")
    assert "too few" in capsys.readouterr().out
    assert read_report(tmp_path)["status"] == "too few rows"


def test_answers_of_another_bundle_are_counted_and_left_out(write_log, run_monitor, tmp_path):
    write_log(day=0)
    write_log(day=1, digest="f" * 64, shift=20)
    run_monitor(1, "monitor.days=2")
    report = read_report(tmp_path)
    assert (report["rows"], report["other_bundles"], report["status"]) == (1_000, 1_000, "ok")


def test_late_labels_settle_old_predictions_and_reveal_a_change_of_behaviour(
    write_log, run_monitor, tmp_path
):
    outcomes = write_log(day=0, rows=3_000)
    write_log(day=60)
    run_monitor(60, labels(tmp_path / "right.csv", outcomes))
    right = read_report(tmp_path)
    assert right["rows"] == 1_000
    assert right["performance"]["rows"] == 3_000
    assert not right["performance"]["worse"]
    assert abs(right["performance"]["estimate_error"]["roc_auc"]) < 0.03
    changed = np.random.default_rng(0).permutation(outcomes)
    run_monitor(60, labels(tmp_path / "wrong.csv", changed))
    wrong = read_report(tmp_path)
    assert {"roc_auc", "calibration_slope"} <= set(wrong["performance"]["worse_in"])
    assert wrong["status"] == "alarm"
    assert all(drift["status"] == "ok" for drift in wrong["features"].values())


def test_labels_after_the_end_of_the_window_are_not_known_yet(write_log, run_monitor, tmp_path):
    outcomes = write_log(day=0)
    run_monitor(0, labels(tmp_path / "labels.csv", outcomes))
    assert read_report(tmp_path)["performance"] is None


def test_the_effect_of_calling_is_measured_by_decile(write_log, run_monitor, tmp_path):
    outcomes = write_log(day=0, rows=3_000)
    random = np.random.default_rng(99)
    treated = np.where(random.random(3_000) < 0.5, 1, 0)
    helped = outcomes * ~((treated == 1) & (random.random(3_000) < 0.5))
    write_log(day=60)
    run_monitor(60, labels(tmp_path / "labels.csv", helped, treated=treated))
    report = read_report(tmp_path)
    whole = report["treatment"]["effect"]
    assert whole["low"] < -0.5 * outcomes.mean() < whole["high"] < 0
    assert len(report["treatment"]["deciles"]) == 10
    effects = [part["effect"]["value"] for part in report["treatment"]["deciles"]]
    assert effects[9] < -0.2 < effects[0]
    assert not report["performance"]["worse"]  # called customers are left out
    assert "What calling does" in (tmp_path / "monitor" / "synthetic" / "report.html").read_text()


def test_calling_without_a_control_group_is_no_alarm_and_the_report_says_why(
    write_log, run_monitor, tmp_path, capsys
):
    outcomes, chance = write_log(day=0, rows=3_000), probability(customers(3_000, 100))
    treated = np.where(chance >= np.sort(chance)[-600], "1", "")
    write_log(day=60)
    run_monitor(60, labels(tmp_path / "labels.csv", outcomes, treated=treated))
    assert read_report(tmp_path)["status"] == "ok"
    why = "not compared with the test: too few control customers stand for those who were called"
    for text in (capsys.readouterr().out, (tmp_path / "monitor" / "synthetic" / "report.html").read_text()):
        assert why in text
        assert "worse than in the test" not in text


def test_one_answer_for_everybody_is_an_alarm_with_a_page_and_gauges(write_log, run_monitor, tmp_path):
    """As from a broken feed. The calibration slope, which the window before has, is not defined then."""
    outcomes, file = write_log(day=0), tmp_path / "log" / "00.parquet"
    write_log(day=60)
    run_monitor(60, labels(tmp_path / "labels.csv", outcomes))
    table = pq.read_table(file)
    number = table.column_names.index("outputs.churn_probability")
    same = pa.array(np.full(len(table), outcomes.mean()))
    pq.write_table(table.set_column(number, "outputs.churn_probability", same), file)
    run_monitor(60, f"monitor.labels={tmp_path / 'labels.csv'}", "monitor.days=2")
    report, folder = read_report(tmp_path), tmp_path / "monitor" / "synthetic"
    assert report["performance"]["calibration_slope"]["value"] is None
    assert (report["status"], report["performance"]["worse_in"]) == ("alarm", ["roc_auc"])
    gauges, page = ((folder / name).read_text() for name in ("churn.prom", "report.html"))
    assert 'churn_performance{metric="roc_auc",model="synthetic"} 0.5' in gauges
    assert "significantly worse in: roc auc" in page
    assert "<b>Calibration slope</b><span>not defined;" in page


class Tags(HTMLParser):
    """The open tags, the links and the number of bars of windows on a page."""

    def __init__(self):
        super().__init__()
        self.open, self.sources, self.bars = [], [], 0

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "br"):
            self.open.append(tag)
        self._count_bar(tag, attributes)
        self.sources += [value for name, value in attributes if name in ("src", "href")]

    def handle_startendtag(self, tag, attributes):
        self._count_bar(tag, attributes)

    def _count_bar(self, tag, attributes):
        self.bars += tag == "rect" and dict(attributes)["class"] in STATUSES

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_one_complete_file_with_all_windows(write_log, run_monitor, tmp_path):
    for day in (1, 0):  # the later window first
        write_log(day=day, shift=8 * day)
        run_monitor(day)
    text = (tmp_path / "monitor" / "synthetic" / "report.html").read_text()
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.sources == []
    assert tags.bars == 2 * 4  # two windows of three features and the score
    assert text.index("2026-03-01: PSI") < text.index("2026-03-02: PSI")  # windows end at midnight
    assert "2026-03-01 … 2026-03-02" in text
    assert text.index(">age: ") < text.index(">spend: ")


@pytest.mark.parametrize("name", ["report.json", "report.html"])
def test_files_of_others_in_the_folder_of_the_reports_stay(write_log, run_monitor, tmp_path, name):
    write_log(day=0)
    (tmp_path / name).write_text("<title>Churn: my training</title>")
    with pytest.raises(UserError, match="would be replaced, and is not from here"):
        run_monitor(0, f"monitor.dir={tmp_path}")
    assert (tmp_path / name).read_text() == "<title>Churn: my training</title>"
    assert not (tmp_path / "history.jsonl").exists()


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool, part of Prometheus, is not installed")
def test_prometheus_accepts_the_gauges(write_log, run_monitor, tmp_path):
    outcomes = write_log(day=0, rows=2_000)
    write_log(day=60, shift=6)
    run_monitor(60, labels(tmp_path / "labels.csv", outcomes))
    text = (tmp_path / "monitor" / "synthetic" / "churn.prom").read_text()
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'churn_drift_status{feature="age",model="synthetic"} 2.0' in text
    assert 'churn_performance{metric="roc_auc",model="synthetic"}' in text


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("monitor.log=nowhere", "there is no log"),
        ("monitor.labels=nowhere.csv", "there is no such file"),
        ("monitor.until=yesterday", "'yesterday' is no time"),
        ("monitor.until=0001-01-01", "'0001-01-01' is no time"),
        ("monitor.since=2027-01-01", "ends before it begins"),
    ],
)
def test_a_log_or_labels_that_cannot_be_read_are_the_user_s_error(write_log, run_monitor, override, message):
    write_log()
    with pytest.raises(UserError, match=message):
        run_monitor(0, override)


@pytest.fixture
def service(tmp_path, monkeypatch):
    for name in ("GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    with BigQuery() as double:
        key = tmp_path / "account.json"
        key.write_text(json.dumps(double.account()))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", double.url)
        yield double


def test_vertex_ais_table_in_bigquery_is_read_like_the_server_s_log(
    watched, arguments, service, tmp_path, capsys
):
    frame = customers(600, 5)
    instances = [
        json.dumps({"age": row.age, "spend": -1e31 if np.isnan(row.spend) else row.spend, "plan": row.plan,
                    "customer_key": f"c0-{i}"})
        for i, row in enumerate(frame.itertuples())
    ]  # fmt: skip
    answers = [
        json.dumps({"churn_probability": p, "churn": 0, "customer_key": ""}) for p in probability(frame)
    ]
    moment = START + timedelta(hours=3)
    own = Deployment.from_config(compose_config()).deployed_id(watched)
    ids = [own] * 300 + ["9"] * 299 + [None]  # `churn deploy` chose the first, somebody else the others
    rows = [(ids[i], moment, str(i), [instances[i]], [answers[i]]) for i in range(600)]
    rows.append((own, moment, "600", [instances[0]], []))  # without an answer
    other = [("1234567890", moment, f"other {i}", [instances[0]], [answers[0]]) for i in range(200)]
    schema = {
        "deployed_model_id": "STRING",
        "logging_time": "TIMESTAMP",
        "request_id": "STRING",
        "request_payload": "STRING REPEATED",
        "response_payload": "STRING REPEATED",
    }
    sql = (
        f"SELECT {VERTEX_COLUMNS} FROM `p.d.serving_predict` WHERE logging_time >= "
        "TIMESTAMP '2026-03-01 00:00:00+00' AND logging_time < TIMESTAMP '2026-03-02 00:00:00+00'"
    )
    service.page = 250
    service.queries[sql] = Table(schema, other[:50] + rows + other[50:])
    monitor(compose_config(*arguments(0, "monitor.log=bq://p.d.serving_predict")))
    report = read_report(tmp_path)
    assert (report["rows"], report["other_bundles"], report["status"]) == (600, 200, "ok")
    assert report["features"]["spend"]["missing"][1] == pytest.approx(0.02)
    assert datetime.fromisoformat(report["from"]) == START
    assert "bq://p.d.serving_predict: 1 request without an answer" in capsys.readouterr().err
    service.queries[sql] = Table(schema, [])
    monitor(compose_config(*arguments(0, "monitor.log=bq://p.d.serving_predict")))
    assert read_report(tmp_path)["status"] == "too few rows"
    service.queries[sql] = Table(schema, other)
    with pytest.raises(UserError, match=r"is this bundle in this container[\s\S]*serving=NAME"):
        monitor(compose_config(*arguments(0, "monitor.log=bq://p.d.serving_predict")))


def test_labels_may_lie_in_bigquery(service, write_log, run_monitor, tmp_path):
    outcomes = write_log(day=0)
    write_log(day=60)
    schema = {"customer_key": "STRING", "time": "TIMESTAMP", "churned": "BOOL"}
    rows = [
        (f"c0-{i}", START + timedelta(days=10 if left else 31), bool(left)) for i, left in enumerate(outcomes)
    ]
    service.queries["SELECT * FROM `p.d.labels`"] = Table(schema, rows)
    run_monitor(60, "monitor.labels=bq://p.d.labels")
    assert read_report(tmp_path)["performance"]["rows"] == 1_000


def write_rows(tmp_path, watched, frame, day, keys):
    """The log of a day, with these customers."""
    (tmp_path / "log").mkdir(exist_ok=True)
    table = log_table(frame, watched.digest, day=day)
    table = table.set_column(table.column_names.index("customer_key"), "customer_key", pa.array(keys))
    pq.write_table(table, tmp_path / "log" / f"{day:02}.parquet")


def test_an_unseen_text_is_shown_only_if_several_customers_share_it(watched, run_monitor, tmp_path):
    frame = customers(400, 7)
    frame.loc[:4, "plan"] = "gold"
    frame.loc[10:13, "plan"] = [f"Jane Doe {i}" for i in range(4)]
    write_rows(tmp_path, watched, frame, 0, [f"c{i}" for i in range(400)])
    run_monitor(0)
    assert read_report(tmp_path)["unseen_levels"] == {"plan": {"gold": 5}}
    assert read_report(tmp_path)["features"]["plan"]["unseen"] == pytest.approx(9 / 400)
    written = [file.read_text() for file in (tmp_path / "monitor").rglob("*") if file.is_file()]
    assert len(written) == 4
    assert not any("Jane Doe" in text for text in written)


def test_hashed_ids_of_the_log_meet_the_plain_ids_of_labels(watched, run_monitor, tmp_path):
    frame, keys = customers(400, 7), [f"c0-{i}" for i in range(400)]
    hash_id = IdHash(os.environ["CHURN_ID_KEY"].encode())
    write_rows(tmp_path, watched, frame, 0, [*map(hash_id, keys[:200]), *keys[200:]])  # half as they came
    outcomes = (np.random.default_rng(0).random(400) < probability(frame)).astype(int)
    write_rows(tmp_path, watched, frame, 35, [""] * 400)
    run_monitor(35, labels(tmp_path / "labels.csv", outcomes))
    assert read_report(tmp_path)["labels"]["settled"] == 400


def test_ids_hashed_by_another_key_are_named_as_such_and_no_id_is_shown(watched, run_monitor, tmp_path):
    keys = list(map(IdHash(b"the key of another machine, or lost"), (f"c0-{i}" for i in range(400))))
    write_rows(tmp_path, watched, customers(400, 7), 0, keys)
    with pytest.raises(UserError, match="another key has hashed 400 of 400 ids") as refused:
        run_monitor(35, labels(tmp_path / "labels.csv", [0, 1]))
    assert "c0-" not in str(refused.value)


def test_a_customer_who_is_asked_every_day_counts_once_in_a_window(watched, run_monitor, tmp_path):
    frame = customers(250, 7)
    for day in range(7):
        write_rows(tmp_path, watched, frame, day, [f"c{i}" for i in range(250)])
    run_monitor(6, "monitor.days=7")
    report = read_report(tmp_path)
    assert (report["rows"], report["repeated"], report["status"]) == (250, 6 * 250, "ok")


def test_requests_without_a_key_all_count(watched, run_monitor, tmp_path):
    write_rows(tmp_path, watched, customers(400, 7), 0, [""] * 400)
    run_monitor(0)
    assert (read_report(tmp_path)["rows"], read_report(tmp_path)["repeated"]) == (400, 0)


def test_predictions_with_open_windows_are_counted_and_said(write_log, run_monitor, tmp_path, capsys):
    outcomes = write_log(day=0, rows=2_000)
    write_log(day=20, rows=300)
    write_log(day=35)
    path = labels(tmp_path / "labels.csv", outcomes)
    early = [
        f"c20-{i},{START + timedelta(days=25):%Y-%m-%dT%H:%M:%SZ},1" for i in range(300)
    ]  # all of them left
    file = tmp_path / "labels.csv"
    file.write_text(file.read_text() + "\n".join(early) + "\n")
    run_monitor(35, path)
    report = read_report(tmp_path)
    counts = {"open": 1_300, "unlabelled": 0, "settled": 2_000, "left": int(outcomes.sum())}
    assert report["labels"] == {"horizon": 30, "closed_until": "2026-04-01T23:59:59+00:00", **counts}
    assert report["performance"]["rows"] == 2_000
    assert report["performance"]["churn_rate"] == pytest.approx(outcomes.mean())
    assert report["status"] == "ok"
    said = "1,300 predictions wait: the labels reach to 2026-04-01T23:59, the outcome windows further"
    assert said in capsys.readouterr().out
    assert said in (tmp_path / "monitor" / "synthetic" / "report.html").read_text()


def test_labels_of_leavers_only_close_no_window_and_the_monitor_says_so(
    write_log, run_monitor, tmp_path, capsys
):
    outcomes = write_log(day=0, rows=500)
    write_log(day=60)
    path = tmp_path / "labels.csv"
    labels(path, outcomes)
    leavers = [line for line in path.read_text().splitlines() if not line.endswith(",0")]
    path.write_text("\n".join(leavers) + "\n")
    run_monitor(60, f"monitor.labels={path}")
    assert read_report(tmp_path)["performance"] is None
    assert "the labels name nobody who stayed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        ({"settled": 900}, ["900 settled predictions, 0 of them left: too few to measure the performance"]),
        ({"settled": 1, "left": 1}, ["1 settled prediction, 1 of them left: too few"]),
        ({"open": 1, "unlabelled": 1}, ["1 prediction waits:", "1 prediction with a closed window, but"]),
        ({}, []),
    ],
)
def test_what_the_labels_do_not_say_is_said(counts, says):
    none = {"closed_until": "2026-04-01T00:00:00+00:00", "open": 0, "unlabelled": 0, "settled": 0, "left": 0}
    known = {"horizon": 60}
    after, *lines = describe_outcomes({"labels": known | none | counts, "performance": None})
    assert after == "an outcome is known 60 days after a prediction (data.horizon)"
    assert len(lines) == len(says)
    assert all(line.startswith(said) for line, said in zip(lines, says, strict=True))


def test_labels_measure_the_windows_that_were_closed_in_the_last_days(write_log, run_monitor, tmp_path):
    """With a horizon as long as `label_days`, too: the predictions are older than that."""
    left = write_log(day=0)
    write_log(day=45)
    days = [f"c0-{i},{START + timedelta(days=10 if gone else 45):%F},{gone}" for i, gone in enumerate(left)]
    (tmp_path / "labels.csv").write_text("\n".join(["customer_key,time,churned", *days]))
    run_monitor(45, f"monitor.labels={tmp_path / 'labels.csv'}", "data.horizon=40", "monitor.label_days=40")
    assert read_report(tmp_path)["labels"]["settled"] == 1_000


def test_a_period_is_in_utc_whatever_zone_it_was_typed_in():
    typed = Period.of(compose_config("monitor.until=2027-07-01T01:00+02:00").monitor)
    assert typed.until.isoformat() == "2027-06-30T23:00:00+00:00"


def test_columns_of_weekdays_are_compared_over_whole_weeks_only():
    levels = dict.fromkeys(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], 100)
    number = {"edges": [2.0], "counts": [1, 1], "missing": 0, "lowest": 0.0, "highest": 6.0}
    profile = {
        "numeric": {"dow": number, "dayOfWeek": number, "month": number, "dowry": number},
        "categorical": {"day": levels, "plan": {"Mon": 1, "basic": 2}, "weekday": {"1": 5, "7": 5}},
    }
    assert weekday_columns(profile) == ["dow", "dayOfWeek", "day", "weekday"]
    for days, left_out in ((7, 0), (1, 4), (10, 4), (14, 0)):
        kept, notes = leave_out_weekdays(profile, Period(START, START + timedelta(days=days)))
        assert len(kept["numeric"]) + len(kept["categorical"]) == 7 - left_out
        assert len(notes) == left_out
    assert notes == []
    assert (
        "dow holds weekdays and is not compared: 10 days are not whole weeks"
        in leave_out_weekdays(profile, Period(START, START + timedelta(days=10)))[1][0]
    )
