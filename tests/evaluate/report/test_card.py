"""The model card holds what the run holds, says what is unknown, and keeps to CycloneDX's schema."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import compose_config
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from churn.data.dataset import Dataset, Schema
from churn.evaluate.bootstrap import Estimate
from churn.evaluate.report.card import UNKNOWN, make_card
from churn.evaluate.report.card_formats import to_cyclonedx, to_markdown
from churn.evaluate.robustness import Membership

FACTS = {
    "name": "table", "created": "2026-01-02T03:04:05Z", "horizon": 30, "model": "dense", "threshold": 0.2,
    "git_commit": None, "data": {"fingerprint": "f", "rows": {"train": 1, "test": 3}},
    "versions": {"python": "3.11.7", "tensorflow": "2.21.0"},
}  # fmt: skip


@pytest.fixture(scope="module")
def make(make_content):
    """A function that makes a card from overrides and a made-up evaluation."""

    def make_of(*overrides, times=None, membership=None, **content):
        schema = Schema("left", ("yes",), ("x",), ("plan",), time=None if times is None else "day")
        data = Dataset("table", schema, pd.DataFrame(), np.zeros(4), times=times)
        experiment = SimpleNamespace(cfg=compose_config(*overrides), data=data)
        bundle = SimpleNamespace(facts=FACTS, schema=schema)
        made = make_content(**content)
        if membership:
            made = replace(made, robustness=replace(made.robustness, membership=membership))
        return make_card(experiment, bundle, made)

    return make_of


def problems(text):
    """What the official schema says against a document."""
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    return error and error.data.message


def test_what_nobody_has_said_is_unknown(make):
    card = make()
    assert {*card.uses.values()} == {UNKNOWN}
    assert {card.facts[key] for key in ("owner", "contact", "may approve")} == {UNKNOWN}
    assert card.data["window"].startswith(UNKNOWN)
    assert "within a time that is unknown" in card.facts["task"]
    assert "unknown: no protected columns were named" in to_markdown(card)


@pytest.mark.parametrize(("method", "limited"), [("stratified", False), ("time", False), ("customer", True)])
def test_a_split_by_customer_says_that_later_months_are_unknown_also_where_rows_have_dates(
    make, method, limited
):
    times = np.datetime64("2025-01-01", "s") + np.arange(4)
    limits = make(f"split.method={method}", times=times).limits
    assert any("later months is unknown" in limit for limit in limits) == limited


@pytest.mark.parametrize(
    ("difference", "said"),
    [((np.nan,) * 3, "learnt from is unknown"), ((0.05, 0.02, 0.08), "0.050 (0.020 to 0.080) more than")],
)
def test_what_a_model_gives_away_is_a_limit_also_where_it_is_unknown(make, difference, said):
    known = Estimate(0.55, 0.51, 0.59)
    limits = make(membership=Membership(known, known, Estimate(*difference))).limits
    assert [said in limit for limit in limits if "membership inference" in limit] == [True]


def test_what_the_configuration_says_is_in_both_formats(make):
    said = {
        "owner": "team churn", "contact": "churn@bank.example", "intended_use": "calls of the loyalty desk",
        "users": "the loyalty desk", "misuse": "'credit | prices'",
        "approvers": "[risk office,works council]", "limits": "[business customers are rare]",
    }  # fmt: skip
    days = np.array(["2025-01-02", "2025-03-04"], "datetime64[s]")
    card = make(*(f"card.{key}={value}" for key, value in said.items()), times=days)
    markdown, document = to_markdown(card), to_cyclonedx(card)
    assert problems(document) is None
    for text in ("team churn", "churn@bank.example", "calls of the loyalty", "risk office, works council"):
        assert text in markdown
        assert text in document
    assert "| not to be used for | credit \\| prices |" in markdown
    assert "- business customers are rare" in markdown
    assert "2025-01-02 to 2025-03-04" in markdown
    assert "leaves within 30 days" in markdown


def test_segments_and_groups_have_their_scores_and_intervals(make):
    card = make("data.protected=[plan]", rows=400, columns=1, protected=("plan",))
    document = json.loads(to_cyclonedx(card))
    assert problems(json.dumps(document)) is None
    model = document["metadata"]["component"]["modelCard"]
    slices = {score.get("slice") for score in model["quantitativeAnalysis"]["performanceMetrics"]}
    assert len([name for name in slices if name and name.startswith("plan=")]) == 3
    assert model["considerations"]["fairnessAssessments"][0]["groupAtRisk"] == "groups of plan"
    (parity,) = re.findall(
        r"- plan: demographic_parity difference (\S+) \(by chance up to \S+\)", to_markdown(card)
    )
    assert float(parity) > 0
    unknown = replace(card, fairness=replace(card.fairness, unknown=["race"]))
    assert "- race: unknown, no two groups have ten churners" in to_markdown(unknown)


def test_an_undefined_number_is_unknown(make):
    card = make()
    score = replace(card.scores[0], estimate=replace(card.scores[0].estimate, value=np.nan))
    document = to_cyclonedx(replace(card, scores=[score]))
    assert problems(document) is None
    assert f'"value": "{UNKNOWN}"' in document
