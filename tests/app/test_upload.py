"""A file on the page: what is recognised, and what is left out of it."""

import pandas as pd
import pytest
from conftest import compose_config

pytest.importorskip("shiny", reason="the extra `app` is not installed")

from churn.app import whom
from churn.app.upload import inspect_upload, score_upload
from churn.bundle.bundle import Bundle


def test_columns_that_the_list_has_itself_are_left_out(run_directory, customers_file, tmp_path):
    bundle, cfg = Bundle.load(run_directory / "bundle"), compose_config()
    own = ["action", "treated", "expected_profit", "certainty", "churn_probability", "reason_1"]
    pd.read_csv(customers_file).assign(**dict.fromkeys(own, 1)).to_csv(tmp_path / "scored.csv", index=False)
    upload = inspect_upload(tmp_path / "scored.csv", "scored.csv", bundle, cfg, print)
    assert upload.kept == ("name", "phone")
    assert f"left out, the list has such a column itself: {', '.join(own)}" in upload.remarks
    ranked = whom.rank(score_upload(upload, bundle, cfg, print), bundle, whom.assumptions(bundle, {}, cfg))
    assert whom.monday_list(ranked, bundle, cfg.seed).table.columns.is_unique
