"""Training from the page: where the table is kept."""

import pytest
from conftest import compose_config

pytest.importorskip("shiny", reason="the extra `app` is not installed")

from churn.app.train import Draft, keep_table, promotion, training_command
from churn.errors import UserError


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
    command = training_command(Draft(tmp_path / "x.csv", "Churn", digest="0" * 64), cfg)
    assert command[0] == "train"
    trained = compose_config(*command[1:])
    assert (trained.privacy, trained.card, trained.retrain) == (cfg.privacy, cfg.card, cfg.retrain)
    assert (trained.data.protected, trained.data.personal) == (["gender", "a, b"], ["name"])
    promoted = compose_config(*promotion(tmp_path / "run", cfg)[2:])
    assert promoted.retrain == cfg.retrain
    assert promoted.run.root == str(tmp_path)
