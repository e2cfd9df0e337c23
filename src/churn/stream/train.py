"""Train on all rows of a table in Parquet files; memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from churn import loop, model, preprocess
from churn.ahead import ahead
from churn.backend import make_repeatable
from churn.checkpoint import Checkpoint
from churn.columns import matrices
from churn.config import BeamRunner, Config
from churn.progress import epochs_bar
from churn.schema import Schema
from churn.stream.counts import Counts
from churn.stream.deal import TEST
from churn.stream.rows import Rows, Stream
from churn.train import Trained, members_of, optimizer, suitable_batch_size, tensors


def train(stream: Stream, cfg: Config, checkpoint: Path) -> Trained:
    """The network of `cfg.model`, cross-fitted on all rows but the test part, shuffled stretch by stretch.

    The encoding is fitted on the sample, its ranges are those of all rows. Goes on from `checkpoint`,
    which is written after every stretch. Held out are the rows of the sample that are not in its test part.
    """
    make_repeatable(cfg.seed)
    data, counts = stream.sample, counted(stream, cfg)
    keys = stream.deal.keys_of(data)
    learnt = np.flatnonzero(stream.deal.parts(keys) != TEST)
    frame = data.frame.iloc[learnt]
    encoder = preprocess.Encoder(counts.widened(preprocess.fit(frame, data.schema, cfg.model)))
    network = model.build(cfg.model, len(encoder.encoding.shift))
    size = cfg.train.batch_size or suitable_batch_size(counts.rows)
    rule = optimizer(cfg.train, cfg.train.epochs * -(-counts.rows // size))
    learn = loop.epoch_of(network, rule, xla=False)
    state = Checkpoint(checkpoint, [*network.variables, *rule.variables])
    state.load()
    plan = [
        groups
        for epoch in range(cfg.train.epochs)
        for groups in stream.stretches(cfg.train.stretch_rows, cfg.seed, epoch)
    ]
    fold_of_member = np.arange(cfg.model.members) % cfg.model.folds

    def blocks() -> Iterator[loop.Block]:
        for groups in plan[state.epochs :]:
            yield encoded(stream.rows(groups), encoder, data.schema, fold_of_member)

    with epochs_bar(len(plan), state.epochs) as show:
        for block in ahead(blocks(), depth=1):
            loss, _ = learn(block, loop.batches(len(block.targets), size, cfg.seed, state.epochs))
            show(state.record(loss, None, patience=0))
            state.save()
    members = members_of(network, encoder(*tensors(frame, data.schema)))
    fold_of_row = stream.deal.fold_of(keys[learnt])
    held_out = fold_of_row[:, None] == fold_of_member
    return Trained(
        data.schema, encoder, network, state.history,
        held_out_rows=learnt,
        held_out_probability=np.average(members, axis=1, weights=held_out),
        held_out_members=members,
        fold_of_row=fold_of_row,
        fold_of_member=fold_of_member,
    )  # fmt: skip


def counted(stream: Stream, cfg: Config) -> Counts:
    """Exact counts of the rows to learn from, by Beam's workers where the configuration says so."""
    if cfg.beam.runner is BeamRunner.none:
        return stream.count()
    from churn import beam

    return beam.counted(stream, cfg)


def encoded(
    rows: Rows, encoder: preprocess.Encoder, schema: Schema, fold_of_member: np.ndarray
) -> loop.Block:
    """The rows as the network reads them; each member has weight 0 for the rows of its fold."""
    inputs = encoder.of_codes(*matrices(rows.features, schema, encoder.words))
    weights = (rows.fold[:, None] != fold_of_member).astype(np.float32)
    return loop.Block(inputs, rows.churned[:, None], weights)
