"""Requests that wait together are answered together: one call of the graph, one write of the log."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain

import msgspec

from churn.config.serving import Overload, ServeConfig
from churn.serve.log.write import Spool, SpoolFullError
from churn.serve.metrics import Metrics
from churn.serve.model import Model
from churn.serve.protocol import RequestRows

RETRY_SECONDS = 0.05
encode, encode_lines = msgspec.json.Encoder().encode, msgspec.json.Encoder().encode_lines
MOST_CALLS = 256  # in a batch


@dataclass
class Call:
    """A request that waits for its answer."""

    id: str
    rows: RequestRows
    done: asyncio.Future[bytes]
    began: float = field(default_factory=time.perf_counter)


class Batcher:
    """The queue of one model. What arrives in one turn of the event loop is one batch.

    Under load a turn brings many requests, because they arrived while the batch before was computed; a
    single request is not held back. Everything runs on the event loop's thread: the model is busy
    for a third of a millisecond, less than handing the batch to another thread would cost.
    """

    def __init__(self, model: Model, spool: Spool | None, metrics: Metrics, cfg: ServeConfig) -> None:
        self.model, self.spool, self.metrics, self.cfg = model, spool, metrics, cfg
        self.loop = asyncio.get_running_loop()
        self.waiting: list[Call] = []
        self.held_back = 0  # batches that wait for the log
        self.names = encode(model.description)[1:]  # what follows the predictions in an answer

    def submit(self, identity: str, rows: RequestRows) -> asyncio.Future[bytes]:
        """The body of the answer, once it is there and logged."""
        call = Call(identity, rows, self.loop.create_future())
        self.waiting.append(call)
        if len(self.waiting) == 1:
            self.loop.call_soon(self.gather, 0)
        return call.done

    def gather(self, seen: int) -> None:
        """Flush as soon as a turn of the event loop brings nothing new."""
        if seen < len(self.waiting) < MOST_CALLS:
            self.loop.call_soon(self.gather, len(self.waiting))
        else:
            self.flush()

    def flush(self) -> None:
        """Answer all that wait."""
        calls, self.waiting = self.waiting, []
        for batch in _cut_batches(calls, self.cfg.batch_rows):
            self.answer(batch)

    def answer(self, batch: list[Call]) -> None:
        """Compute, count, log and hand out the answers of a batch.

        Where the graph fails on a batch, each request is tried by itself, so that one cannot harm others.
        """
        try:
            predictions, missing = self.model([call.rows for call in batch])
            written = list(map(encode, predictions))
            text = _log_lines(batch, written, len(self.model.fields.numbers)) if self.spool else b""
        except Exception as error:
            if len(batch) > 1:
                for call in batch:
                    self.answer([call])
            elif not batch[0].done.done():
                batch[0].done.set_exception(error)
            return
        self.metrics.answered(list(chain.from_iterable(predictions)), missing)
        if self.spool:
            self.log(batch, written, text)
        else:
            self.hand_out(batch, written)

    def log(self, batch: list[Call], written: list[bytes], text: bytes) -> None:
        """Write the batch's lines, then hand out; on overload wait or drop, as configured."""
        assert self.spool
        try:
            self.spool.append(text)
        except SpoolFullError:
            self.metrics.log_failures += 1
            if self.cfg.log.overload is Overload.wait:
                self.held_back += 1
                self.loop.call_later(RETRY_SECONDS, self.log_again, batch, written, text)
                return
            self.metrics.log_dropped += len(batch)
        self.hand_out(batch, written)

    def log_again(self, batch: list[Call], written: list[bytes], text: bytes) -> None:
        """Try once more to log a batch that was held back."""
        self.held_back -= 1
        self.log(batch, written, text)

    def close(self) -> None:
        """Close the log when nothing waits for it; to be called after the last `submit`."""
        if self.waiting or self.held_back:
            self.loop.call_later(RETRY_SECONDS, self.close)
        elif self.spool:
            self.spool.close()

    def hand_out(self, batch: list[Call], written: list[bytes]) -> None:
        """Give each caller its answer."""
        now = time.perf_counter()
        self.metrics.seconds.observe([now - call.began for call in batch])
        for call, predictions in zip(batch, written, strict=True):
            if not call.done.done():  # the client may have gone
                call.done.set_result(b'{"predictions":' + predictions + b"," + self.names)


def _cut_batches(calls: list[Call], most_rows: int) -> list[list[Call]]:
    """The calls in order, cut where a batch would have more rows than `most_rows`."""
    cut: list[list[Call]] = []
    room = 0
    for call in calls:
        size = len(call.rows)
        if size > room or not cut:
            cut.append([])
            room = most_rows
        cut[-1].append(call)
        room -= size
    return cut


class _Line(msgspec.Struct, gc=False):
    """A line of the log: a request, the numbers and texts of its rows, and their predictions."""

    request_id: str
    time: str
    numbers: list[tuple[float, ...]]
    texts: list[tuple[str, ...]]
    predictions: msgspec.Raw


def _log_lines(batch: list[Call], written: list[bytes], numbers: int) -> bytes:
    """The log's lines of a batch, whose rows begin with so many numbers.

    The names of the fields are in the file's header: without them the log has half the size, and is
    turned into Parquet in half the time.
    """
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    return encode_lines(
        [
            _Line(
                call.id,
                now,
                [row[:numbers] for row in call.rows],
                [row[numbers:] for row in call.rows],
                msgspec.Raw(predictions),
            )
            for call, predictions in zip(batch, written, strict=True)
        ]
    )
