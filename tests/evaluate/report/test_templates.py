import pytest

from churn.evaluate.report.templates import format_probability


@pytest.mark.parametrize(
    ("probability", "digits", "shown"),
    [
        (0.5, 0, "50 %"),
        (0.998, 0, "> 99 %"),
        (0.998, 1, "99.8 %"),
        (0.9997, 1, "> 99.9 %"),
        (1.0, 0, "100 %"),
        (0.004, 0, "< 1 %"),
        (0.0, 0, "0 %"),
    ],
)
def test_only_certainty_is_shown_as_0_or_100_per_cent(probability, digits, shown):
    assert format_probability(probability, digits) == shown
