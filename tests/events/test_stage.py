"""`churn snapshot` from the command line to the model and back: files, page, messages, no skew, labels."""

import errno
import gc
import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, SMALLEST, churn

from churn import pipeline
from churn.config.data import SplitMethod
from churn.config.events import ChurnKind
from churn.config.root import compose_config
from churn.data.declared import declared_facts, with_declared_roles
from churn.data.experiment import Experiment
from churn.data.load import load_dataset
from churn.data.stream.rows import open_stream
from churn.errors import UserError
from churn.events import report
from churn.events.definition import from_json, to_json
from churn.events.duck import snapshot_parts
from churn.events.stage import snapshot, synthesize
from churn.events.synthetic.tables import make_tables
from churn.events.synthetic.world import HORIZON
from churn.events.workspace import open_workspace
from churn.events.writing import write_snapshot
from churn.monitor.label_files import read_labels
from churn.monitor.labels import labels_from_table
from churn.score.stage import score
from events.conftest import day, definition, rows_at, shop

COMPANY = (
    "events=synthetic", "events.synthetic.customers=300", "events.synthetic.churn_rate=0.15",
    "events.windows=[30,90]",
)  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with the example's tables, a snapshot of them and its page, made as a user makes them."""
    folder = tmp_path_factory.mktemp("events")
    where = f"run.root={folder}"
    synthesize(compose_config(*COMPANY, where))
    said = churn("snapshot", *COMPANY, where, f"output={folder}/snapshots.parquet").stdout
    (folder / "said.txt").write_text(said)
    return folder


@pytest.fixture(scope="module")
def bundle(root):
    """A bundle that learnt from the snapshot."""
    learnt = ("data=parquet", f"data.path={root}/snapshots.parquet", f"run.root={root}")
    pipeline.run(compose_config(*learnt, f"run.dir={root}/run", *SMALLEST[1:]))
    return root / "run" / "bundle"


@pytest.fixture(scope="module")
def scored(root, bundle, tmp_path_factory):
    """A function: what `churn score *arguments` writes with that bundle."""

    def run(*arguments):
        output = tmp_path_factory.mktemp("scores") / "scores.csv"
        score(compose_config(f"bundle={bundle}", f"output={output}", f"run.root={root}", *arguments))
        return pd.read_csv(output).set_index("customer")

    return run


def test_training_takes_the_file_as_it_is_and_splits_it_by_time_with_a_gap(root):
    cfg = compose_config("data=parquet", f"data.path={root}/snapshots.parquet")
    data = load_dataset(cfg.data, cfg.seed)
    assert (data.schema.id, data.schema.time, data.schema.target) == ("customer", "cutoff", "churned")
    assert data.name == "subscriptions"
    cfg.data = with_declared_roles(cfg.data)
    assert cfg.data.horizon == HORIZON
    experiment = Experiment.split(data, cfg)
    parts = [
        data.times[rows]
        for rows in (experiment.splits.train, experiment.splits.validation, experiment.splits.test)
    ]
    for earlier, later in pairwise(parts):
        assert earlier.max() + np.timedelta64(HORIZON, "D") <= later.min()


def test_a_snapshot_that_is_too_large_for_memory_is_split_by_customer(root):
    given = ("data=parquet", f"data.path={root}/snapshots.parquet", "train.stream_rows=100")
    cfg = compose_config(*given)
    cfg.data = with_declared_roles(cfg.data)
    stream = open_stream(cfg)
    with pytest.raises(UserError, match=r"not split by time(.|\n)*do: split\.method=customer, or"):
        stream.split.splits_of(stream.sample)
    cfg.split.method = SplitMethod.customer
    splits = open_stream(cfg).split.splits_of(stream.sample)
    customers = [set(stream.sample.ids[rows]) for rows in (splits.train, splits.test)]
    assert min(map(len, customers)) > 10
    assert not set.intersection(*customers)


def test_what_the_user_says_about_columns_wins_over_the_file(root):
    cfg = compose_config(
        "data=parquet", f"data.path={root}/snapshots.parquet", "data.drop=[usage_recency]",
        "data.categorical=[payments_count_30d]", "data.name=mine",
    )  # fmt: skip
    schema = load_dataset(cfg.data, cfg.seed).schema
    assert "usage_recency" in schema.dropped
    assert "payments_count_30d" in schema.categorical
    assert "payments_count_30d" not in schema.numeric
    assert with_declared_roles(cfg.data).name == "mine"
    other = compose_config("data=parquet", f"data.path={root}/snapshots.parquet", "data.target=plans_plan")
    assert with_declared_roles(other.data) == other.data


