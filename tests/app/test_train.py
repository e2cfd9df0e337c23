"""Training from the page: where the table is kept."""

import shlex

import numpy as np
import pandas as pd
import pytest
from conftest import compose_config

pytest.importorskip("shiny", reason="the extra `app` is not installed")

from churn.app.train import (
    Draft,
    infer_roles,
    keep_table,
    likely_target,
    promotion,
    read_sample,
    run_directory,
    training_command,
)
from churn.data.table import RawTable
from churn.errors import UserError, shell_setting

RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {"cid": np.arange(60) * 7 % 61, "months": RNG.normal(size=60), "left": np.resize(["yes", "no", "no"], 60)}
)


@pytest.mark.parametrize("name", ["../../../escaped.csv", "/escaped.csv", "..\\..\\escaped.csv", "..", ""])
def test_whatever_its_name_a_table_is_kept_below_the_runs(tmp_path, name):
    (tmp_path / "source.csv").write_text("a,b\n")
    root = tmp_path / "here" / "runs"
    keep_table(Draft(tmp_path / "source.csv", file=name, digest="0" * 64), compose_config(f"run.root={root}"))
    (kept,) = root.glob("uploads/000000000000/*.csv")
    assert kept.read_text() == "a,b\n"
    assert {file.name for file in tmp_path.iterdir()} == {"here", "source.csv"}


def test_a_table_that_cannot_be_kept_is_one_message(tmp_path):
    (tmp_path / "source.csv").write_text("a,b\n")
    (tmp_path / "uploads").write_text("a file in the place of the folder")
    with pytest.raises(UserError, match="uploads"):
        keep_table(Draft(tmp_path / "source.csv", digest="0" * 64), compose_config(f"run.root={tmp_path}"))


def test_a_training_and_a_promotion_have_the_key_of_ids_the_limits_and_the_card_that_the_page_has(tmp_path):
    given = [
        "privacy.key_file=/secure/id.key",
        "retrain.gate.demographic_parity=0.1",
        "data.protected=[gender,'a, b']",
        "data.personal=[name]",
        "card.owner='team churn, of us'",
        "card.approvers=[risk office]",
    ]
    cfg = compose_config(f"run.root={tmp_path}", *given)
    command = training_command(Draft(tmp_path / "x.csv", "Churn", digest="0" * 64), cfg, tmp_path / "run")
    assert command[0] == "train"
    trained = compose_config(*command[1:])
    assert (trained.privacy, trained.card, trained.retrain) == (cfg.privacy, cfg.card, cfg.retrain)
    assert (trained.data.protected, trained.data.personal) == (["gender", "a, b"], ["name"])
    promoted = compose_config(*promotion(tmp_path / "run", cfg)[2:])
    assert promoted.retrain == cfg.retrain
    assert promoted.run.root == str(tmp_path)


def test_a_training_has_the_roles_and_the_query_that_were_typed_and_none_of_another_data_set(tmp_path):
    typed = ["data.id=cid", "data.horizon=3", "data.drop_copies=true", "+data.influence.months=[-5,0]"]
    typed += ["robustness.customers=7", "data.query='SELECT * FROM members'"]
    draft, raw = Draft(tmp_path / "x.csv", "left"), RawTable(TABLE, "x.csv")
    cfg = compose_config(f"run.root={tmp_path}", *typed)
    trained = compose_config(*training_command(draft, cfg, tmp_path / "run")[1:])
    for name in ("id", "horizon", "drop_copies", "influence", "query"):
        assert getattr(trained.data, name) == getattr(cfg.data, name)
    assert trained.robustness.customers == 7
    assert infer_roles(raw, draft, cfg).by_column["cid"] == "names the customer"
    other = compose_config(f"run.root={tmp_path}", "data=telco")
    assert "customerID" not in str(training_command(draft, other, tmp_path / "run"))
    assert not infer_roles(raw, draft, other).problem


@pytest.mark.parametrize("given", [[], ["data=telco"]])
def test_the_target_of_the_page_is_that_of_the_command(given):
    frame = pd.DataFrame({"Churn": ["No", "Yes", "No"], "PaperlessStatus": ["Yes", "No", "Yes"]})
    assert likely_target(RawTable(frame, "x.csv"), compose_config(*given)) == ("Churn", "")


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [("Churn", ["No"] * 3, "its values: 'No' 3"), ("not_churned", ["1", "1", "0"], "says who stayed"),
     ("gone", ["1", "1", "0"], "it is not clear which column")],
)  # fmt: skip
def test_where_the_command_would_take_no_target_the_page_says_why_and_takes_none(name, values, said):
    frame = pd.DataFrame({name: values, "PaperlessStatus": ["Yes", "No", "Yes"]})
    likely, trouble = likely_target(RawTable(frame, "x.csv"), compose_config())
    assert likely == ""
    assert said in trouble
    assert "data.target=" not in trouble


def test_a_table_whose_numbers_need_a_key_says_where_to_type_it_and_the_key_is_passed_on(tmp_path):
    (tmp_path / "0.csv").write_text("left;fee\n" + "ja;19,70\nnein;20,15\n" * 30)
    draft = Draft(tmp_path / "0.csv", "left", file="kunden.csv")
    refused = infer_roles(read_sample(draft.path, compose_config()), draft, compose_config()).problem
    assert "data.decimal=','" in refused
    assert refused.endswith("start it with that key, as in churn app data.decimal=...")
    cfg = compose_config("data.decimal=','")
    assert infer_roles(read_sample(draft.path, cfg), draft, cfg).by_column["fee"] == "number"
    assert compose_config(*training_command(draft, cfg, tmp_path / "run")[1:]).data.decimal == ","


@pytest.mark.parametrize("root", ["my runs (copy)", "O'Neil, 2026", "runs=1"])
def test_runs_can_be_in_a_folder_of_any_name(tmp_path, root):
    cfg = compose_config(shlex.split(shell_setting("run.root", str(tmp_path / root)))[0], "data.decimal=','")
    run = run_directory(Draft(tmp_path / "x.csv"), cfg)
    trained = compose_config(*training_command(Draft(tmp_path / "x.csv", "Churn"), cfg, run)[1:])
    assert (trained.run.dir, trained.run.root, trained.data.decimal) == (str(run), cfg.run.root, ",")
    promoted = compose_config(*(one.replace("run=", "run.dir=", 1) for one in promotion(run, cfg)[1:]))
    assert (promoted.run.dir, promoted.run.root) == (str(run), cfg.run.root)
