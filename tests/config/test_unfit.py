"""A YAML file that does not fit the declared keys ends with its name, the key and what it takes."""

import pytest

from churn.config.root import compose_config
from churn.config.unfit import unfit_file

UNFIT = [
    (b"numeric: tenure", "key data.numeric", "it takes a list: numeric: [VALUE]"),
    (b"numeric: {tenure: 1}", "key data.numeric", "it takes a list: numeric: [tenure]"),
    (b"target: [left]", "key data.target", "it takes one text: target: TEXT"),
    (b"synthetic: 3", "key data.synthetic", "keys of its own, such as rows:"),
    (b"synthetic: {rows: many}", "key data.synthetic.rows", "a whole number, such as rows: 10000"),
    (b"thousand: x", "data/mine.yaml", "did you mean 'data.thousands'?"),
]


@pytest.mark.parametrize(("text", "where", "says"), UNFIT)
def test_a_file_that_does_not_fit_the_keys_is_named_with_the_key_and_what_it_takes(write, text, where, says):
    write(text)
    with pytest.raises(Exception, match="while composing config") as raised:
        compose_config()
    message = str(unfit_file(raised.value))
    assert f"where: data/mine.yaml{where.removeprefix('data/mine.yaml') and ', ' + where}" in message
    assert says in message
    assert "Config" not in message


def test_an_error_that_is_about_no_file_is_left_to_others():
    with pytest.raises(Exception, match="epoch") as raised:
        compose_config("train.epoch=3")
    assert unfit_file(raised.value) is None
