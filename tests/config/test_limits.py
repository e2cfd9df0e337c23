"""Every number of the configuration has a bound, and numbers outside it are refused."""

import copy
import dataclasses
from operator import attrgetter

import pytest
from conftest import churn, compose_config

from churn.config.limits import Bound, check_bounds
from churn.config.root import REMOVED, RENAMED, Config
from churn.errors import UserError

WRONG = {
    "finite": float("inf"), "1 or more": 0, "0 or more": -1, "above 0": 0, "from 0 to 1": 1.5,
    "above 0 and at most 1": 1.5, "0 or more and below 1": 1, "above 0 and below 1": 1, "from 1 to 100": 101,
    "from 0 to 65535": 99_999, "from 1 to 10": 11, "from 5 to 480": 4,
    "from 0 to 2147483647": -1,
    "above 0 and at most 36500": 36_501, "from 0 to 36500": 36_501, "from 1 to 600": 601,
    "from 0.001 to 0.999": 1e-300,
    "1, 2, 4, 6 or 8": 3, "from 512 to 32768": 511, "from 1 to 1000": 1001,
}  # fmt: skip


def numbers(cfg, prefix=""):
    """The full key, the owner and the field of every key for a number or a list of numbers."""
    for field in dataclasses.fields(cfg):
        value = getattr(cfg, field.name)
        if dataclasses.is_dataclass(value):
            yield from numbers(value, f"{prefix}{field.name}.")
        elif any(kind in str(field.type) for kind in ("int", "float")):
            yield f"{prefix}{field.name}", cfg, field


KEYS = [name for name, _, _ in numbers(Config())]


def test_every_number_has_a_bound():
    unbound = [
        name for name, _, field in numbers(Config()) if not isinstance(field.metadata.get("bound"), Bound)
    ]
    assert unbound == []
    assert len(KEYS) > 100


@pytest.fixture(scope="module")
def composed():
    return compose_config()


@pytest.mark.parametrize("name", KEYS)
def test_a_number_outside_its_bound_is_refused_with_its_key(name, composed):
    cfg = copy.deepcopy(composed)
    owner, field = next((owner, field) for key, owner, field in numbers(cfg) if key == name)
    wrong = WRONG[field.metadata["bound"].text]
    setattr(owner, field.name, [8, wrong] if isinstance(getattr(owner, field.name), list) else wrong)
    with pytest.raises(UserError, match=f"{name}={wrong} makes no sense"):
        check_bounds(cfg)


@pytest.mark.parametrize("key", ["model.hidden", "data.missing", "score.keep"])
def test_an_interpolation_that_is_no_list_is_refused_with_its_key(key):
    with pytest.raises(UserError, match=f"{key}=.* is no list"):
        compose_config(key + "=${data.synthetic.rows}")


DAYS = [
    "data.synthetic.start",
    "data.synthetic.drift_from",
    "events.synthetic.start",
    "serving.available_until",
]


@pytest.mark.parametrize("key", DAYS)
@pytest.mark.parametrize("value", ["heute", "1.1.2025", "9999-12-01", "20250101"])
def test_a_date_that_is_none_is_refused_with_its_key(key, value, composed):
    cfg = copy.deepcopy(composed)
    owner, _, name = key.rpartition(".")
    setattr(attrgetter(owner)(cfg), name, value)
    with pytest.raises(
        UserError, match=f"'{value}' is no date\n  where: {key}\n  do: write it like 2026-11-24"
    ):
        check_bounds(cfg)


def test_the_defaults_are_within_their_bounds():
    check_bounds(compose_config())
    check_bounds(compose_config("model=tutorial", "decision.threshold=0", "decision.capacity=1"))


def test_all_wrong_numbers_are_listed_at_once_before_any_work(tmp_path):
    done = churn("train", "train.epochs=-3", "retrain.rollback_confidence=7", code=2, cwd=tmp_path)
    assert "train.epochs=-3" in done.stderr
    assert "retrain.rollback_confidence=7" in done.stderr
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())


def test_an_old_key_is_refused_with_its_new_name(tmp_path):
    assert set(RENAMED.values()) - set(KEYS) <= {"monitor.prometheus", "retrain.force"}
    done = churn("train", "export.worlds=1", code=2, cwd=tmp_path)
    assert "'export.worlds' is now called export.refits" in done.stderr


def test_a_key_that_is_gone_is_refused_with_the_reason(tmp_path):
    assert not set(REMOVED) & set(KEYS)
    done = churn("train", "train.augmented=1", code=2, cwd=tmp_path)
    assert "there is no configuration key 'train.augmented' any more" in done.stderr
    assert "model.trees" in done.stderr
