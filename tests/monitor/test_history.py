"""The history: a window is its interval and bundle."""

import json

from churn.monitor.history import HISTORY, read_history, record_report, separate_windows


def report(first, last, bundle="a", status="alarm"):
    """A report on the days `first` to `last` of March."""
    return {"from": f"2026-03-{first:02}T00:00:00+00:00", "until": f"2026-03-{last:02}T00:00:00+00:00",
            "bundle": bundle, "status": status}  # fmt: skip


def days(reports):
    return [(int(one["from"][8:10]), int(one["until"][8:10])) for one in reports]


def test_a_window_that_is_monitored_again_replaces_its_report(tmp_path):
    record_report(tmp_path, report(1, 8))
    record_report(tmp_path, report(8, 15))
    record_report(tmp_path, report(1, 8, status="ok"))
    record_report(tmp_path, report(1, 8, bundle="b"))
    found = [(*days([one])[0], one["bundle"], one["status"]) for one in read_history(tmp_path)]
    assert found == [(8, 15, "a", "alarm"), (1, 8, "a", "ok"), (1, 8, "b", "alarm")]
    assert json.loads((tmp_path / "report.json").read_text())["bundle"] == "b"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert (tmp_path / HISTORY).read_text().count("\n") == 3


def test_of_overlapping_windows_the_newest_counts():
    daily = [report(day, day + 7) for day in range(1, 16)]
    assert days(separate_windows(daily)) == [(1, 8), (8, 15), (15, 22)]
    assert days(separate_windows(daily[:2])) == [(2, 9)]
    assert days(separate_windows([report(8, 15), report(1, 8)])) == [(1, 8), (8, 15)]
    assert separate_windows([]) == []
    assert days(separate_windows([report(8, 15), report(1, 15)])) == [(1, 15)]
    assert days(separate_windows([report(1, 15), report(8, 15)])) == [(8, 15)]


def test_a_window_is_one_moment_to_another_in_whatever_zone(tmp_path):
    record_report(tmp_path, report(1, 8))
    there = {"from": "2026-03-01T01:00:00+01:00", "until": "2026-03-07T19:00:00-05:00", "status": "ok"}
    record_report(tmp_path, report(1, 8) | there)
    assert [one["status"] for one in read_history(tmp_path)] == ["ok"]
