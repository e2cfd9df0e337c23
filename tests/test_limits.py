"""Numbers that a key may not have."""

import pytest
from conftest import churn, configured
from omegaconf import OmegaConf

from churn import limits
from churn.errors import UserError

CFG = configured()
WRONG = {"1 or more": 0, "0 or more": -1, "above 0": 0, "from 0 to 1": 1.5, "0 or more and below 1": 1}
KEYS = [(key, WRONG.get(limit.words, 0)) for limit, keys in limits.LIMITS.items() for key in keys]


@pytest.mark.parametrize(("key", "value"), KEYS)
def test_a_number_beyond_its_limit_is_refused_by_name(key, value):
    tree = OmegaConf.structured(CFG)
    OmegaConf.update(tree, key, [8, value] if key == "model.hidden" else value)
    with pytest.raises(UserError, match=f"{key}={value} makes no sense"):
        limits.check(OmegaConf.to_object(tree))


def test_the_limits_of_the_defaults_hold():
    limits.check(configured())
    limits.check(configured("model=tutorial", "decision.threshold=0", "decision.capacity=1"))


def test_all_wrong_numbers_are_told_at_once_before_any_work(tmp_path):
    done = churn("train", "train.epochs=-3", "data.synthetic.rows=0", code=2, cwd=tmp_path)
    assert "train.epochs=-3" in done.stderr
    assert "data.synthetic.rows=0" in done.stderr
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())
