"""What happens to answers that cannot be logged at once: `serve.log.overload` decides."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable

from churn.config.serving import Overload
from churn.serve.log.entries import EntryLog
from churn.serve.log.write import Spool, SpoolFullError
from churn.serve.metrics import Metrics

RETRY_SECONDS = 0.05
COMPLAINT_SECONDS = 60.0


class Complaint:
    """Says what is wrong with the log at once, and again once a minute, until it is over."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self.trouble, self.said = clock, "", 0.0

    def say(self, trouble: str) -> None:
        """Print the trouble; "" where there is none."""
        if trouble and (not self.trouble or self.clock() - self.said >= COMPLAINT_SECONDS):
            print(f"churn: the log: {trouble}", file=sys.stderr, flush=True)
            self.said = self.clock()
        elif self.trouble and not trouble:
            print("churn: the log is written again", file=sys.stderr, flush=True)
        self.trouble = trouble


class AnswerLog:
    """Logs a batch of answers before they go out.

    Where the spool takes no lines, `Overload.wait` holds the answers back until it does, and `Overload.drop`
    lets them go without a line and counts them.
    """

    def __init__(self, spool: Spool | EntryLog, metrics: Metrics, overload: Overload) -> None:
        self.spool, self.metrics, self.overload = spool, metrics, overload
        self.held_back = 0  # batches that wait for the log

    def write(self, lines: bytes, requests: int, send: Callable[[], None]) -> None:
        """Write the lines of so many requests, then call `send`; on overload wait or drop."""
        try:
            self.spool.append(lines)
        except SpoolFullError:
            self.metrics.log_failures += 1
            if self.overload is Overload.wait:
                self.held_back += 1
                asyncio.get_running_loop().call_later(RETRY_SECONDS, self._retry, lines, requests, send)
                return
            self.metrics.log_dropped += requests
        send()

    def _retry(self, lines: bytes, requests: int, send: Callable[[], None]) -> None:
        self.held_back -= 1
        self.write(lines, requests, send)
