"""Kaggle's own client against a double over HTTP; the real service is not tested."""

import sys

import pytest
from doubles import kaggle as double

from churn.config.data import DataConfig, Source
from churn.data.sources import kaggle
from churn.errors import UserError

CSV = b"id,months,left\na,1,yes\nb,2,no\n"


@pytest.fixture
def service(tmp_path, monkeypatch):
    from kagglesdk import kaggle_env

    datasets = {"ann/one": {"table.csv": CSV}, "ann/two": {"a.csv": CSV, "b.csv": CSV + b"c,3,no\n"}}
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KAGGLE_USERNAME", "ann")
    monkeypatch.setenv("KAGGLE_KEY", "secret")
    with double.running(datasets) as server:
        monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, server.url)
        yield server


def read(name, **keys):
    return kaggle.read_kaggle(DataConfig(source=Source.kaggle, kaggle=name, **keys))


def test_a_data_set_of_one_table_is_read_and_kept(service):
    assert read("ann/one").frame["months"].tolist() == ["1", "2"]
    assert service.asked == ["GetDataset", "DownloadDataset"]
    read("ann/one")
    assert service.asked == ["GetDataset", "DownloadDataset", "GetDataset"]


def test_one_of_several_tables_must_be_named(service):
    with pytest.raises(UserError, match=r"a\.csv, b\.csv") as refused:
        read("ann/two")
    assert "data.kaggle_file=FILE" in str(refused.value)
    assert len(read("ann/two", kaggle_file="b.csv").frame) == 3


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ann/none", "status 404"),
        ("ann/secret", "accept the data set's terms"),
        ("ann", "no name of a data set"),
    ],
)
def test_a_refusal_says_what_to_do(service, name, says):
    service.private.add("ann/secret")
    with pytest.raises(UserError, match=says) as refused:
        read(name)
    assert "data.path=FILE" in str(refused.value)


def test_without_a_network_the_error_says_how_to_use_a_local_file(service, monkeypatch):
    from kagglesdk import kaggle_env

    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"(?s)cannot be reached.*data\.path=FILE"):
        read("ann/one")


def test_without_the_extra_the_error_shows_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(UserError, match=r"churn\[kaggle\]"):
        read("ann/one")