def test_scoring_makes_the_features_of_today_with_the_code_of_training(root, scored, tmp_path):
    """The rows that scoring makes at a cut-off are those of the snapshot, which knew what came after."""
    table = pq.read_table(root / "snapshots.parquet").to_pandas()
    october = table[pd.to_datetime(table["cutoff"]) == "2024-10-01"]
    october.to_parquet(tmp_path / "october.parquet", index=False)
    today = scored("input=events", "score.cutoff=2024-10-01")
    assert len(today) > 60
    pd.testing.assert_frame_equal(today, scored(f"input={tmp_path}/october.parquet"))


def test_features_at_a_cutoff_are_the_same_once_the_future_is_there(shop_folder):
    """No skew: what is computed on the day itself is what the training table has of that day."""
    later = rows_at(definition(shop_folder), ["2024-07-01"]).drop(columns="churned")
    tables = shop()
    cutoff = pd.Timestamp("2024-07-01")
    orders = tables["orders"]
    orders[(orders["at"] < cutoff) & (orders["known"] < cutoff)].to_parquet(shop_folder / "orders.parquet")
    with open_workspace(definition(shop_folder)) as work:
        frozen = to_json(work.cfg)
    same_day = from_json(json.loads(json.dumps(frozen)), definition(shop_folder))
    today = rows_at(same_day, ["2024-07-01"], labelled=False)
    pd.testing.assert_frame_equal(today, later[list(today.columns)])


def test_no_row_is_kept_in_memory_where_nobody_looks_at_a_sample(shop_folder):
    with open_workspace(definition(shop_folder)) as work:
        parts = snapshot_parts(work, [day("2024-07-01")], labelled=False)
        contents = write_snapshot(parts, work.cfg, shop_folder / "s.parquet", 0, 0)
    assert contents.rows > 10
    assert not sum(map(len, contents.sample))


def test_the_file_and_the_bundle_hold_the_definition(root, bundle):
    told = declared_facts(compose_config("data=parquet", f"data.path={root}/snapshots.parquet").data)
    facts = json.loads((bundle / "assets.extra" / "bundle.json").read_text())
    assert facts["events"] == told["events"]
    assert facts["horizon"] == HORIZON
    restored = from_json(told["events"], compose_config().events)
    assert restored.tables["payments"].levels == {
        "method": ["bank transfer", "card", "wallet"],
        "status": ["failed"],
    }
    assert to_json(restored) == told["events"]
    earlier = told["events"] | {"until": "2024-01-01"}  # bundles had it: the tables have grown since
    assert from_json(earlier, compose_config().events) == restored


def test_a_definition_that_changed_since_training_is_refused(scored):
    with pytest.raises(UserError, match="is not the one that the model learnt from; other: windows"):
        scored("input=events", *COMPANY[:-1], "events.windows=[30]")
    with pytest.raises(UserError, match="other: windows"):
        scored("input=events", "events.windows=[30]")
    with pytest.raises(UserError, match="the newest event is of"):  # a name decides nothing
        scored("input=events", *COMPANY, "events.name=shop")


def test_scores_never_replace_a_table_that_they_are_made_of(root, scored):
    with pytest.raises(UserError, match=r"would replace what is read: events, table 'subscriptions'"):
        scored("input=events", f"output={root}/events/subscriptions.csv")


def test_tables_may_lie_elsewhere_when_scoring(root, scored, tmp_path):
    """The same definition, with the places of the configuration, or its folder alone."""
    for file in (root / "events").iterdir():
        (tmp_path / file.name).symlink_to(file)
    there = ("input=events", f"events.folder={tmp_path}", "score.cutoff=2024-12-31")
    elsewhere = scored(*there, *COMPANY)
    assert len(elsewhere) > 60
    pd.testing.assert_frame_equal(scored(*there), elsewhere)
    (tmp_path / "usage.parquet").unlink()
    with pytest.raises(UserError, match="no such file"):
        scored(*there)


def test_scoring_names_a_table_that_ends_early_beside_tables_that_do_not(root, scored, tmp_path, capsys):
    shutil.copytree(root / "events", tmp_path / "events")
    usage = pd.read_parquet(tmp_path / "events" / "usage.parquet")
    at = next(name for name in usage if "datetime" in str(usage[name].dtype))
    usage[usage[at] < "2024-11-20"].to_parquet(tmp_path / "events" / "usage.parquet", index=False)
    scored("input=events", f"events.folder={tmp_path}/events", "score.cutoff=2024-12-31")
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("! the newest event")]
    assert said == ["! the newest event of 'usage' is of 2024-11-20, 41 days before the cut-off 2024-12-31"]


