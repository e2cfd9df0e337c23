"""A customer's hash recognises the customer, and names nobody to whom the key is unknown."""

import os
import stat
import threading

import numpy as np
import pandas as pd
import pytest

from churn.config.root import compose_config
from churn.data.id_hash import IdHash, id_hash
from churn.data.infer.cells import to_id, to_ids
from churn.errors import UserError

KEY = "a key that is long enough to be one"
SPELLINGS = [
    "7590-VHVEG", " 1001 ", "1001.0", "1e+05", "0042", "", "   ", r"\N", "#N/A", "ä ö", "9.5", "1e+5x",
    "-7.00", "\u00a0x\u00a0", "½", "hmac-00000000:0", "a\nb",
]  # fmt: skip


@pytest.fixture(autouse=True)
def without_a_key(monkeypatch, tmp_path):
    monkeypatch.delenv("CHURN_ID_KEY")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_one_id_is_read_like_a_column_of_ids():
    assert [to_id(text) for text in SPELLINGS] == to_ids(pd.Series(SPELLINGS, dtype="str")).tolist()


def test_all_spellings_of_an_id_have_one_hash_and_no_id_has_none():
    hash_id = IdHash(KEY.encode())
    assert hash_id("1001") == hash_id(" 1001.0") != hash_id("1002")
    assert hash_id(" ") == hash_id("") == ""
    assert hash_id(hash_id("1001")) == hash_id("1001")
    assert "1001" not in hash_id("1001")
    other = IdHash(KEY.encode() + b"!")
    assert other("1001") != hash_id("1001")
    assert hash_id.is_foreign(other("1001"))
    assert not hash_id.is_foreign(hash_id("1001"))
    assert hash_id.each(np.array(["1001", ""], object)).tolist() == [hash_id("1001"), ""]


def test_the_key_of_the_environment_comes_first(monkeypatch, tmp_path):
    monkeypatch.setenv("CHURN_ID_KEY", KEY)
    assert id_hash(compose_config())("1") == IdHash(KEY.encode())("1")
    assert not (tmp_path / "config").exists()


def test_the_first_use_makes_a_key_file_for_this_user_only_and_later_ones_read_it(tmp_path):
    old = os.umask(0)
    try:
        hashes, cfg = [], compose_config()
        threads = [threading.Thread(target=lambda: hashes.append(id_hash(cfg)("1"))) for _ in "12"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        os.umask(old)
    file = tmp_path / "config" / "churn" / "id.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert hashes == [IdHash(file.read_text().strip().encode())("1")] * 2
    assert [one.name for one in file.parent.iterdir()] == ["id.key"]


@pytest.mark.parametrize("key", ["", "short", " " * 99])
def test_a_short_key_is_refused(monkeypatch, tmp_path, key):
    file = tmp_path / "key"
    file.write_text(key)
    file.chmod(0o600)
    with pytest.raises(UserError, match="too short"):
        id_hash(compose_config(f"privacy.key_file={file}"))


def test_a_key_that_others_can_read_or_that_lies_among_the_runs_is_refused(tmp_path):
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(0o640)
    with pytest.raises(UserError, match="others may read"):
        id_hash(compose_config(f"privacy.key_file={file}"))
    with pytest.raises(UserError, match="among the runs"):
        id_hash(compose_config(f"privacy.key_file={tmp_path}/runs/key", f"run.root={tmp_path}/runs"))
    assert not (tmp_path / "runs").exists()
