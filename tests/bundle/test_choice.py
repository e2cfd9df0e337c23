"""A command names its model, and refuses where another was probably meant."""

import json
import shutil

import pytest
from conftest import compose_config

from churn.bundle import export
from churn.bundle.bundle import Bundle
from churn.bundle.choice import check_columns, choose_bundle, describe_model, find_bundle
from churn.bundle.registry import register_run
from churn.errors import UserError


@pytest.fixture
def root(exported_bundle, tmp_path):
    """A folder of runs: 'customers' is registered and champion, 'others' is the newest run."""
    for number, name in enumerate(("customers", "others")):
        run = tmp_path / name
        shutil.copytree(exported_bundle, run / "bundle")
        facts = {key: fact for key, fact in Bundle.load(exported_bundle).facts.items() if key != "format"}
        more = {"created": f"2026-11-0{number + 1}T10:00:00Z", "metrics": {"roc_auc": {"value": 0.8}}}
        export.seal(run / "bundle", facts | more | {"name": name}, {})
        auc = {"roc_auc": {"value": 0.8, "low": 0.7, "high": 0.9}}
        loss = {"base_rate": {"log_loss": {"difference": {"high": -0.1}}}}
        (run / "metrics.json").write_text(json.dumps({"test": auc, "baselines": loss}))
        (run / "config.yaml").write_text("seed: 1")
        (run / "report.html").write_text("")
    register_run(tmp_path / "customers", str(tmp_path))
    (tmp_path / "latest").symlink_to("others")
    return tmp_path


def test_a_model_is_refused_if_the_newest_run_is_another_data_set_s(root):
    cfg = compose_config(f"run.root={root}")
    cfg.data.name = "customers"  # as a choice of the configuration says, not the user
    with pytest.raises(UserError, match="not clear which model") as refused:
        choose_bundle(cfg)
    assert "'others' of 2026-11-02, ROC AUC 0.800" in str(refused.value)
    assert f"bundle={root}/latest/bundle for the newest, data.name=customers" in str(refused.value)


def test_both_remedies_work_and_the_model_is_named(root, capsys):
    champion = choose_bundle(compose_config(f"run.root={root}", "data.name=customers"))
    newest = choose_bundle(compose_config(f"run.root={root}", f"bundle={root}/latest/bundle"))
    assert (champion.facts["name"], newest.facts["name"]) == ("customers", "others")
    assert "Model: 'customers' of 2026-11-01, ROC AUC 0.800" in capsys.readouterr().out


def test_without_a_named_data_set_the_champion_of_the_newest_run_s_data_set_is_taken(root):
    cfg = compose_config(f"run.root={root}", "data.max_bad_rows=5")
    assert find_bundle(cfg).facts["name"] == "others"  # the newest run: its data set has no champion yet
    (root / "latest").unlink()
    (root / "latest").symlink_to("newer")
    shutil.copytree(root / "customers", root / "newer")
    export.seal(root / "newer" / "bundle", {"name": "customers", "schema": {}}, {})
    assert find_bundle(cfg).facts["created"] == "2026-11-01T10:00:00Z"  # promoted; the newest is not


def test_a_named_data_set_without_a_champion_is_not_replaced_by_another(root):
    for named in (["data.name=typo"], ["data=csv", "data.path=typo.csv"], ["data=telco"]):
        with pytest.raises(UserError, match="there is no champion of 't") as refused:
            find_bundle(compose_config(f"run.root={root}", *named))
        assert "do: data.name=others, or bundle=DIR" in str(refused.value)
    assert find_bundle(compose_config(f"run.root={root}", "data=csv")).facts["name"] == "others"


def test_a_key_that_names_no_data_set_leaves_the_choice_unclear(root):
    cfg = compose_config(f"run.root={root}", "data.max_bad_rows=5")
    cfg.data.name = "customers"  # as a choice of the configuration says, not the user
    with pytest.raises(UserError, match="not clear which model"):
        choose_bundle(cfg)


def test_a_table_of_other_columns_is_refused_with_the_model_that_can_read_it(root):
    bundle = Bundle.load(root / "customers" / "bundle")
    cfg = compose_config(f"run.root={root}")
    with pytest.raises(UserError, match=r"'tenure' is missing") as refused:
        check_columns(bundle, ["a", "b"], "mine.csv", cfg)
    assert "this model is 'customers' of 2026-11-01" in str(refused.value)
    facts = {"name": "mine", "schema": {"numeric": ["a"], "categorical": []}}
    export.seal(root / "others" / "bundle", facts, {})
    with pytest.raises(UserError, match=f"bundle={root}/latest/bundle"):
        check_columns(bundle, ["a", "b"], "mine.csv", cfg)


def test_a_model_without_date_and_metrics_has_a_name():
    assert describe_model({"name": "gym"}) == "'gym'"
