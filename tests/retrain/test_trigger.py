"""The policy: k of n and the newest, a drop beyond doubt, a schedule, by hand, and when it rests."""

from datetime import UTC, datetime, timedelta

import pytest

from churn.config.loop import TriggerConfig
from churn.errors import UserError
from churn.retrain.trigger import decide_trigger

NOW = datetime(2026, 11, 24, tzinfo=UTC)
POLICY = TriggerConfig(alarms=2, windows=5, cooldown_days=14, per_week=1)


def windows(pattern, worse=False):
    """A history: A alarm, w warning, . ok, - too few rows; the newest is from now."""
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
def test_two_alarms_in_five_windows_fire_if_the_newest_is_one(pattern, fires):
    assert (decide_trigger(windows(pattern), [], NOW, POLICY).kind == "alarm") is fires


def test_a_drop_beyond_doubt_fires_by_itself_unless_it_shall_not_count():
    assert decide_trigger(windows(".....", worse=True), [], NOW, POLICY).kind == "performance"
    deaf = TriggerConfig(performance=False)
    assert decide_trigger(windows(".....", worse=True), [], NOW, deaf).kind is None


def test_a_window_without_labels_is_no_drop():
    assert decide_trigger([windows(".")[0] | {"performance": None}], [], NOW, POLICY).kind is None


def test_the_schedule_counts_from_the_last_retraining_and_before_one_from_the_first_window():
    monthly = TriggerConfig(every_days=30)
    assert decide_trigger(windows("....."), [], NOW, monthly).kind is None
    assert decide_trigger(windows("......"), [], NOW, monthly).kind == "schedule"
    assert decide_trigger(windows("......"), [NOW - timedelta(days=29)], NOW, monthly).kind is None


def test_after_a_retraining_it_rests_whatever_happens():
    seen = windows("AAAAA", worse=True)
    for days, fires in ((0, False), (13, False), (14, True)):
        assert (decide_trigger(seen, [NOW - timedelta(days=days)], NOW, POLICY).kind is not None) is fires


def test_there_are_no_more_retrainings_a_week_than_allowed():
    eager = TriggerConfig(cooldown_days=0, per_week=2)
    once, twice = [NOW - timedelta(days=1)], [NOW - timedelta(days=1), NOW - timedelta(days=6)]
    assert decide_trigger(windows("AAAAA"), once, NOW, eager).kind == "alarm"
    assert "limit" in decide_trigger(windows("AAAAA"), twice, NOW, eager).reason
    assert decide_trigger(windows("AAAAA"), [*twice, NOW - timedelta(days=8)][1:], NOW, eager).kind == "alarm"


def test_by_hand_nothing_is_asked_and_the_champion_is_not_in_doubt():
    trigger = decide_trigger([], [NOW], NOW, POLICY, forced=True)
    assert trigger.kind == "hand"
    assert not trigger.alarmed


def test_a_policy_that_cannot_be_fulfilled_is_refused():
    with pytest.raises(UserError, match="6 alarms in 5 windows"):
        decide_trigger([], [], NOW, TriggerConfig(alarms=6))
