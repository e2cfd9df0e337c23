"""Production needs an approval, which is kept with the version."""

import pytest
from conftest import compose_config

from churn.bundle.approval import approvals_of, check_approval, check_standing_approval
from churn.bundle.bundle import Bundle
from churn.errors import UserError
from churn.retrain.promote import promote

ADA = ("approval.by=Ada", "approval.evidence='ticket 7: card read'")


def test_prod_asks_for_a_name_and_its_evidence_before_anything_happens(tmp_path):
    cfg = compose_config(f"run.dir={tmp_path}", "deploy.env=prod")
    with pytest.raises(UserError, match=r'do: add approval.by=NAME approval.evidence="WHAT IT RESTS ON"'):
        promote(cfg)
    check_approval(compose_config(*ADA, "deploy.env=prod"))
    check_approval(compose_config())


@pytest.mark.parametrize("half", ADA)
def test_half_an_approval_is_none(half):
    with pytest.raises(UserError, match="a name and its evidence"):
        check_approval(compose_config(half))


def test_long_evidence_is_a_document():
    with pytest.raises(UserError, match=r"more than 1,000 characters(.|\n)*approval.evidence"):
        check_approval(compose_config(ADA[0], f"approval.evidence={'x' * 1_001}"))


def test_a_retraining_that_may_reach_production_needs_a_standing_approval():
    check_standing_approval(compose_config("deploy.env=prod"))  # only this machine's champion
    with pytest.raises(UserError, match="nobody has approved this version"):
        check_standing_approval(compose_config("deploy.env=prod", "target=vertex"))


def test_every_approval_is_kept_with_the_version(make_run, cfg):
    run = make_run("first")
    bundle = Bundle.load(run / "bundle")
    assert approvals_of(bundle, cfg.run.root) == []
    for by in ("Ada", "Grace"):
        promote(compose_config(f"run.dir={run}", f"run.root={cfg.run.root}", *ADA, f"approval.by={by}"))
    found = approvals_of(bundle, cfg.run.root)
    assert [(entry["by"], entry["evidence"]) for entry in found] == [
        ("Ada", "ticket 7: card read"), ("Grace", "ticket 7: card read"),
    ]  # fmt: skip
    assert all(entry["at"].endswith("Z") for entry in found)
    assert approvals_of(Bundle.load(make_run("other") / "bundle"), cfg.run.root) == []