def test_a_model_of_another_table_has_no_features_to_make(exported_bundle, tmp_path):
    cfg = compose_config(f"bundle={exported_bundle}", "input=events", f"output={tmp_path}/s.csv")
    with pytest.raises(UserError, match="did not learn from a snapshot of event tables") as error:
        score(cfg)
    assert "bundle=RUN/bundle" in error.value.do


def test_the_example_and_the_synthetic_customers_are_two_data_sets():
    assert compose_config("events=synthetic").events.name != compose_config().data.name


def test_the_monitor_takes_a_later_snapshot_for_labels(root):
    table = read_labels(str(root / "snapshots.parquet"))
    rows = pq.read_table(root / "snapshots.parquet").to_pandas()
    schema = load_dataset(
        compose_config("data=parquet", f"data.path={root}/snapshots.parquet").data, 0
    ).schema
    known = labels_from_table(table, "snapshots", schema, datetime(2025, 1, 1, tzinfo=UTC))
    cutoff = pd.Timestamp("2024-09-01")
    asked = rows[pd.to_datetime(rows["cutoff"]) == cutoff]
    made = np.full(len(asked), cutoff + pd.Timedelta(hours=9)).astype("datetime64[s]")
    outcome, _ = known.settle(asked["customer"].to_numpy(str), made, HORIZON)
    np.testing.assert_array_equal(outcome, asked["churned"])


def test_a_bundle_s_own_definition_makes_the_labels(root, bundle, tmp_path, capsys):
    snapshot(
        compose_config(
            f"bundle={bundle}", f"output={tmp_path}/labels.parquet", "events.cutoffs.first=2024-09-01",
            "events.until=2024-11-15",
        )
    )  # fmt: skip
    told = f"churn monitor monitor.labels={tmp_path}/labels.parquet"
    assert f"({told})" in capsys.readouterr().out
    assert f"<code>{told}</code>" in (tmp_path / "labels.html").read_text()
    found = pq.read_table(tmp_path / "labels.parquet").to_pandas()
    rows = pq.read_table(root / "snapshots.parquet").to_pandas()
    cutoff = pd.to_datetime(rows["cutoff"])
    expected = rows[(cutoff >= "2024-09-01") & (cutoff < "2024-11-01")]
    pd.testing.assert_frame_equal(found, expected.reset_index(drop=True), rtol=1e-5)


def test_the_page_says_what_one_chooses_a_definition_by(root):
    page = (root / "snapshots.html").read_text()
    for told in (
        "If the last one ends in the 28 days from the cut-off on, they have churned.",
        "How many churn, by cut-off",
        "From when on silence is an end",
        "Rows by customer",
        "Events by week",
    ):
        assert told in page
    assert "<script" not in page
    cutoffs = re.findall(r'<td class="date">([0-9-]+)</td>', page)
    assert len(cutoffs) == 21
    assert cutoffs == sorted(cutoffs)
    assert (root / "said.txt").read_text().count("! ") == page.count('class="finding"')


@pytest.mark.parametrize("output", ["mine", "events/usage"])
def test_a_snapshot_replaces_neither_a_table_that_it_reads_nor_a_page_of_others(root, tmp_path, output):
    shutil.copytree(root / "events", tmp_path / "events")
    (tmp_path / "mine.html").write_text("<title>My customers</title>")
    (tmp_path / "mine.parquet").write_bytes(b"old")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.*")}
    with pytest.raises(UserError, match=r"would (be )?replace"):
        snapshot(compose_config(*COMPANY, f"run.root={tmp_path}", f"output={tmp_path}/{output}.parquet"))
    assert {file: file.read_bytes() for file in tmp_path.rglob("*.*")} == before


def test_synthetic_tables_replace_only_synthetic_tables(root, tmp_path):
    (tmp_path / "plans.csv").write_text("mine")
    with pytest.raises(UserError, match=r"not from here: plans\.csv"):
        synthesize(compose_config(*COMPANY, f"events.folder={tmp_path}"))
    assert [file.name for file in tmp_path.iterdir()] == ["plans.csv"]
    synthesize(compose_config(*COMPANY, f"run.root={root}"))


def test_who_is_censored_and_a_window_longer_than_the_history_are_counted(root, tmp_path, capsys):
    """Customers whose outcome is not known yet have no row."""
    snapshot(compose_config(
        *COMPANY[:-1], "events.windows=[30,700]", f"run.root={root}", f"output={tmp_path}/s.parquet",
        "events.until=2024-12-10", "events.cutoffs.first=2024-10-01", "events.cutoffs.last=2024-12-01",
    ))  # fmt: skip
    done = capsys.readouterr().out
    cutoffs = set(pq.read_table(tmp_path / "s.parquet")["cutoff"].to_pylist())
    assert {str(day) for day in cutoffs} == {"2024-10-01", "2024-11-01"}
    assert "more, at 1 cut-off, have no row: their outcome was not known by 2024-12-10" in done
    assert "not known yet" in (tmp_path / "s.html").read_text()
    assert "the window of 700 days is longer than the history of 'usage'" in done


