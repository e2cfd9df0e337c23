"""Wrong commands that newcomers typed, each with one message that names what to type instead."""

import shlex
import sys

import pytest

from churn import __main__ as command_line

TABLE = "id,months,plan,left\n" + "".join(
    f"c{i},{i % 50},p{i % 3},{int((i * 37 % 100) > (i % 50) + 25)}\n" for i in range(100)
)
GERMAN = "Kundennr.;Monate;Status\n" + "".join(
    f"{i};{i % 50};{'gekündigt' if i % 3 else 'aktiv'}\n" for i in range(100)
)
WRONG = [  # what was typed after `churn`, and what the answer says
    ("trian", "did you mean 'train'"),
    ("Train", "did you mean 'train'"),
    ("predict", "do: churn score"),
    ("ui", "do: make ui"),
    ("data.path=mine.csv", "do: churn STAGE data.path=mine.csv"),
    ("-v", "do: churn --help"),
    ("--multirun model=dense", "no stage is named"),
    ("train help", "do: churn train --help"),
    ("train mine.csv", "do: churn train data=csv data.path=mine.csv data.target=COLUMN"),
    ("score mine.csv", "do: churn score input=mine.csv output=scores.csv"),
    ("score mine.csv monday.csv", "do: churn score input=mine.csv output=monday.csv"),
    ("promote runs/latest", "do: churn promote run=runs/latest"),
    ("train input=mine.csv", "do: churn train data=csv data.path=mine.csv data.target=COLUMN"),
    ("train --input=mine.csv", "do: churn train data=csv data.path=mine.csv data.target=COLUMN"),
    ("monitor input=mine.csv", "do: churn monitor monitor.labels=mine.csv"),
    ("retrain input=mine.csv", "do: leave it out; it is for churn score, export"),
    ("serve top=50", "do: leave it out; it is for churn score"),
    ("score input=mine.csv output=out.csv run=runs/X", "do: bundle=runs/X/bundle"),
    ("monitor run.dir=runs/X/bundle/", "do: bundle=runs/X/bundle"),
    ("status run=runs/X", "do: leave it out; it is for churn train, promote, retrain"),
    ("promote bundle=runs/X/bundle", "do: churn promote run=runs/X"),
    ("train bundle=runs/X/bundle", "do: leave it out; it is for churn score, serve"),
    ("synthesize events=synthetic output=events.csv", "do: leave it out, or events.folder=DIR"),
    ("promote latest", "do: churn promote run=runs/latest"),
    ("promote run=latest", "do: churn promote run=runs/latest"),
    ("promote run=runs/latest/bundle", "do: churn promote run=runs/latest"),
    ("forget", "do: churn forget id=ID"),
    ("train 'data.influence={x: [-1, 1]}'", "begin with a plus sign: +data.influence.x="),
    ("score --input mine.csv --output out.csv", "do: churn score input=mine.csv output=out.csv"),
    ("score -i mine.csv -o out.csv", "do: churn score input=mine.csv output=out.csv"),
    ("train data=csv --path mine.csv", "do: churn train data=csv data.path=mine.csv"),
    ("score --cfg", "do: churn score --cfg job"),
    ("score -c jobs", "do: churn score -c job"),
    ("score model=runs/latest", "do: bundle=runs/latest/bundle"),
    ("train --data=csv", "do: churn train data=csv"),
    ("train --epochs 3", "do: churn train train.epochs=3"),
    ("train -epochs=3", "do: churn train train.epochs=3"),
    ("serve --port 80", "do: churn serve serve.port=80"),
    ("monitor --days 30", "do: churn monitor monitor.days=30"),
    ("monitor days=30", "did you mean 'monitor.days'?"),
    ("app port=8051", "did you mean 'app.port'?"),
    ("loop --seeds 3", "do: churn loop loop.seeds=3"),
    ("deploy --plan", "do: churn deploy deploy.plan_only=true"),
    ("destroy deploy.plan_only=true", "do: leave it out; it is for churn deploy\n"),
    ("retrain deploy.plan_only=true", "do: leave it out; it is for churn deploy\n"),
    ("score input=events output=a.csv events.plan_only=true", "do: leave it out; it is for churn snapshot\n"),
    ("snapshot events=synthetic events.plan_only=true output=a.parquet", "do: events.engine=bigquery, or"),
    ("deploy plan=1", "did you mean 'deploy.plan_only'?"),
    ("deploy project=foo", "did you mean 'deploy.project'?"),
    ("train --dry-run", "there is no flag --dry-run"),
    ("train --config mine.yaml", "there is no flag --config"),
    ("app --share", "there is no flag --share"),
    ("promote version=1", "unknown configuration key 'version'\n"),
    ("serve port=80", "did you mean 'serve.port'?"),
    ("serve serve.port=99999", "do: choose a number that is from 0 to 65535"),
    ("serve serve.port=abc", "do: it takes a whole number, such as serve.port=8080"),
    ("score input = mine.csv output = out.csv", "do: churn score input=mine.csv output=out.csv"),
    ("score input= output=out.csv", "do: input=VALUE, or input=null for none"),
    ("train data.drop=[Fee, Tarif]", """do: type 'data.drop=["Fee","Tarif"]'"""),
    ("train data.drop=[Joined months ago]", """do: type 'data.drop=["Joined months ago"]'"""),
    ("train data.drop=[Fee,]", """do: type 'data.drop=["Fee"]'"""),
    ("train model.hidden=[32,]", "do: type 'model.hidden=[32]'"),
    ("train \"data.thousands='\"", """do: type 'data.thousands="'"'"'"'"""),
    ("train seed=4294967295", "do: choose a number that is from 0 to 2147483647"),
    ("train decision.customer_value=inf", "decision.customer_value=inf makes no sense"),
    ("train data.path=churn (1).csv", """do: type 'data.path="churn (1).csv"'"""),
    ("train 'data.path=churn (1).csv'", """do: type 'data.path="churn (1).csv"'"""),
    ("train 'data.drop=[Größe,x (2)]'", """do: type 'data.drop=["Größe","x (2)"]'"""),
    ("train data.path=my file.csv data=csv", """do: type 'data.path="my file.csv"'\n"""),
    ("train data.path=mine.csv,data.target=left", "do: type data.path=mine.csv data.target=left"),
    ("train data=csv,data.path=mine.csv", "do: type data=csv data.path=mine.csv"),
    ("train decision.customer_value=300,50", "do: type decision.customer_value=300.50"),
    ("train decision.customer_value=300€", "do: type decision.customer_value=300"),
    ("train data.synthetic.churn_rate=0,27", "do: type data.synthetic.churn_rate=0.27"),
    ("train data.synthetic.rows=100,000", "do: type data.synthetic.rows=100000"),
    ("train train.epochs=3,5", "do: -m train.epochs=3,5 runs the stage once for each"),
    ("train 'model.hidden=(64,64)'", "do: type 'model.hidden=[64,64]'"),
    ("train data=csv data.path=mine.csv target=left", "do: data.target=left names the column"),
    ("train data=excel", "data=csv reads files of all kinds, also .xlsx"),
    ("train data=csv data.path=https://h/x.csv", "do: training downloads it: data.url=https://h/x.csv"),
    ("train data.path=june,july.csv", """do: type 'data.path="june,july.csv"'"""),
    ("train data.path=a=b.csv", """do: type 'data.path="a=b.csv"'"""),
    ("train \"data.target=it's\"", """do: type 'data.target="it'"'"'s"'"""),
    ("train data.path=postgresql://u:hush@h/d?ssl=1", """type 'data.path="postgresql://u:***@h/d?ssl=1"'"""),
    ("train data.path=mine.csv data.target=left", "do: churn train data=csv data.path=mine.csv"),
    ("train data=mine.csv", "do: churn train data=csv data.path=mine.csv data.target=COLUMN"),
    ("train data=CSV", "did you mean 'csv'?"),
    ("train data=1", "choose by a word"),
    ("train data=[1,2]", "choose by a word"),
    ("train data=[", "no viable alternative"),
    ("train data=csv,telco", "do: -m data=csv,telco runs the stage once for each"),
    ("train data=csv", "do: data.path=FILE, or data=synthetic for synthetic customers"),
    ("train data.target=left", "your own: churn train data=csv data.path=FILE data.target=left"),
    ("train data=csv data.path=mine.cvs data.target=left", "did you mean 'mine.csv'?"),
    ("train data=csv data.path=mine.csv data.target=Left", "did you mean 'left'?"),
    ("train data=csv data.path=empty.csv data.target=left", "do: export it again, or name another file"),
    ("train data=csv data.path=german.csv data.target=Status", "of the values mean 'left', name them"),
    ("train data=csv data.path=german.csv data.target=Status data.churned=gekundigt", "'gekündigt' 66"),
    ("train model=tutorail", "unknown choice 'model=tutorail'; did you mean 'tutorial'?"),
    ("train model=xgboost", "do: one of: dense, network, tutorial"),
    ("train model.name=deep", "expected one of [tutorial, network, dense]"),
    ("train train.epoch=3", "unknown configuration key 'train.epoch'; did you mean 'train.epochs'?"),
    ("train epochs=3", "did you mean 'train.epochs'?"),
    ("train +train.foo=3", "docs/keys.md"),
    ("train train.epochs=0", "do: choose a number that is 1 or more"),
    ("train train.epochs=many", "do: it takes a whole number, such as train.epochs=12"),
    ("train data.drop=a,b", "do: type 'data.drop=[\"a\",\"b\"]'"),
    ("train train.profile=maybe", "do: it takes true or false, such as train.profile=false"),
    ("score", "do: churn score input=FILE output=FILE"),
    ("score input=missing.csv output=out.csv bundle=nowhere", "do: name a directory"),
    ("score input=mine.csv output=out.pdf", "do: one of: .csv, .tsv, .parquet"),
    ("score input=mine.csv output=mine.csv", "do: name another file: output=other.csv"),
    ("score input=mine.csv output=out.csv", "do: churn train, or name one: bundle=DIR"),
    ("monitor labels=labels.csv", "did you mean 'monitor.labels'?"),
    ("monitor monitor.days=1e300", "do: choose a number that is above 0 and at most 36500"),
    ("synthesize data.synthetic.start=heute output=a.csv", "'heute' is no date"),
    ("promote", "do: churn promote run=runs/latest"),
    ("export to=excel", "expected one of [bigquery, litert, onnx]"),
    ("loop target=vertex", "do: target=local"),
    ("snapshot", "events=synthetic"),
]  # fmt: skip


