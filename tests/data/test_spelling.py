import re

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn.config.data import DataConfig
from churn.data.spelling import apply_steps, level_steps, one_spelling, spell_alike, spelling_steps

GERMAN = DataConfig(decimal=",", thousands=".", missing=["k.A.", "-99"])
pieces = st.sampled_from(
    ["true", "FALSE", "1", "0", "-2", ".0", ",00", ".000", "a", "é", " ", "\xa0", "\u3000", "\t", "\x1c",
     "\\N", "#N/A", "k.A.", "-99", "?", "\n", "(", "."]
)  # fmt: skip
any_text = st.lists(pieces, max_size=4).map("".join) | st.text(max_size=5)


@pytest.mark.parametrize(
    ("spellings", "one"),
    [
        (["TRUE", "True", "true", " true ", "1", "1.0", "1.000"], "1"),
        (["FALSE", "False", "0", "0.0", "-"], "0"),
        (["12", "12.00", "\xa012\u3000"], "12"),
        (["\\N", "#DIV/0!", "", "  ", "-99", "-99.0"], ""),
    ],
)
def test_the_spellings_of_one_thing_become_one(spellings, one):
    rules = DataConfig(missing=["-99"])
    assert {one_spelling(text, rules) for text in spellings if text != "-"} == {one}


@pytest.mark.parametrize(
    "text", ["007", "yes", "t", "3.10", "1.5", "v1.0", "None", "N", "truely", "a b", "1e3"]
)
def test_a_text_that_may_be_a_level_of_its_own_stays_as_it_is(text):
    assert one_spelling(text) == text


def test_a_level_of_a_table_with_commas_is_that_of_typed_numbers():
    assert [apply_steps(text, level_steps(GERMAN)) for text in ("1,5", "1.5", "-2,0", "a,5")] == [
        "1.5", "1.5", "-2", "a,5"
    ]  # fmt: skip
    assert level_steps(DataConfig()) == spelling_steps(DataConfig())


@settings(deadline=None)  # TensorFlow starts slowly
@given(st.lists(any_text, min_size=1, max_size=30))
def test_python_arrow_and_tensorflow_spell_alike_and_twice_is_once(texts):
    import tensorflow as tf

    for steps in (spelling_steps(), spelling_steps(GERMAN), level_steps(GERMAN)):
        expected = [apply_steps(text, steps) for text in texts]
        assert [apply_steps(text, steps) for text in expected] == expected
        assert spell_alike(pd.Series(texts, dtype="str"), steps).tolist() == expected
        tensor = tf.constant([text.encode() for text in texts])
        for pattern, replacement in steps:
            tensor = tf.strings.regex_replace(tensor, pattern, replacement)
        assert [text.decode() for text in tensor.numpy()] == expected


def test_every_blank_of_unicode_is_stripped():
    for code in range(0x3001):
        if chr(code).isspace():
            assert one_spelling(f"{chr(code)}x{chr(code)}") == "x", hex(code)
    assert re.sub("x", "", one_spelling("\u200bx")) == "\u200b"
