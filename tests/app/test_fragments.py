"""Pieces of the page."""

import pytest

pytest.importorskip("shiny", reason="the extra `app` is not installed")

from churn.app.fragments import html


def test_why_a_training_was_refused_is_said_once():
    said = "the target does not show who left"
    assert str(html("training", [said], False, "", "")).count(said) == 1
    assert str(html("training", [said], False, said, "")).count(said) == 1
