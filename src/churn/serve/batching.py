"""Requests that wait at the same time are answered together: one call of the graph, one write of the log."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

import msgspec

from churn.config.serving import ServeConfig
from churn.data.id_hash import IdHash
from churn.serve.log.entries import EntryLog
from churn.serve.log.lines import log_lines
from churn.serve.log.overload import RETRY_SECONDS, AnswerLog
from churn.serve.log.write import Spool
from churn.serve.metrics import Metrics
from churn.serve.model import ServedModel
from churn.serve.protocol import RequestRows

MAX_CALLS = 256  # that a batch waits for
_encode = msgspec.json.Encoder().encode


@dataclass
class Call:
    """A request that waits for its answer."""

    id: str
    rows: RequestRows
    done: asyncio.Future[bytes]
    began: float = field(default_factory=time.perf_counter)


class Batcher:
    """The queue of one model. All requests that arrive in one turn of the event loop are one batch.

    Under load a turn brings many requests, because they arrived while the batch before was computed; a
    single request is not held back. Everything runs on the thread of the event loop: the model is busy for a
    third of a millisecond, which is less than handing the batch to another thread would cost.
    """

    def __init__(
        self,
        model: ServedModel,
        spool: Spool | EntryLog | None,
        metrics: Metrics,
        cfg: ServeConfig,
        hash_id: IdHash | None = None,  # for the log; None: it has the ids as they come
    ) -> None:
        self.model, self.spool, self.metrics, self.cfg = model, spool, metrics, cfg
        self.hash_id = hash_id
        self.log = AnswerLog(spool, metrics, cfg.log.overload) if spool else None
        self.loop = asyncio.get_running_loop()
        self.waiting: list[Call] = []
        self.ending = _encode(model.description)[1:]  # of an answer, after the predictions

    def submit(self, identity: str, rows: RequestRows) -> asyncio.Future[bytes]:
        """The body of the answer, as soon as it is there and logged."""
        call = Call(identity, rows, self.loop.create_future())
        self.waiting.append(call)
        if len(self.waiting) == 1:
            self.loop.call_soon(self._gather, 0)
        return call.done

    def _gather(self, seen: int) -> None:
        """Answer all requests as soon as a turn of the event loop brings no new one."""
        if seen < len(self.waiting) < MAX_CALLS:
            self.loop.call_soon(self._gather, len(self.waiting))
            return
        calls, self.waiting = self.waiting, []
        for batch in _cut_batches(calls, self.cfg.batch_rows):
            self._answer(batch)

    def _answer(self, batch: list[Call]) -> None:
        """Compute, count, log and send the answers of a batch.

        If the graph fails on a batch, each request is tried by itself, so that one cannot harm the others.
        """
        try:
            predictions, missing = self.model([call.rows for call in batch])
            encoded = list(map(_encode, predictions))
            lines = self._log_lines(batch, encoded) if self.log else b""
        except Exception as error:
            if len(batch) > 1:
                for call in batch:
                    self._answer([call])
            else:
                batch[0].done.set_exception(error)
            return
        self.metrics.answered(list(chain.from_iterable(predictions)), missing)
        if self.log:
            self.log.write(lines, len(batch), partial(self._send, batch, encoded))
        else:
            self._send(batch, encoded)

    def _log_lines(self, batch: list[Call], encoded: list[bytes]) -> bytes:
        ids, rows = [call.id for call in batch], [call.rows for call in batch]
        return log_lines(ids, rows, encoded, len(self.model.fields.numbers), self.hash_id)

    def _send(self, batch: list[Call], encoded: list[bytes]) -> None:
        """Give each request its answer."""
        now = time.perf_counter()
        self.metrics.seconds.observe([now - call.began for call in batch])
        for call, predictions in zip(batch, encoded, strict=True):
            call.done.set_result(b'{"predictions":' + predictions + b"," + self.ending)

    def close(self) -> None:
        """Close the log when no request waits for it; to be called after the last `submit`."""
        if self.waiting or (self.log and self.log.held_back):
            if self.spool:
                self.spool.tick()  # nobody else does any more: what it waits for may be over
            self.loop.call_later(RETRY_SECONDS, self.close)
        elif self.spool:
            self.spool.close()


def _cut_batches(calls: list[Call], max_rows: int) -> list[list[Call]]:
    """The calls in order, in batches of at most `max_rows` rows; a larger call is a batch of its own."""
    batches: list[list[Call]] = []
    room = 0
    for call in calls:
        size = len(call.rows)
        if size > room or not batches:
            batches.append([])
            room = max_rows
        batches[-1].append(call)
        room -= size
    return batches
