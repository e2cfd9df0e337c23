"""Train on all rows of a table in Parquet files that is larger than memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from churn.backend import make_deterministic
from churn.config.root import Config
from churn.config.serving import BeamRunner
from churn.data.coded import to_matrices
from churn.data.dataset import Schema
from churn.data.stream.counts import Counts
from churn.data.stream.hash_split import TEST_PART
from churn.data.stream.row_groups import RowGroup
from churn.data.stream.rows import Stream, StreamRows
from churn.network import layers, trainer
from churn.network.boosting import fit_trees
from churn.network.crossfit import CrossfitPlan, TrainingRows, folds_of_members
from churn.network.encoder import Encoder
from churn.network.fit import stack_fitted, training_encoding
from churn.network.trained import Trained, frame_tensors
from churn.parallel import prefetch


def fit_stream(stream: Stream, cfg: Config, checkpoint: Path) -> Trained:
    """The model of `cfg.model`, cross-fitted on rows outside the test part; memory has a bound.

    The network learns from all rows, shuffled within each chunk of row groups (`train.shuffle_rows`). The
    encoding, the boosted trees and their weights come from the sample; the ranges of numbers are those of all
    rows. Continues from `checkpoint`, which is written after every chunk. Held out are the rows of the sample
    that are not in its test part.
    """
    make_deterministic(cfg.seed)
    training, counts = _sampled_rows(stream, cfg), _count_table(stream, cfg)
    schema, frame = training.data.schema, training.frame
    fitted = training_encoding(training, cfg)
    encoder = Encoder(replace(fitted, lowest=counts.lowest, highest=counts.highest))
    network = layers.build_network(cfg.model, len(fitted.shift))
    history = _fit_chunks(network, stream, encoder, counts.rows, cfg, checkpoint)
    trained = Trained(schema, encoder, network, history)
    inputs = encoder(*frame_tensors(frame, schema))
    return stack_fitted(training, trained, fit_trees(training, fitted, cfg), inputs)


def _sampled_rows(stream: Stream, cfg: Config) -> TrainingRows:
    """The rows of the sample outside its test part, in the folds of the stream."""
    keys = stream.split.dataset_keys(stream.sample)
    rows = np.flatnonzero(stream.split.parts(keys) != TEST_PART)
    fold, half = stream.split.fold_and_half(keys[rows])
    return TrainingRows(stream.sample, rows, CrossfitPlan(fold, half, folds_of_members(cfg.model)))


def _count_table(stream: Stream, cfg: Config) -> Counts:
    """Exact counts of the rows outside the test part, by Beam's workers if the configuration says so."""
    if cfg.beam.runner is BeamRunner.none:
        return stream.count()
    from churn.data.stream.beam import count_with_beam

    return count_with_beam(stream, cfg)


def _fit_chunks(
    network: Any, stream: Stream, encoder: Encoder, rows: int, cfg: Config, checkpoint: Path
) -> dict[str, list[float]]:
    """Train on every chunk of every epoch; gives the losses after each chunk."""
    train, folds = cfg.train, folds_of_members(cfg.model)
    size = train.batch_size or trainer.default_batch_size(rows)
    optimizer = trainer.make_optimizer(train, train.epochs * -(-rows // size))
    chunks = [
        groups
        for epoch in range(train.epochs)
        for groups in stream.shuffled_groups(train.shuffle_rows, cfg.seed, epoch)
    ]

    def blocks(done: int) -> Iterator[trainer.Block]:
        encoded = (
            encode_block(rows, encoder, stream.sample.schema, folds)
            for rows in learnt_rows(stream, chunks, done)
        )
        return prefetch(encoded, depth=1)

    training = trainer.Training(network, optimizer, checkpoint, size, cfg.seed)
    return training.fit(blocks, len(chunks), unit="chunk of rows")


def learnt_rows(stream: Stream, chunks: list[list[RowGroup]], done: int) -> Iterator[StreamRows]:
    """The rows of each chunk that has some to learn from, after the first `done` of these chunks."""
    has_rows = cache(lambda group: len(stream.rows([group]).churned) > 0)
    left = iter(chunks)
    for _ in range(done):  # a group of each is enough to know that
        next(groups for groups in left if any(map(has_rows, groups)))
    for groups in left:
        rows = stream.rows(groups)
        if len(rows.churned):
            yield rows


def encode_block(
    rows: StreamRows, encoder: Encoder, schema: Schema, fold_of_member: np.ndarray
) -> trainer.Block:
    """The rows as inputs of the network; a member has weight 0 for the rows of its fold."""
    inputs = encoder.encode(*to_matrices(rows.features, schema, encoder.vocabulary))
    weights = (rows.fold[:, None] != fold_of_member).astype(np.float32)
    return trainer.Block(inputs, rows.churned[:, None], weights)
