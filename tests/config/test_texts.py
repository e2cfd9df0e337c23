"""A text of the configuration is read as it is written, or a message names key, value and the quotes."""

from pathlib import Path

import pytest
from conftest import churn, compose_config
from hydra.core.override_parser.overrides_parser import OverridesParser

from churn.config.root import Config
from churn.config.texts import check_files, keep_texts
from churn.errors import UserError


@pytest.mark.parametrize(
    ("override", "key", "text"),
    [
        ("data.id=007", "id", "007"),
        ("data.id=no", "id", "no"),
        ("data.id=true", "id", "true"),
        ("data.id=1e5", "id", "1e5"),
        ("data.id=1_000", "id", "1_000"),
        ("data.id=nan", "id", "nan"),
        ("data.target=-0", "target", "-0"),
        ("data.path=2024.10", "path", "2024.10"),
        ("data.id=null", "id", None),
        ('data.id="007"', "id", "007"),
        ("data.churned=[no]", "churned", ["no"]),
        ("data.churned=[true, 1.50]", "churned", ["true", "1.50"]),
        ("data.missing=[NA, null, -99.0, +1]", "missing", ["NA", "null", "-99.0", "+1"]),
        ("data.churned=[left, 'went, away']", "churned", ["left", "went, away"]),
        ("data.churned=[]", "churned", []),
        ("data.churned=[gekündigt]", "churned", ["gekündigt"]),
        ("data.target=Abgang 2026 für Müller", "target", "Abgang 2026 für Müller"),
        ("data.path=~/june 1.csv", "path", str(Path.home() / "june 1.csv")),
        ('data.path="~/june.csv"', "path", str(Path.home() / "june.csv")),
        ("data.target=~/june", "target", "~/june"),
        ("data.horizon=60", "horizon", 60),
    ],
)
def test_on_the_command_line_a_text_stays_as_it_is_written(override, key, text):
    value = OverridesParser.create().parse_override(keep_texts([override], Config)[0]).value()
    words = [str(word) for word in value] if isinstance(value, list) else value
    assert (words if words is None or isinstance(text, list | int) else str(words)) == text


def test_notebooks_and_programs_keep_texts_too():
    data = compose_config(
        "data.id=007", "data.target=1e5", "data.churned=[true]", "data.missing=[null,-99.0]"
    ).data
    assert (data.id, data.target, data.churned, data.missing) == ("007", "1e5", ["true"], ["null", "-99.0"])


def test_the_home_folder_may_be_written_as_a_tilde_wherever_a_path_is_set():
    events = ("events=synthetic", "events.tables.usage.path='~/x.csv'")
    cfg = compose_config("run.root='~/runs'", *events, "card.misuse='~/x'")
    paths = (cfg.run.root, cfg.data.cache, cfg.events.tables["usage"].path)
    assert paths == tuple(str(Path.home() / name) for name in ("runs", "runs/cache", "x.csv"))
    assert cfg.card.misuse == "~/x"


def test_values_of_keys_that_the_user_chooses_stay_texts_too():
    assert keep_texts(["+events.tables.x.only.plan=[007, gold]"], Config) == [
        '+events.tables.x.only.plan=["007",gold]'
    ]
    others = ["seed=7", "train.epochs=1e1", "model=dense", "--cfg", "job", "data.id=1,2"]
    assert keep_texts(others, Config) == others


def problems(folder, text, group="data"):
    """The message about a file of the user's, or None."""
    (folder / group).mkdir()
    (folder / group / "mine.yaml").write_text(text)
    runtime = {"config_sources": [{"path": str(folder), "schema": "file"}], "choices": {group: "mine"}}
    try:
        check_files(runtime, Config)
    except UserError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("churned: [no]", ["YAML reads no as False", "key data.churned", 'write "no", in quotes']),
        ("churned:\n- Yes", ["YAML reads Yes as True", "key data.churned"]),
        ("id: 007", ["YAML reads 007 as 7", "key data.id", 'write "007", in quotes']),
        ("id: on", ["YAML reads on as True"]),
        ("path: 1_000", ["YAML reads 1_000 as 1000"]),
        ("missing: [-99.0, 1e3, 0x1F]", ["0x1F as 31", "1e3 as 1000.0"]),
        ("bigquery: {table: 010}", ["YAML reads 010 as 8", "key data.bigquery.table"]),
        ("# @package _global_\ndata: {id: no}", ["YAML reads no as False", "key data.id"]),
        ("id: no\nchurned: [off]", ["data.id", "data.churned"]),
        ("numeric: &columns [no]\nbigquery: {<<: {table: 010}}", ["key data.numeric"]),
        ('churned: ["no", left, 2024, True]\nid: "007"', None),
        ("horizon: 060", ["YAML reads 060 as 48", "key data.horizon", "write it as a decimal number"]),
        ("max_bad_rows: 1:30", ["YAML reads 1:30 as 90"]),
        ("horizon: 1_000\ndrop_copies: yes\nsynthetic: {dates: on, churn_rate: .3}\nid: null", None),
    ],
)
def test_in_a_file_a_value_that_yaml_misreads_is_named_with_the_quotes_to_add(tmp_path, text, says):
    message = problems(tmp_path, text)
    assert message if says else message is None
    assert all(word in message for word in says or [])


def test_levels_of_event_tables_are_texts(tmp_path):
    message = problems(tmp_path, "tables: {visits: {only: {kind: [no]}, levels: {plan: [007]}}}", "events")
    assert "key events.tables.visits.only.kind" in message
    assert "key events.tables.visits.levels.plan" in message


@pytest.mark.parametrize(
    ("line", "says"),
    [("churned: [no]", "YAML reads no as False"), ("missing: [NA, null]", 'write "null", in quotes')],
)
def test_the_command_line_ends_with_that_message(tmp_path, line, says):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.yaml").write_text(f"source: file\npath: x.csv\ntarget: left\n{line}\n")
    done = churn("train", "--config-dir", str(tmp_path), "data=mine", code=2, cwd=tmp_path)
    assert says in done.stderr
    assert done.stderr.count("\n") == 3
