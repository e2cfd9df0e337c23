"""The policy: alarms, a drop of the performance, a schedule, by hand; cool-down and weekly limit."""

from datetime import UTC, datetime, timedelta

import pytest

from churn.config.loop import TriggerConfig
from churn.errors import UserError
from churn.retrain.trigger import decide_trigger

NOW = datetime(2026, 11, 24, tzinfo=UTC)
POLICY = TriggerConfig(alarms=2, windows=5, cooldown_days=14, per_week=1)


def windows(pattern, worse=False):
    """Reports by letter: A alarm, w warning, . ok, - too few rows; the last is from now."""
    names = {"A": "alarm", "w": "warning", ".": "ok", "-": "too few rows"}
    return [
        {
            "time": (NOW - timedelta(days=7 * age)).isoformat(),
            "status": names[letter],
            "performance": {"worse": worse and age == 0},
        }
        for age, letter in zip(range(len(pattern))[::-1], pattern, strict=True)
    ]


@pytest.mark.parametrize(
    ("pattern", "fires"),
    [("...AA", True), ("A...A", True), ("A....A", False), ("..AA.", False), ("....A", False),
     ("wwwww", False), ("A---A", True), ("", False), ("A", False)],
)  # fmt: skip
def test_two_alarms_in_five_windows_trigger_if_the_newest_is_one(pattern, fires):
    assert (decide_trigger(windows(pattern), [], NOW, POLICY).kind == "alarm") is fires


def test_a_significant_drop_triggers_by_itself_unless_it_is_switched_off():
    assert decide_trigger(windows(".....", worse=True), [], NOW, POLICY).kind == "performance"
    switched_off = TriggerConfig(performance=False)
    assert decide_trigger(windows(".....", worse=True), [], NOW, switched_off).kind is None


def test_a_drop_that_is_switched_off_is_no_alarm_either_however_many_windows_have_it():
    reports = [report | {"status": "alarm", "drift": "ok"} for report in windows(".....", worse=True)]
    assert decide_trigger(reports, [], NOW, TriggerConfig(performance=False)).kind is None


def test_a_window_without_labels_does_not_trigger():
    assert decide_trigger([windows(".")[0] | {"performance": None}], [], NOW, POLICY).kind is None


def test_the_schedule_counts_from_the_last_retraining_or_else_from_the_first_window():
    monthly = TriggerConfig(every_days=30)
    assert decide_trigger(windows("....."), [], NOW, monthly).kind is None
    assert decide_trigger(windows("......"), [], NOW, monthly).kind == "schedule"
    assert decide_trigger(windows("......"), [NOW - timedelta(days=29)], NOW, monthly).kind is None


def test_nothing_triggers_within_the_cool_down():
    reports = windows("AAAAA", worse=True)
    for days, fires in ((0, False), (13, False), (14, True)):
        assert (decide_trigger(reports, [NOW - timedelta(days=days)], NOW, POLICY).kind is not None) is fires


def test_there_are_no_more_retrainings_a_week_than_allowed():
    eager = TriggerConfig(cooldown_days=0, per_week=2)
    once, twice = [NOW - timedelta(days=1)], [NOW - timedelta(days=1), NOW - timedelta(days=6)]
    assert decide_trigger(windows("AAAAA"), once, NOW, eager).kind == "alarm"
    assert "limit" in decide_trigger(windows("AAAAA"), twice, NOW, eager).reason
    assert decide_trigger(windows("AAAAA"), [*twice, NOW - timedelta(days=8)][1:], NOW, eager).kind == "alarm"


def test_by_hand_there_is_always_a_retraining_and_the_champion_is_not_in_doubt():
    trigger = decide_trigger([], [NOW], NOW, POLICY, forced=True)
    assert trigger.kind == "hand"
    assert not trigger.alarmed


def test_an_impossible_policy_is_refused():
    with pytest.raises(UserError, match="6 alarms in 5 windows"):
        decide_trigger([], [], NOW, TriggerConfig(alarms=6))
