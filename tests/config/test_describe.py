"""Every key is explained: in docs/keys.md, and the ones that matter most in the help of a stage."""

import pytest
from conftest import ROOT

from churn.__main__ import STAGES
from churn.config.describe import SHOWN, describe_keys, help_of, to_markdown


def test_the_table_of_keys_is_that_of_the_declarations():
    assert (ROOT / "docs" / "keys.md").read_text() == to_markdown(), (
        "python -m churn.config.describe > docs/keys.md"
    )


def test_a_key_has_its_type_default_bound_and_comment():
    keys = {key.name: key for key in describe_keys()}
    epochs = keys["train.epochs"]
    assert (epochs.kind, epochs.default) == ("whole number", "12")
    assert epochs.meaning == "passes over the train rows, at most; 1 or more"
    assert keys["score.chunks_per_file"].meaning.startswith(
        "Chunks per file if `output` is a folder; after a kill"
    )
    assert keys["data.source"].kind == "one of synthetic, file, kaggle, bigquery"
    assert keys["data.path"].meaning.startswith("file, glob or folder")
    assert keys["decision.control_share"].meaning.startswith("share of a list not called")


@pytest.mark.parametrize("stage", STAGES)
def test_the_help_of_a_stage_explains_at_most_ten_keys_on_80_columns(stage):
    assert 2 < len(SHOWN[stage].split()) <= 10
    assert max(map(len, help_of(stage).splitlines())) <= 80
