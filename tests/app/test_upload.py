"""A file on the page: what is recognised, and what is left out of it."""

import pandas as pd
import pytest
from conftest import compose_config

pytest.importorskip("shiny", reason="the extra `app` is not installed")

from churn.app import one, whom
from churn.app.upload import describe_error, inspect_upload, score_upload
from churn.bundle.bundle import Bundle
from churn.errors import UserError


def test_columns_that_the_list_has_itself_are_left_out(run_directory, customers_file, tmp_path):
    bundle, cfg = Bundle.load(run_directory / "bundle"), compose_config()
    own = ["action", "treated", "expected_profit", "certainty", "churn_probability", "reason_1"]
    pd.read_csv(customers_file).assign(**dict.fromkeys(own, 1)).to_csv(tmp_path / "scored.csv", index=False)
    upload = inspect_upload(tmp_path / "scored.csv", "scored.csv", bundle, cfg, print)
    assert upload.kept == ("name", "phone")
    assert f"left out, the list has such a column itself: {', '.join(own)}" in upload.remarks
    ranked = whom.rank(score_upload(upload, bundle, cfg, print), bundle, whom.assumptions(bundle, {}, cfg))
    assert whom.monday_list(ranked, bundle, cfg.seed).table.columns.is_unique


def test_each_customer_s_own_value_can_be_a_column_that_is_no_feature(
    run_directory, customers_file, tmp_path
):
    bundle, cfg = Bundle.load(run_directory / "bundle"), compose_config("decision.value_column=Worth")
    frame = pd.read_csv(customers_file)
    frame.assign(Worth=range(50, 50 + len(frame))).to_csv(tmp_path / "worth.csv", index=False)
    upload = inspect_upload(tmp_path / "worth.csv", "worth.csv", bundle, cfg, print)
    scored, assumed = score_upload(upload, bundle, cfg, print), whom.assumptions(bundle, {}, cfg)
    best = whom.rank(scored, bundle, assumed).best
    first = one.find(scored, best["key", "key"].iloc[0], assumed)
    assert one.answer(bundle, first, assumed).profit == pytest.approx(
        best["answer", "expected_profit"].iloc[0], abs=1e-4
    )


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("value_column=Worth", "no column of numbers 'Worth'"),
        ("value_column=Contract", "no column of numbers 'Contract'"),
        ("top_share=0.3", "the share of customers is fixed"),
    ],
)
def test_assumptions_that_allow_no_list_are_said_at_the_file(run_directory, customers_file, setting, said):
    cfg = compose_config(f"decision.{setting}")
    bundle = Bundle.load(run_directory / "bundle")
    assert said in inspect_upload(customers_file, "june.csv", bundle, cfg, print).problem


def test_a_file_has_its_own_name_in_a_message_which_says_where_a_key_is_typed(tmp_path):
    path = tmp_path / "0.xlsx"
    error = UserError("several sheets are tables", f"{path}: Kunden, Old", "name it: 'data.sheet=\"Kunden\"'")
    said = describe_error(error, path, "kunden.xlsx")
    assert "where: kunden.xlsx: Kunden" in said
    assert str(tmp_path) not in said
    assert said.endswith("churn app data.sheet=...")
    assert describe_error(UserError("it is empty", str(path)), path, "a.csv") == "it is empty\n  where: a.csv"
