"""Train on all rows of a table in Parquet files; memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from churn.backend import make_deterministic
from churn.config.root import Config
from churn.config.serving import BeamRunner
from churn.data.dataset import Schema
from churn.data.features import to_matrices
from churn.data.stream.counts import Counts
from churn.data.stream.hash_split import TEST_PART
from churn.data.stream.rows import Stream, StreamRows
from churn.network import encoding, layers, trainer
from churn.network.fit import Trained, default_batch_size, frame_tensors, make_optimizer, predict_members
from churn.parallel import prefetch


def fit_stream(stream: Stream, cfg: Config, checkpoint: Path) -> Trained:
    """The network of `cfg.model`, cross-fitted on all rows but the test part, shuffled stretch by stretch.

    The encoding is fitted on the sample, its ranges are those of all rows. Goes on from `checkpoint`,
    which is written after every stretch. Held out are the rows of the sample that are not in its test part.
    """
    make_deterministic(cfg.seed)
    data, counts = stream.sample, _count_table(stream, cfg)
    keys = stream.split.dataset_keys(data)
    learnt = np.flatnonzero(stream.split.parts(keys) != TEST_PART)
    frame = data.frame.iloc[learnt]
    encoder = encoding.Encoder(_widened(encoding.fit_encoding(frame, data.schema, cfg.model), counts))
    network = layers.build_network(cfg.model, len(encoder.encoding.shift))
    size = cfg.train.batch_size or default_batch_size(counts.rows)
    optimizer = make_optimizer(cfg.train, cfg.train.epochs * -(-counts.rows // size))
    plan = [
        groups
        for epoch in range(cfg.train.epochs)
        for groups in stream.shuffled_groups(cfg.train.shuffle_rows, cfg.seed, epoch)
    ]
    fold_of_member = np.arange(cfg.model.members) % cfg.model.folds

    def blocks(done: int) -> Iterator[trainer.Block]:
        made = (
            encode_block(stream.rows(groups), encoder, data.schema, fold_of_member) for groups in plan[done:]
        )
        return prefetch(made, depth=1)

    training = trainer.Training(network, optimizer, checkpoint, size, cfg.seed)
    history = training.fit(blocks, len(plan))
    members = predict_members(network, encoder(*frame_tensors(frame, data.schema)))
    fold_of_row = stream.split.fold_of(keys[learnt])
    held_out = fold_of_row[:, None] == fold_of_member
    return Trained(
        data.schema, encoder, network, history,
        held_out_rows=learnt,
        held_out_probability=np.average(members, axis=1, weights=held_out),
        held_out_members=members,
        fold_of_row=fold_of_row,
        fold_of_member=fold_of_member,
    )  # fmt: skip


def _count_table(stream: Stream, cfg: Config) -> Counts:
    """Exact counts of the rows to learn from, by Beam's workers where the configuration says so."""
    if cfg.beam.runner is BeamRunner.none:
        return stream.count()
    from churn.data.stream.beam import count_with_beam

    return count_with_beam(stream, cfg)


def _widened(fitted: encoding.Encoding, counts: Counts) -> encoding.Encoding:
    """The encoding fitted on the sample, with the range of all rows."""
    return replace(fitted, lowest=counts.lowest, highest=counts.highest)


def encode_block(
    rows: StreamRows, encoder: encoding.Encoder, schema: Schema, fold_of_member: np.ndarray
) -> trainer.Block:
    """The rows as the network reads them; each member has weight 0 for the rows of its fold."""
    inputs = encoder.of_codes(*to_matrices(rows.features, schema, encoder.words))
    weights = (rows.fold[:, None] != fold_of_member).astype(np.float32)
    return trainer.Block(inputs, rows.churned[:, None], weights)