@pytest.fixture
def type_command(monkeypatch, tmp_path, capsys):
    """A function: exit code and output of `churn LINE`, in a folder with three tables."""
    (tmp_path / "mine.csv").write_text(TABLE)
    (tmp_path / "german.csv").write_text(GERMAN)
    (tmp_path / "empty.csv").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command_line, "_collect_garbage_rarely", lambda: None)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # `main` sets it

    def run(line):
        monkeypatch.setattr(sys, "argv", ["churn", *shlex.split(line)])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.mark.parametrize(("line", "says"), WRONG)
def test_a_wrong_command_ends_with_what_to_type_instead(line, says, type_command, tmp_path):
    code, _, error = type_command(line)
    assert says in error
    assert code == 2
    assert "Traceback" not in error
    assert {path.name for path in tmp_path.iterdir()} <= {"runs", "mine.csv", "german.csv", "empty.csv"}


@pytest.mark.parametrize(
    "line",
    [
        "train --data.path=postgresql://ann:tell@host/crm",
        "train data.path=postgresql://ann:tell@host/crm output=x",
        "promote input=postgresql://ann:tell@host/crm",
        "train postgresql://ann:tell@host/crm",
        "train 'data.url=https://host/t.csv?token=tell' extra",
        "tarin=postgresql://ann:tell@host/crm",
    ],
)
def test_no_message_about_a_wrong_command_shows_a_password(line, type_command):
    code, printed, error = type_command(line)
    assert code == 2
    assert "tell" not in printed + error


def test_no_traceback_shows_a_password(type_command, monkeypatch, capsys):
    def fail(_):
        raise RuntimeError("no answer from http://ann:tell@host/api")

    monkeypatch.setattr(command_line, "_run_and_flush", fail)
    with pytest.raises(RuntimeError) as bug:
        type_command("train")
    sys.excepthook(bug.type, bug.value, bug.tb)
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert "RuntimeError: no answer from http://ann:***@host/api" in error


@pytest.mark.parametrize("line", ["help", "--help", "", "train --help", "help train", "--version", "version"])
def test_help_and_version_are_printed(line, type_command):
    code, printed, _ = type_command(line)
    assert code == 0
    expected = "churn 0." if "version" in line else "train.epochs=12" if "train" in line else "churn train "
    assert expected in printed
