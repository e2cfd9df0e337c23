import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from churn.bundle.decision import NOBODY
from churn.evaluate.fairness import Fairness
from churn.evaluate.report import wording
from churn.evaluate.report.charts import draw_charts
from churn.evaluate.report.content import Example, customers_to_show
from churn.evaluate.report.page import render_report, write_report
from churn.evaluate.report.templates import template_environment
from evaluate.report.conftest import LONG

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Outline(HTMLParser):
    """What a browser sees: open elements, ids, texts, and links."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.ids, self.texts, self.links = [], Counter(), [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags[tag] += 1
        by_name = dict(attributes)
        self.ids += [by_name["id"]] if "id" in by_name else []
        self.links += [v for k, v in attributes if k in ("src", "href", "xlink:href", "action", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def figures(content):
    return draw_charts(content.churned, content.predictions, content.history)


def rendered(content):
    return render_report(content, figures(content))


@pytest.fixture(scope="module")
def content(make_content, leak):
    return make_content(findings=(leak,), protected=("plan", f"{LONG}0"))


@pytest.fixture(scope="module")
def page(content):
    return rendered(content)


def test_the_page_is_well_formed_and_needs_neither_network_nor_scripts(page):
    outline = Outline(page)
    assert outline.open == []
    assert outline.tags["script"] == outline.tags["img"] == outline.tags["link"] == 0
    cards = {f"bundle/assets.extra/card.{kind}" for kind in ("md", "json")}  # beside it: only to read on
    assert cards == {link for link in outline.links if not link.startswith("#")}
    assert not re.search(r"https?:|@import|url\((?!#)", page)
    assert [n for n in Counter(outline.ids).values() if n > 1] == []
    assert {link[1:] for link in outline.links if link not in cards} <= set(outline.ids)


def test_groups_of_protected_columns_have_a_table_and_their_differences(content, page):
    outline = Outline(page)
    assert "fairness" in outline.ids
    text = " ".join(" ".join(outline.texts).split())
    assert len(content.fairness.groupings) == 2  # the pairs of both are too small
    for grouping in content.fairness.groupings:
        assert all(group.name in text for group in grouping.groups)
        parity = grouping.differences["demographic_parity"].value
        assert f"two groups: {100 * parity:.1f} points" in text
    assert "Who is called, by group" in text


def test_a_protected_column_without_two_large_groups_is_unknown():
    template = template_environment("evaluate/report").get_template("fairness.html.j2")
    section = template.render(fairness=Fairness(0.2, [], ["race"]), selection=[], words=wording)
    assert "Unknown for race: no two groups" in section


def test_every_section_is_there(page, leak):
    text = " ".join(Outline(page).texts)
    for expected in (
        "What the model is worth",
        leak.title,
        leak.evidence,
        leak.advice,
        "ROC AUC",
        "gradient boosting",
        "best possible",
        "ROC: churners found",
        "Precision and recall",
        "Calibration: does",
        "How many churners the first calls reach",
        "Who left and who stayed",
        "lowest after epoch 2 of 3",
        "Whom to call, and what it earns",
        "(chosen)",
        "everyone",
        "Expected maximum profit",
        "the offer keeps 15 %, not 30 %",
        "How certain the predictions are",
        "interval for a customer's true probability",
        "of the test rows are ambiguous",
        "Which columns matter most",
        "plan: the probability by its level",
        "Segments: where the probabilities are good",
        "Target:",
        "0.1.0",
        "seed: 42",
    ):
        assert expected in text


def test_each_drawing_has_a_description_in_words(page):
    assert page.count("<svg") == page.count('role="img" aria-label="') == page.count("<figcaption>") == 15


def test_names_and_levels_of_the_table_are_text_never_markup(page):
    assert "<b>bold" not in page
    assert "<b>bold & “quoted”</b>" in "".join(Outline(page).texts)


def test_a_page_with_twenty_rows_sixty_long_columns_and_no_history_is_well_formed(make_content):
    outline = Outline(rendered(make_content(rows=20, columns=60, truth=False, history=False)))
    assert "fairness" not in outline.ids
    assert outline.open == []
    assert outline.tags["svg"] == 13
    assert "41 more columns" in " ".join(outline.texts)


def test_the_same_content_gives_the_same_bytes_in_a_file_that_appears_whole_or_not_at_all(
    page, make_content, leak, tmp_path, monkeypatch
):
    content = make_content(findings=(leak,), protected=("plan", f"{LONG}0"))
    write_report(tmp_path / "report.html", content, figures(content))
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text() == page
    assert page.endswith("</html>\n")
    monkeypatch.setattr("churn.evaluate.report.wording.verdict", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(tmp_path / "report.html", content, figures(content))
    assert (tmp_path / "report.html").read_text() == page


def test_no_customer_stays_for_sure_and_a_threshold_that_nobody_reaches_says_so(content):
    example = Example(0.0004, False, True, ["tenure is 70 (-0.20)"])
    profit = replace(content.profit, threshold=NOBODY)
    page = rendered(replace(content, examples=[example], profit=profit))
    assert "<b>&lt; 1 %</b>not to call; this customer left" in page
    assert "At the threshold in use: nobody" in page


def test_where_no_call_pays_the_report_offers_no_list_for_monday(content):
    assert "The list for Monday" in rendered(content)
    page = rendered(replace(content, profit=replace(content.profit, threshold=2.0)))
    assert "At these costs no call pays" in page
    assert "The list for Monday" not in page


def test_no_customer_is_shown_twice():
    probability = np.array([0.1, 0.3, 0.2])
    assert customers_to_show(probability, 0.9) == [1, 0]
    assert customers_to_show(probability, 0.21) == [1, 2, 0]
