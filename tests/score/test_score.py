"""Scoring a file: every customer in order, or the list of customers to call."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import compose_config

from churn.bundle import export
from churn.bundle.bundle import Bundle
from churn.bundle.reasons import reason_outputs
from churn.data.table import RawTable
from churn.errors import UserError
from churn.score.call_list import call_list
from churn.score.common_reasons import set_apart
from churn.score.page import render_page
from churn.score.stage import score


@pytest.fixture(scope="module")
def table(customers, tmp_path_factory):
    """The path of a file with 800 customers, and its rows as a frame."""
    frame = customers.frame.assign(customer=[f"c{i}" for i in range(800)], worth=np.linspace(1, 400, 800))
    path = tmp_path_factory.mktemp("table") / "customers.csv"
    frame.to_csv(path, index=False)
    return path, frame


@pytest.fixture
def scored(table, exported_bundle, tmp_path, capsys):
    """A function: what `churn score *overrides` writes for that file."""

    def run(*overrides, name="out.csv"):
        output = tmp_path / name
        score(
            compose_config(f"bundle={exported_bundle}", f"input={table[0]}", f"output={output}", *overrides)
        )
        return pd.read_csv(output) if output.suffix == ".csv" else pd.read_parquet(output)

    return run


def test_every_customer_is_scored_in_input_order_whatever_the_chunks(scored, exported_bundle, customers):
    expected = Bundle.load(exported_bundle).predict(customers.frame)["churn_probability"]
    for rows in (7, 1_000):
        scores = scored(f"score.chunk_rows={rows}")
        first = ["customer", "churn_probability", "churn_probability_low", "churn_probability_high", "churn"]
        assert scores.columns[:5].tolist() == first
        assert scores.customer.tolist() == [f"c{i}" for i in range(800)]
        assert scores.churn_probability.to_numpy() == pytest.approx(expected, abs=1e-6)


def test_cells_are_read_as_those_that_the_model_learnt_from(scored):
    with pytest.raises(UserError, match=r"this model reads numbers like 1234\.56") as error:
        scored("data.decimal=','", "data.thousands=null")
    assert error.value.where == "data.decimal"
    assert len(scored("data.decimal=.")) == 800
    with pytest.raises(UserError, match="learnt from, no text means 'missing', beside blank"):
        scored("data.missing=['?']")
    assert len(scored("data.missing=[]")) == 800


def test_customers_can_be_sorted_by_their_probability(scored):
    assert scored("score.sort=true").churn_probability.is_monotonic_decreasing


def test_reasons_can_be_written_for_every_customer(scored):
    scores = scored("score.reasons=true", "score.chunk_rows=500")
    first = scores.loc[0]
    assert first.reason_1.endswith(f"({first.contribution_1:+.2f})")
    total = scores.filter(regex="contribution|average_probability").sum(axis=1)
    assert total.to_numpy() == pytest.approx(scores.churn_probability, abs=1e-5)


def test_the_list_holds_the_customers_whom_it_pays_most_to_call(scored):
    everyone = scored().sort_values("churn_probability", ascending=False, kind="stable")
    for rows in (7, 1_000):
        calls = scored("top=50", f"score.chunk_rows={rows}")
        assert calls.customer.tolist() == everyone.customer[:50].tolist()
        assert calls.expected_profit.is_monotonic_decreasing


def test_the_list_says_why_in_plain_words(scored, table):
    calls = scored("top=20")
    frame = table[1].set_index("customer")
    for _, row in calls.iterrows():
        column, value = row.reason_1.rsplit(" (", 1)[0].split(" is ")
        actual = frame.loc[row.customer, column]
        assert value == (actual if isinstance(actual, str) else f"{actual:,.6g}")


def test_the_list_s_profit_is_the_expected_one(scored):
    calls = scored("top=20", "decision.customer_value=500")
    p = calls.churn_probability
    assert calls.expected_profit.to_numpy() == pytest.approx(p * (0.3 * 490 - 1) - (1 - p) * 11, abs=6e-3)


def test_only_customers_that_are_worth_a_call_are_on_the_list(scored):
    worth = (scored().churn == 1).sum()
    assert 0 < worth < 800
    assert len(scored("top=800")) == worth


def test_with_a_value_for_each_customer_the_list_is_ranked_by_profit(scored):
    calls = scored("top=800", "decision.value_column=worth")
    assert calls.expected_profit.is_monotonic_decreasing
    assert (calls.expected_profit > 0).all()
    assert not calls.churn_probability.is_monotonic_decreasing


def test_a_value_that_is_not_a_number_is_refused(scored):
    with pytest.raises(UserError, match="customer"):
        scored("top=5", "decision.value_column=customer")
    with pytest.raises(UserError, match="profit"):
        scored("top=5", "decision.value_column=profit")


def test_the_list_is_as_long_as_the_capacity_needs(scored, capsys):
    calls = scored("top=300", "decision.capacity=50", "decision.control_share=0.5")
    assert calls.treated.sum() == 50
    assert 75 < len(calls) < 135
    assert calls.customer.tolist() == scored("top=300").customer[: len(calls)].tolist()
    assert f"50 to call, {len(calls) - 50} held out as control" in capsys.readouterr().out
    assert len(scored("top=50", "decision.capacity=10", "decision.control_share=0")) == 10
    assert len(scored("top=5", "decision.capacity=10")) == 5


@pytest.mark.parametrize("seed", range(6))
def test_a_short_list_has_a_control_group_of_at_least_one(scored, seed):
    calls = scored("top=10", f"seed={seed}", "decision.control_share=0.01")
    assert (calls.treated == 0).sum() == 1
    assert (
        scored("top=10", f"seed={seed}", "decision.capacity=8", "decision.control_share=0.01").treated.sum()
        == 8
    )
    assert scored("top=1", f"seed={seed}").treated.tolist() == [1]


def test_under_other_assumptions_nobody_is_listed_at_an_expected_loss(scored):
    usual, dear = scored("top=800"), scored("top=800", "decision.contact_cost=20")
    assert 0 < len(dear) < len(usual)
    assert (dear.expected_profit >= 0).all()  # rounded


def test_a_threshold_set_at_scoring_is_obeyed_and_so_is_a_key_set_to_its_default(
    scored, exported_bundle, tmp_path
):
    least = scored().churn_probability.quantile(0.9)
    calls = scored("top=800", f"decision.threshold={least}")
    assert len(calls) == (scored().churn_probability >= least).sum()
    bundle = tmp_path / "b"
    shutil.copytree(exported_bundle, bundle)
    facts = {name: fact for name, fact in Bundle.load(bundle).facts.items() if name != "format"}
    export.seal(bundle, facts | {"decision": {"contact_cost": 40.0, "top_share": 0.1}}, {})
    trained, back = (
        scored(f"bundle={bundle}", "top=5", *more)
        for more in ((), ("decision.contact_cost=1", "decision.top_share=null"))
    )
    assert (back.expected_profit - trained.expected_profit).to_numpy() == pytest.approx([39] * 5, abs=0.02)


def test_keys_of_the_decision_are_refused_where_they_change_nothing(scored):
    with pytest.raises(UserError, match="change the call list only"):
        scored("decision.threshold=0.6")
    with pytest.raises(UserError, match="fixed when a bundle is trained"):
        scored("top=5", "decision.top_share=0.2")


def test_a_customer_with_several_rows_is_listed_once(scored, table, tmp_path, capsys):
    pd.concat([table[1], table[1]]).to_csv(tmp_path / "twice.csv", index=False)
    once = scored("top=50").customer.tolist()
    for rows in (300, 2_000):
        calls = scored(f"input={tmp_path / 'twice.csv'}", "top=50", f"score.chunk_rows={rows}")
        assert calls.customer.tolist() == once
    printed = capsys.readouterr().out
    assert printed.count("1,600 rows, ") == 2
    assert printed.count("800 customers stand in 1,600 rows: each is on the list once, at most") == 2


def test_the_output_never_replaces_what_is_read(scored, table, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(table[0], folder / "customers.csv")
    (tmp_path / "link.csv").symlink_to(folder / "customers.csv")
    (tmp_path / "hard.csv").hardlink_to(folder / "customers.csv")
    before = (folder / "customers.csv").read_bytes()
    for source, output in (
        ("in/customers.csv", "in/customers.csv"),
        ("in/customers.csv", "in/../in/customers.csv"),
        ("in/customers.csv", "link.csv"),
        ("link.csv", "in/customers.csv"),
        ("in/customers.csv", "hard.csv"),
        ("in", "in/customers.csv"),
        ("in", "in/scores.csv"),
        ("in", "in"),
        ("in/*.csv", "in/customers.csv"),
    ):
        with pytest.raises(UserError, match="the output would"):
            scored(f"input={tmp_path / source}", f"output={tmp_path / output}")
    with pytest.raises(UserError, match=r"score\.do_not_contact"):
        scored("top=5", f"score.do_not_contact={tmp_path / 'link.csv'}", f"output={tmp_path / 'hard.csv'}")
    assert (folder / "customers.csv").read_bytes() == before
    assert len(scored(f"input={folder}", f"output={tmp_path / 'out.csv'}")) == 800


def test_scores_are_not_among_the_customers_of_the_next_month(scored, table, tmp_path):
    (tmp_path / "in").mkdir()
    shutil.copy(table[0], tmp_path / "in" / "customers.csv")
    for name in ("in/scores.csv", "in/../in/scores.csv"):
        with pytest.raises(UserError, match="the output would be read as a part of"):
            scored(f"input={tmp_path}/in/*.csv", name=name)
    assert len(scored(f"input={tmp_path}/in/*.csv", name="in/scores.parquet")) == 800


@pytest.mark.parametrize("content", ["customer;why\n{}\n", "{}\n", "id\n{}\n"])
def test_customers_who_must_not_be_contacted_are_left_out(scored, tmp_path, content):
    best = scored("top=3").customer.tolist()
    row = f"{best[0]};asked\n{best[2]};asked" if "why" in content else f"{best[0]}\n{best[2]}"
    path = tmp_path / "no.csv"
    path.write_text(content.format(row))
    calls = scored("top=50", f"score.do_not_contact={path}")
    assert not {best[0], best[2]} & set(calls.customer)
    assert best[1] in set(calls.customer)
    assert len(calls) == 50


def test_the_do_not_contact_file_can_be_parquet_or_empty(scored, tmp_path):
    best = scored("top=1").customer.tolist()
    pd.DataFrame({"why": ["asked"], "customer": best}).to_parquet(tmp_path / "no.parquet")
    assert best[0] not in set(scored("top=50", f"score.do_not_contact={tmp_path / 'no.parquet'}").customer)
    (tmp_path / "empty.csv").write_text("")
    assert len(scored("top=50", f"score.do_not_contact={tmp_path / 'empty.csv'}")) == 50
    with pytest.raises(UserError, match="no such file"):
        scored("top=50", "score.do_not_contact=nowhere.csv")


def test_a_do_not_contact_file_is_refused_where_all_customers_are_written(scored, tmp_path):
    with pytest.raises(UserError, match=r"add top=N"):
        scored(f"score.do_not_contact={tmp_path / 'no.csv'}")


def test_a_do_not_contact_file_without_the_id_is_refused(scored, tmp_path):
    path = tmp_path / "no.csv"
    path.write_text("name,why\nc1,asked\n")
    with pytest.raises(UserError, match="customer"):
        scored("top=50", f"score.do_not_contact={path}")


def test_a_do_not_contact_file_is_refused_where_the_customers_have_no_ids(scored, table, tmp_path):
    table[1].drop(columns="customer").to_csv(tmp_path / "nameless.csv", index=False)
    (tmp_path / "no.csv").write_text("customer\n7\n8\n")
    with pytest.raises(UserError, match="add the column 'customer'"):
        scored(f"input={tmp_path / 'nameless.csv'}", "top=50", f"score.do_not_contact={tmp_path / 'no.csv'}")


def test_a_cut_off_is_refused_where_no_event_tables_are_read(scored):
    with pytest.raises(UserError, match="input=events"):
        scored("score.cutoff=2026-11-30")


def test_the_control_group_is_random_but_the_same_in_every_list(scored):
    def treated(*overrides):
        return scored("decision.control_share=0.2", *overrides).set_index("customer").treated

    long, short = treated("top=300"), treated("top=100", "score.chunk_rows=50")
    assert set(long) == {0, 1}
    assert (long == 0).mean() == pytest.approx(0.2, abs=0.07)
    assert long[short.index].equals(short)
    assert not treated("top=300", "seed=7").equals(long)
    assert set(scored("top=300", "decision.control_share=0").treated) == {1}


def test_the_list_can_be_parquet_and_empty(scored):
    calls = scored("top=50", name="list.parquet")
    assert len(calls) == 50
    assert calls.dtypes["expected_profit"] == "float64"
    assert len(scored("top=50", "decision.value_column=worth", "decision.value_factor=1e-3")) == 0


def test_reasons_of_a_bundle_that_gives_them_in_every_answer_are_written_in_words(
    table, graph, tmp_path, scored
):
    export.write_saved_model(graph, tmp_path / "b", reasons=True)
    outputs = graph.outputs() | reason_outputs(graph.schema)
    facts = {"schema": vars(graph.schema), "inputs": export.describe_inputs(graph), "outputs": outputs}
    export.seal(tmp_path / "b", facts, {})
    first = scored("score.reasons=true")
    assert scored(f"bundle={tmp_path / 'b'}").reason_1.equals(first.reason_1)
    assert scored(f"bundle={tmp_path / 'b'}", "top=5").equals(scored("top=5"))


def test_customers_without_an_id_are_named_by_their_row(table, graph, tmp_path):
    export.write_saved_model(graph, tmp_path / "b")
    facts = {"schema": vars(replace(graph.schema, id=None)), "inputs": export.describe_inputs(graph)}
    export.seal(tmp_path / "b", facts, {})
    output = tmp_path / "out.csv"
    settings = [f"bundle={tmp_path / 'b'}", f"input={table[0]}"]
    score(compose_config(*settings, f"output={output}", "top=5", "score.chunk_rows=100"))
    by_row = pd.read_csv(output)
    score(compose_config(*settings, f"output={tmp_path / 'all.csv'}"))
    everyone = pd.read_csv(tmp_path / "all.csv").churn_probability
    assert by_row.churn_probability.tolist() == everyone[by_row.row - 1].tolist()
    assert everyone.nlargest(5).tolist() == by_row.churn_probability.tolist()


def test_a_kind_of_file_that_cannot_be_written_is_refused(scored):
    with pytest.raises(UserError):
        scored("top=5", "output=list.pdf")


def test_parquet_and_text_get_the_same_scores(scored, table, tmp_path):
    table[1].to_parquet(tmp_path / "in.parquet", row_group_size=300)
    typed = scored(f"input={tmp_path / 'in.parquet'}", "score.chunk_rows=250", name="out.parquet")
    text = scored(name="other.parquet")
    assert typed.customer.tolist() == text.customer.tolist()
    assert typed.churn_probability.to_numpy() == pytest.approx(text.churn_probability.to_numpy(), abs=1e-6)


def test_a_scoring_into_a_folder_goes_on_after_the_files_that_are_there(scored, tmp_path):
    folder = tmp_path / "scores"
    settings = ("score.chunk_rows=100", "score.chunks_per_file=3")
    whole = scored(*settings, name=folder.name)
    assert [file.name for file in sorted(folder.glob("*.parquet"))] == [
        f"part-0000{i}.parquet" for i in range(3)
    ]
    kept = (folder / "part-00000.parquet").stat().st_mtime_ns
    (folder / "part-00001.parquet").unlink()
    (folder / "part-00002.parquet").unlink()
    assert scored(*settings, name=folder.name).equals(whole)
    assert (folder / "part-00000.parquet").stat().st_mtime_ns == kept
    assert whole.equals(scored("score.chunk_rows=100", name="one.parquet"))


def test_a_scoring_that_goes_on_says_which_rows_its_remarks_are_about(scored, table, tmp_path, capsys):
    twice = pd.concat([table[1][:300], table[1]])
    twice.to_csv(tmp_path / "in.csv", index=False)
    settings = (f"input={tmp_path / 'in.csv'}", "score.chunk_rows=100", "score.chunks_per_file=3")
    scored(*settings, name="scores")
    printed = capsys.readouterr().out
    assert "300 customers stand in 600 rows" in printed
    assert "remarks are about" not in printed
    for left in range(1, 4):
        (tmp_path / "scores" / f"part-0000{left}.parquet").unlink()
    scored(*settings, name="scores")
    printed = capsys.readouterr().out
    assert "1 file there already: going on with the other rows; remarks are about these\n" in printed
    assert "customers stand in" not in printed


def test_a_folder_of_another_scoring_is_refused(scored):
    scored("score.chunk_rows=400", name="scores")
    for wrong in (["score.chunk_rows=300"], ["score.sort=true"], ["top=5"]):
        with pytest.raises(UserError, match=r"folder|sorted"):
            scored(*wrong, name="scores")


def test_a_folder_of_another_table_of_the_same_file_is_refused(scored, table, tmp_path):
    with closing(sqlite3.connect(tmp_path / "crm.db")) as crm:
        for name, rows in {"june": table[1][:50], "july": table[1][50:90]}.items():
            rows.to_sql(name, crm, index=False)
    june = (f"input={tmp_path / 'crm.db'}", "data.table=june")
    assert len(scored(*june, name="scores")) == len(scored(*june, name="scores")) == 50
    with pytest.raises(UserError, match="scores of other rows"):
        scored(june[0], "data.table=july", name="scores")


def test_rows_without_an_order_are_not_scored_into_a_folder(scored, tmp_path):
    (tmp_path / "delta" / "_delta_log").mkdir(parents=True)
    for source in (
        [f"input=sqlite:///{tmp_path}/crm.db"],
        [f"input={tmp_path / 'delta'}"],
        ["data.query=SELECT 1"],
    ):
        with pytest.raises(UserError, match="have no order"):
            scored(*source, name="scores")


def test_customers_in_several_rows_are_counted(table, exported_bundle, tmp_path, capsys):
    pd.concat([table[1], table[1][:100]]).to_csv(tmp_path / "twice.csv", index=False)
    here = (f"bundle={exported_bundle}", f"input={tmp_path / 'twice.csv'}", f"output={tmp_path / 'out.csv'}")
    score(compose_config(*here, "score.chunk_rows=300"))
    said = "100 customers stand in 200 rows: each row has its score; top=N lists each customer once"
    assert said in capsys.readouterr().out
    assert len(pd.read_csv(tmp_path / "out.csv")) == 900


def test_the_list_says_what_to_do_with_each_customer(scored, capsys):
    calls = scored("top=50", "decision.control_share=0.3")
    assert calls.action.eq("call").tolist() == calls.treated.eq(1).tolist()
    assert set(calls.action) == {"call", "keep as control"}
    assert "'keep as control' means: do not call" in capsys.readouterr().out


def test_columns_to_call_by_are_carried_along(scored, table, tmp_path):
    frame = table[1].assign(name=[f"Ann {i}" for i in range(800)], phone=[f"+49 0{i}" for i in range(800)])
    frame.to_csv(tmp_path / "in.csv", index=False)
    frame.to_parquet(tmp_path / "in.parquet")
    keep = "score.keep=[phone,name,phone,worth]"
    for file in ("in.csv", "in.parquet"):
        everyone = scored(f"input={tmp_path / file}", keep)
        assert everyone.columns[:5].tolist() == ["customer", "phone", "name", "worth", "churn_probability"]
        assert everyone.phone.tolist() == frame.phone.tolist()
        calls = scored(
            f"input={tmp_path / file}", keep, "top=20", "score.chunk_rows=100", name="monday.parquet"
        )
        expected = frame.set_index("customer").loc[calls.customer]
        assert calls.columns[:5].tolist() == ["customer", "phone", "name", "worth", "action"]
        assert calls.name.tolist() == expected.name.tolist()
        assert calls.worth.astype(float).to_numpy() == pytest.approx(expected.worth)
    with pytest.raises(UserError, match="no column 'nam'; did you mean 'name'"):
        scored(f"input={tmp_path / 'in.csv'}", "score.keep=[nam]")
    frame.assign(reason_1="late invoice").to_csv(tmp_path / "in.csv", index=False)
    with pytest.raises(UserError, match="the scores have a column 'reason_1' themselves"):
        scored(f"input={tmp_path / 'in.csv'}", "score.keep=[reason_1]")


def test_texts_to_call_by_stay_as_they_are_written_in_every_file_and_list(scored, table, tmp_path):
    texts = ["1.0", "2.0", "3e+05", "007", "#N/A", "NA", "Ann", ""] * 100
    frame = table[1].assign(note=texts)
    frame.to_csv(tmp_path / "in.csv", index=False)
    frame.to_parquet(tmp_path / "in.parquet", row_group_size=300)
    for file in ("in.csv", "in.parquet"):
        here = (f"input={tmp_path / file}", "score.keep=[note]")
        assert scored(*here, name="out.parquet").note.tolist() == texts
        calls = scored(*here, "top=800", name="monday.parquet")
        assert calls.note.tolist() == frame.set_index("customer").note[calls.customer].tolist()


def test_a_column_to_call_by_whose_type_changes_in_the_file_is_text(scored, table, tmp_path):
    phones = [None if i < 400 else i if i < 600 else f"+49 {i}" for i in range(800)]
    frame = table[1].assign(phone=pd.Series(phones, dtype=object)).set_index("customer", drop=False)
    frame.to_json(tmp_path / "in.jsonl", orient="records", lines=True)
    settings = ("score.keep=[phone]", "top=800", "score.chunk_rows=100")
    calls = scored(f"input={tmp_path / 'in.jsonl'}", *settings, name="monday.parquet")
    assert calls.phone.tolist() == [str(phone or "") for phone in frame.phone[calls.customer]]


def test_rows_can_be_sorted_if_a_kept_text_repeats_in_one_file_only(scored, table, tmp_path):
    (tmp_path / "in").mkdir()
    for number, notes in enumerate((["none"] * 800, [f"note {i}" for i in range(800)])):
        table[1].assign(note=notes).to_parquet(tmp_path / "in" / f"{number}.parquet")
    scores = scored(f"input={tmp_path / 'in'}", "score.keep=[note]", "score.sort=true")
    assert (scores.note == "none").sum() == 800


def test_a_reason_that_most_share_is_said_once_and_comes_last():
    rows = [["A is 1 (+0.20)", f"B is {i} (+0.10)", "C is 3 (-0.05)"] for i in range(6)]
    rows[5][2] = "D is 1 (+0.04)"
    ordered, common = set_apart(pd.DataFrame(rows, columns=["reason_1", "reason_2", "reason_3"]))
    assert common == ["6 of 6: A is 1", "5 of 6: C is 3"]
    assert ordered.reason_1.tolist() == [f"B is {i} (+0.10)" for i in range(6)]
    assert ordered.loc[5].tolist() == ["B is 5 (+0.10)", "D is 1 (+0.04)", "A is 1 (+0.20)"]
    assert set_apart(pd.DataFrame(rows[:4]))[1] == []


def test_the_page_for_the_boss_shows_who_why_and_what_it_brings(scored, tmp_path):
    page = tmp_path / "monday.html"
    calls = scored("top=20", f"score.page={page}", "decision.currency=€", "decision.customer_value=500")
    assert page.stat().st_mode & 0o777 == 0o640
    text = page.read_text()
    called = calls[calls.treated == 1]
    assert f"€{called.expected_profit.sum():,.0f}</b>is what these calls should bring" in text
    assert all(f">{customer}</td>" in text for customer in calls.customer)
    assert calls.reason_1[0] in text
    assert text.count("<main>") == 1
    assert "the probability that the customer leaves, with" in text, "no horizon without a column of time"
    with pytest.raises(UserError, match="the page shows a call list"):
        scored(f"score.page={page}")


def test_of_customers_without_an_id_the_control_group_is_a_share_not_all_or_none(scored, table, tmp_path):
    table[1].assign(customer="").to_csv(tmp_path / "blank.csv", index=False)
    settings = ("top=300", "decision.control_share=0.2", "score.chunk_rows=500")
    calls = scored(f"input={tmp_path / 'blank.csv'}", *settings)
    assert calls.churn_probability.equals(scored(*settings).churn_probability)
    assert (calls.treated == 0).mean() == pytest.approx(0.2, abs=0.07)


def test_the_page_names_an_interval_only_where_the_model_has_one(exported_bundle, table):
    cfg, bundle = compose_config("top=5"), Bundle.load(exported_bundle)
    listed = call_list(bundle, [RawTable(table[1], "customers.csv")], cfg)
    assert "90 % interval" in render_page(listed, bundle)
    without = listed.table.drop(columns=["churn_probability_low", "churn_probability_high"])
    assert "interval" not in render_page(listed._replace(table=without), bundle).partition("</style>")[2]


def test_a_blank_cell_is_blank_on_the_page(scored, table, tmp_path):
    page = tmp_path / "monday.html"
    phone = pd.Series([None if i % 2 else 4900 + i for i in range(800)], dtype="float64")
    table[1].assign(phone=phone, vip=pd.array([None, True] * 400)).to_parquet(tmp_path / "in.parquet")
    keep = "score.keep=[phone,vip]"
    calls = scored(f"input={tmp_path / 'in.parquet'}", "top=20", keep, f"score.page={page}")
    for number in calls.customer.str[1:].astype(int):
        cells = [f"c{number}", *(["", "True"] if number % 2 else [str(4900 + number), ""])]
        assert "".join(f'<td class="name">{cell}</td>' for cell in cells) in page.read_text()


def test_a_currency_changes_nobody_s_place(scored):
    pd.testing.assert_frame_equal(scored("top=800"), scored("top=800", "decision.currency=EUR"))
