"""The graph encodes as scikit-learn does, and handles missing, rare and unknown values as documented."""

import numpy as np
import pandas as pd
import pytest

from churn.backend import tensorflow
from churn.config.training import ModelConfig
from churn.data.dataset import Schema
from churn.network.encoder import Encoder
from churn.network.encoding import fit_encoding, make_transformer, tree_inputs
from churn.network.trained import frame_tensors

CFG = ModelConfig(least_deviation=0, clip=0)


@pytest.fixture(scope="module")
def encoder(customers):
    return Encoder(fit_encoding(customers.frame, customers.schema, CFG))


def transformer(frame, schema):
    """scikit-learn's, of the texts themselves."""
    return make_transformer(schema, CFG, [frame[name].value_counts().index for name in schema.categorical])


def encode(encoder, customers, **changes):
    """The inputs of the first customer after some fields were changed."""
    row = customers.frame.iloc[[1]].assign(**changes)
    return encoder(*frame_tensors(row, customers.schema)).numpy()[0]


def unseen(encoder, customers, **changes):
    row = customers.frame.iloc[[1]].assign(**changes)
    numbers, categories = map(tensorflow().transpose, frame_tensors(row, customers.schema))
    return int(encoder.count_unseen(numbers, encoder.codes(categories)).numpy()[0])


@pytest.mark.parametrize("text", ["[UNK]", "\1"])
def test_a_text_that_keras_or_hive_reserves_is_a_level_like_any_other(customers, text):
    frame = customers.frame.assign(contract=np.where(customers.frame.contract == "one year", text, "monthly"))
    encoder = Encoder(fit_encoding(frame, customers.schema, CFG))
    assert unseen(encoder, customers, contract=text) == 0
    assert unseen(encoder, customers, contract="[OOV]") == 1


def test_the_graph_encodes_as_the_fitted_transformer_does(encoder, customers):
    fitted = transformer(customers.frame, customers.schema).fit(customers.frame)
    encoded = encoder(*frame_tensors(customers.frame, customers.schema)).numpy()
    assert encoded == pytest.approx(fitted.transform(customers.frame), abs=2e-5)
    assert encoded.mean(axis=0) == pytest.approx(0, abs=1e-5)
    assert encoded.std(axis=0) == pytest.approx(1, abs=1e-4)


def test_a_number_far_beyond_those_of_training_does_not_overflow_without_a_limit(customers):
    rows = customers.frame.assign(tenure=customers.frame["tenure"] * 1e-12)
    encoder = Encoder(fit_encoding(rows, customers.schema, CFG))
    encoded = encoder(*frame_tensors(rows.assign(tenure=9e29), customers.schema)).numpy()
    assert encoded.max() == 1e6


def test_a_rare_value_does_not_become_a_huge_input(customers):
    cfg = ModelConfig(least_deviation=0.3, clip=2)
    plain, bounded = (fit_encoding(customers.frame, customers.schema, c) for c in (CFG, cfg))
    assert plain.scale[2:].min() < 0.2
    assert np.array_equal(bounded.scale[:2], plain.scale[:2])
    assert bounded.scale[2:] == pytest.approx(np.maximum(plain.scale[2:], 0.3))
    inputs = frame_tensors(customers.frame, customers.schema)
    encoded = (Encoder(encoding)(*inputs).numpy() for encoding in (plain, bounded))
    expected = np.clip(next(encoded) * plain.scale / bounded.scale, -2, 2)
    assert next(encoded) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("missing", [np.nan, -1e30, -3e38])
def test_a_missing_number_is_the_median_with_a_flag(encoder, customers, missing):
    median = float(customers.frame["Monthly  charge"].median())
    with_median = encode(encoder, customers, **{"Monthly  charge": median})
    with_gap = encode(encoder, customers, **{"Monthly  charge": missing})
    assert with_gap[1] == with_median[1]
    assert np.flatnonzero(with_gap != with_median).tolist() == [2]  # the flag


def test_unknown_and_rare_levels_are_the_same_to_the_network(encoder, customers):
    rare = encode(encoder, customers, payment="barter")
    assert np.array_equal(encode(encoder, customers, payment="shells"), rare)
    assert not np.array_equal(encode(encoder, customers, payment="card"), rare)


def test_a_missing_category_is_a_level_of_its_own(encoder, customers):
    assert not np.array_equal(
        encode(encoder, customers, payment=""), encode(encoder, customers, payment="shells")
    )


