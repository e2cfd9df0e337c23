import numpy as np
import pytest
from matplotlib.figure import Figure

from churn.evaluate.dependence import Dependence
from churn.evaluate.report.charts import draw_charts
from churn.evaluate.report.drawing import LINES, POINTS, VARIABLES, Chart
from churn.evaluate.report.effects import draw_effects


def sample(rows, seed=0):
    random = np.random.default_rng(seed)
    chance = random.beta(1, 3, rows)
    churned = (random.random(rows) < chance).astype(int)
    churned[:2] = [0, 1]
    return churned, {"model": chance, "base_rate": np.full(rows, 0.25), "boosting": chance**1.2}


def draw(*content):
    """The charts, and the figures that are turned into SVG."""
    figures, savefig = [], Figure.savefig
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Figure, "savefig", lambda self, *a, **k: (figures.append(self), savefig(self, *a, **k))[1]
        )
        return draw_charts(*content), figures


@pytest.fixture(scope="module")
def drawn():
    """The charts and figures of 1,000 rows, drawn once."""
    return draw(*sample(1_000), {"loss": [1.0, 0.5], "val_loss": [1.0, 0.6]})


def lines(figure, label):
    return next(line for line in figure.axes[0].lines if line.get_label() == label).get_xydata()


def test_the_gain_curve_shows_the_churners_that_ten_percent_of_the_calls_reach(drawn):
    churned, predictions = sample(1_000)
    order = np.argsort(-predictions["model"])
    reached = 100 * churned[order[:100]].sum() / churned.sum()
    assert np.interp(10, *lines(drawn[1][0], "this network").T) == pytest.approx(reached, abs=0.6)


def test_the_dots_of_the_calibration_figure_are_churn_rates_of_equal_groups(drawn):
    churned, predictions = sample(1_000)
    dots = drawn[1][1].axes[0].containers[0].lines[0].get_xydata()
    assert len(dots) == 10
    assert dots[:, 0].mean() == pytest.approx(100 * predictions["model"].mean())
    assert dots[:, 1].mean() == pytest.approx(100 * churned.mean())


def test_the_calibration_figure_does_not_depend_on_the_order_of_rows_with_equal_probabilities():
    churned = np.repeat([1, 0], [50, 150])
    figures = draw(churned, {"model": np.full(200, 0.25)}, {})[1]
    dots = figures[1].axes[0].containers[0].lines[0].get_xydata()
    assert dots == pytest.approx(np.full((10, 2), 25.0))


@pytest.mark.parametrize("value", [0.0, 3.5, 1764509136e9, -9e29])
def test_the_effect_of_a_number_that_is_the_same_for_all_is_drawn(value):
    values = np.array([value, value * 1.5 + 1])
    [chart] = draw_effects([Dependence("exported", values, np.array([0.2, 0.3]), np.full(50, value))])
    assert chart.title.startswith("exported")


@pytest.mark.parametrize("history", [{"loss": [1.0, 0.5]}, {"loss": [1.0, 0.5], "val_loss": [1.0, 0.6]}])
def test_a_legend_names_what_is_drawn_and_is_no_wider_than_its_figure(history):
    churned, predictions = sample(1_000)
    figures = draw(churned, dict.fromkeys(LINES, predictions["model"]), history)[1]
    for figure in figures:
        (legend,) = figure.legends
        extent = legend.get_window_extent()
        assert figure.bbox.x0 <= extent.x0
        assert extent.x1 <= figure.bbox.x1
    named = [text.get_text() for text in figures[-1].legends[0].get_texts()]
    assert named == ["train part", "validation part"][: len(history)]


def test_every_figure_names_both_axes_with_their_unit(drawn):
    for figure in drawn[1]:
        assert figure.axes[-1].get_xlabel()
        assert all(axes.get_ylabel() for axes in figure.axes)
    labels = [
        label
        for figure in drawn[1][:5]
        for label in (figure.axes[-1].get_xlabel(), figure.axes[0].get_ylabel())
    ]
    assert len(labels) == 10
    assert all("%" in label for label in labels)


def test_colours_and_fonts_come_from_the_page(drawn):
    for chart in drawn[0]:
        assert "var(--ours)" in chart.svg
        assert "currentColor" in chart.svg
        assert "font-family" not in chart.svg
        assert not any(color in chart.svg for color in VARIABLES)


def test_many_rows_are_thinned_to_what_a_screen_shows_and_no_validation_part_is_needed():
    charts, figures = draw(*sample(50_000), {"loss": [1.0, 0.5]})
    assert len(lines(figures[0], "this network")) <= POINTS
    assert charts[-1].title == "Training: loss after each epoch"


def test_in_a_notebook_a_figure_has_its_own_colours():
    shown = Chart("A < B", "How to read it", '<svg style="stroke: var(--ours)"></svg>')._repr_html_()
    assert "var(--ours, #0072b2)" in shown
    assert "A &lt; B" in shown
