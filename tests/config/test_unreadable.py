"""A YAML file that cannot be read ends with its name, the place and what to do."""

import pytest
from conftest import churn

from churn.config.root import compose_config
from churn.errors import UserError

BROKEN = [
    (b"numeric:\n\t- tenure\n", "line 2, column 1", "blanks instead of tabs"),
    (b"numeric: [tenure\n", "line 1, column 10", "close the bracket"),
    (b"target: Gek: uendigt\n", "line 1, column 12", "in quotes"),
    (b"name: a\nname: b\n", "line 2, column 1", "keep one of the two"),
    (b'name: "a\n', "line 1, column 7", "close the quotes"),
    (b"name: a\0b\n", "mine.yaml", "in quotes"),
    ("churned: [gekündigt]".encode("cp1252"), "mine.yaml", "UTF-8"),
]


@pytest.mark.parametrize(("text", "where", "do"), BROKEN)
def test_a_file_that_is_no_yaml_is_named_with_the_place_and_the_remedy(write, text, where, do):
    write(text)
    with pytest.raises(UserError) as error:
        compose_config()
    assert "data/mine.yaml" in error.value.where
    assert where in error.value.where
    assert do in error.value.do


@pytest.mark.parametrize("text", ["numeric: [tenure", "passwort: x"], ids=["unreadable", "unfit"])
def test_the_command_line_ends_with_that_message(tmp_path, text):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.yaml").write_text(text)
    done = churn("train", "--config-dir", str(tmp_path), "data=mine", code=2, cwd=tmp_path)
    assert "data/mine.yaml" in done.stderr
    assert done.stderr.count("\n") == 3