def test_a_level_of_another_column_is_unknown(encoder, customers):
    assert np.array_equal(
        encode(encoder, customers, contract="card"), encode(encoder, customers, contract="shells")
    )


def test_fields_unlike_anything_in_training_are_counted(encoder, customers):
    assert unseen(encoder, customers) == 0
    assert unseen(encoder, customers, payment="barter") == 1  # too rare to be known
    assert unseen(encoder, customers, payment="shells") == 1
    assert unseen(encoder, customers, payment="shells", contract="card", tenure=1e5) == 3
    assert unseen(encoder, customers, tenure=np.nan) == 1  # never missing in training
    assert unseen(encoder, customers, **{"Monthly  charge": np.nan}) == 0


def test_the_least_and_the_greatest_number_of_training_are_not_unlike_it(encoder, customers):
    tenure = customers.frame["tenure"].astype(np.float32)
    for end, beyond in ((tenure.min(), -1.0), (tenure.max(), 1.0)):
        assert unseen(encoder, customers, tenure=float(end)) == 0
        assert unseen(encoder, customers, tenure=float(end) + beyond) == 1


@pytest.mark.parametrize("kept", ["numeric", "categorical"])
def test_tables_of_one_kind_of_column_are_encoded_too(customers, kept):
    schema = Schema(
        "left", ("yes",), **{"numeric": (), "categorical": (), kept: getattr(customers.schema, kept)}
    )
    encoder = Encoder(fit_encoding(customers.frame, schema, CFG))
    encoded = encoder(*frame_tensors(customers.frame, schema)).numpy()
    assert encoded == pytest.approx(
        transformer(customers.frame, schema).fit_transform(customers.frame), abs=2e-5
    )


def test_a_column_without_any_value_does_no_harm(customers):
    frame = customers.frame.assign(tenure=np.nan)
    encoded = Encoder(fit_encoding(frame, customers.schema, CFG))(
        *frame_tensors(frame, customers.schema)
    ).numpy()
    assert np.isfinite(encoded).all()


def test_trees_read_the_same_in_the_graph_as_in_memory(encoder, customers):
    frame = customers.frame.assign(
        payment=np.where(np.arange(len(customers)) % 50 == 0, "shells", customers.frame.payment)
    )
    frame.loc[:9, "tenure"], frame.loc[10:19, "Monthly  charge"] = np.nan, -2e30
    numbers, categories = map(tensorflow().transpose, frame_tensors(frame, customers.schema))
    in_graph = encoder.tree_inputs(numbers, encoder.codes(categories)).numpy()
    in_memory = tree_inputs(frame, customers.schema, encoder.encoding)
    assert np.array_equal(in_graph.T, in_memory)
    assert (in_memory[:10, 0] == encoder.encoding.median[0]).all()  # never missing in training
    assert (in_memory[10:20, 1] <= -1e30).all()  # as missing as others were


def test_the_inputs_do_not_depend_on_the_names_of_levels(customers):
    names = {text: f"{9 - i}{text}" for i, text in enumerate(sorted(set(customers.frame.contract)))}
    renamed = customers.frame.assign(contract=customers.frame.contract.map(names))
    inputs = [
        Encoder(fit_encoding(frame, customers.schema, CFG))(*frame_tensors(frame, customers.schema)).numpy()
        for frame in (customers.frame, renamed)
    ]
    assert np.array_equal(*inputs)


def test_a_level_of_few_customers_is_rare_however_many_rows_they_have(customers, encoder):
    months = pd.concat([customers.frame] * 9, ignore_index=True)
    ids = np.tile([f"C{i}" for i in range(len(customers))], 9)
    by_row, by_customer = (fit_encoding(months, customers.schema, CFG, of) for of in (None, ids))
    assert "barter" in by_row.positions[1]
    once = encoder.encoding
    assert by_customer.positions == once.positions
    assert (by_customer.rare, by_customer.widths) == (once.rare, once.widths)
    assert by_customer.shift[-5:] == pytest.approx(once.shift[-5:])


def test_the_text_of_a_rare_level_is_not_in_the_encoder(encoder, customers):
    assert (customers.frame["payment"] == "barter").any()
    assert set(encoder.vocabulary) == {"monthly", "one year", "two years", "cheque", "card", ""}