def test_a_column_that_decides_the_label_is_named(root, tmp_path):
    """The end of the contract as a property: known only because it has happened."""
    contracts = pd.read_csv(root / "events" / "subscriptions.csv")
    contracts.to_parquet(tmp_path / "contracts.parquet", index=False)
    cfg = compose_config(*COMPANY, f"run.root={root}")
    plans = cfg.events.properties["plans"]
    plans.path, plans.since, plans.numeric, plans.categorical, plans.dates = (
        str(tmp_path / "contracts.parquet"), "begin", [], [], ["end"],
    )  # fmt: skip
    with open_workspace(cfg.events) as work:
        made = report.make_snapshot(work, tmp_path / "s.parquet", 0)
    assert any("'plans_end' alone nearly gives the target away" in one.title for one in made.findings)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "no event tables are named"),
        (["events=synthetic"], "the file to write is not named"),
        (["events=synthetic", "output=s.csv"], "a snapshot is a Parquet file"),
        (["events=synthetic", "output=s.parquet"], "there is no such file"),
        (
            ["events=synthetic", "output=s.parquet", "events.timezone=Berlin"],
            "there is no time zone 'Berlin'",
        ),
        (
            ["events=synthetic", "output=s.parquet", "events.churn.table=subscription"],
            "did you mean 'subscriptions'",
        ),
        (
            ["events=synthetic", "output=s.parquet", "events.churn.kind=inactive"],
            "there is no 'subscriptions' for it",
        ),
        (
            ["events=synthetic", "output=s.parquet", "events.tables.usage.values=[at]"],
            "column 'at' has several roles",
        ),
        (["events=synthetic", "output=s.parquet", "events.cutoffs.first=soon"], "'soon' is no date"),
        (["events=synthetic", "output=s.parquet", "events.windows=[]"], "there is no window"),
        (["events=synthetic", "output=s.parquet", "events.horizon=0"], "events.horizon=0 makes no sense"),
        (["events=synthetic", "output=s.parquet", "events.windows=[30,30]"], "a window stands there twice"),
        (
            ["events=synthetic", "events.engine=bigquery", "events.plan_only=true"],
            "BigQuery reads its own tables only",
        ),
    ],
)
def test_a_wrong_definition_ends_with_one_message(arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as refused:
        snapshot(compose_config(*arguments, f"run.root={tmp_path}"))
    assert says in str(refused.value)
    assert not list(tmp_path.glob("*.parquet"))


def test_the_truth_of_the_example_is_the_share_that_leaves():
    cfg = compose_config("events.synthetic.customers=4000", "events.synthetic.months=8").events.synthetic
    tables = make_tables(cfg, seed=1)
    truth, contracts = tables["truth.parquet"], tables["subscriptions.csv"]
    end = pd.to_datetime(truth["customer"].map(contracts.set_index("customer")["end"]).replace("", None))
    cutoff = pd.to_datetime(truth["cutoff"])
    left = (end >= cutoff) & (end < cutoff + pd.Timedelta(days=HORIZON))
    expected, variance = truth["probability"].sum(), (truth["probability"] * (1 - truth["probability"])).sum()
    assert abs(left.sum() - expected) < 4 * np.sqrt(variance)
    assert truth["probability"].std() > 0.02


def test_every_key_of_the_example_is_read_from_its_file():
    assert (ROOT / "configs" / "events" / "synthetic.yaml").exists()
    cfg = compose_config("events=synthetic").events
    assert cfg.churn.kind is ChurnKind.cancelled
    assert cfg.tables["payments"].arrival == "booked_at"


def test_a_database_that_cannot_grow_is_one_message(root, tmp_path):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
    code = f"{limit} from churn.__main__ import main; main()"
    arguments = ["snapshot", *COMPANY, f"run.root={root}", f"output={tmp_path}/rows.parquet"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("churn: a file cannot be read or written: TransactionContext Error")
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_while_rows_are_written_is_one_error(root, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", refuse)
    with pytest.raises(OSError, match="No space left"):
        snapshot(compose_config(*COMPANY, f"run.root={root}", f"output={tmp_path}/rows.parquet"))
    gc.collect()  # what is left of the query says nothing: pytest makes an error of that
    assert not list(tmp_path.iterdir())
