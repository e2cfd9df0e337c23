"""The metrics of a server for Prometheus. Counters and histograms take a whole batch in one step."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from churn.bundle.unseen import UnseenCells

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
LONGEST_LABEL = 100  # characters of a label
PROBABILITY = tuple(round(i / 20, 2) for i in range(1, 21))


class Histogram:
    """Counts of values by upper bound; the histogram of prometheus_client takes one value at a time."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = np.array(bounds)
        self.counts = np.zeros(len(bounds) + 1, np.int64)
        self.sum = 0.0

    def observe(self, values: Iterable[float]) -> None:
        """Count the values."""
        array = np.fromiter(values, float)
        buckets = np.searchsorted(self.bounds, array, side="left")
        self.counts += np.bincount(buckets, minlength=len(self.counts))
        self.sum += float(array.sum())

    def add(self, other: Histogram) -> None:
        """Count the values of another one, too."""
        self.counts += other.counts
        self.sum += other.sum

    def family(self, name: str, documentation: str) -> HistogramMetricFamily:
        """The histogram in the form of prometheus_client, with cumulated counts."""
        bounds = [*map(str, self.bounds.tolist()), "+Inf"]
        buckets = list(zip(bounds, np.cumsum(self.counts).tolist(), strict=True))
        return HistogramMetricFamily(name, documentation, buckets=buckets, sum_value=self.sum)


ADDED = (
    *("requests", "errors", "in_flight", "rows", "churn", "unseen", "missing", "seconds", "batch_rows"),
    *("probability", "log_dropped", "log_failures", "compaction_failures"),
)
COMMON = ("reloads", "log_backlog")  # each process of a server sees the same


class Metrics(Collector):
    """All metrics of one process. Only the event loop changes them, so that they need no locks.

    processes: ids of all processes of the server, of which the memory and the processor time are given.
    """

    def __init__(self, processes: Sequence[int] = (os.getpid(),)) -> None:
        self.requests: Counter[str] = Counter()  # by HTTP code
        self.errors: Counter[str] = Counter()  # by reason
        self.reloads = Counter(done=0, failed=0)
        self.in_flight = self.rows = self.churn = self.unseen = self.missing = 0
        self.seconds, self.batch_rows, self.probability = (Histogram(b) for b in (SECONDS, ROWS, PROBABILITY))
        self.log_dropped = self.log_failures = self.log_backlog = self.compaction_failures = 0
        self.bundle: dict[str, str] = {}
        self.unseen_cells: UnseenCells | None = None  # of the model that answers
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self.registry.register(_Processes(processes))

    def counts(self) -> dict[str, Any]:
        """What `add` takes."""
        return {name: getattr(self, name) for name in ADDED + COMMON}

    def add(self, counts: dict[str, Any]) -> None:
        """Add the counts of another process."""
        for name in ADDED:
            own, other = getattr(self, name), counts[name]
            if isinstance(own, Histogram):
                own.add(other)
            else:
                setattr(self, name, own + other)
        for result, times in counts["reloads"].items():
            self.reloads[result] = max(self.reloads[result], times)
        self.log_backlog = max(self.log_backlog, counts["log_backlog"])

    def answered(self, predictions: Sequence[Any], missing: int) -> None:
        """Count the rows of a batch: probabilities, decisions, unseen and missing fields."""
        self.batch_rows.observe([len(predictions)])
        self.rows += len(predictions)
        self.missing += missing
        self.probability.observe([row.churn_probability for row in predictions])
        self.churn += sum([row.churn for row in predictions])
        self.unseen += sum([row.unseen_inputs for row in predictions])

    def refused(self, code: int, reason: str) -> None:
        """Count a request that got an error."""
        self.requests[str(code)] += 1
        self.errors[reason] += 1

    def _unseen_columns(self) -> Metric:
        """The columns of which more than a few per cent of the fields are unseen, with the commonest one.

        Its label is "(rare)" where each is too rare to be shown.
        """
        text = "Share of a column's fields unlike any in training, and the commonest of them"
        family = GaugeMetricFamily("churn_unseen_column_ratio", text, labels=["column", "commonest"])
        for column in self.unseen_cells.columns() if self.unseen_cells else []:
            commonest = "(rare)" if column.commonest is None else column.commonest
            family.add_metric([column.name, commonest[:LONGEST_LABEL]], column.share)
        return family

    def collect(self) -> Iterator[Metric]:
        """Every metric, by the naming rules of `promtool check metrics`."""
        yield _labelled("churn_requests", "Predict requests by HTTP code", "code", self.requests)
        yield _labelled("churn_request_errors", "Predict requests refused, by reason", "reason", self.errors)
        yield self.seconds.family("churn_request_duration_seconds", "From the whole request to its answer")
        yield GaugeMetricFamily("churn_requests_in_flight", "Predict requests being answered", self.in_flight)
        yield self.batch_rows.family("churn_batch_rows", "Rows given to the model at a time")
        yield CounterMetricFamily("churn_predictions", "Rows answered", self.rows)
        yield self.probability.family("churn_predicted_probability", "Predicted churn probability")
        yield CounterMetricFamily("churn_predicted_churners", "Rows whose probability calls", self.churn)
        yield CounterMetricFamily("churn_unseen_inputs", "Fields unlike any in training", self.unseen)
        yield self._unseen_columns()
        yield CounterMetricFamily("churn_missing_inputs", "Fields sent as missing", self.missing)
        yield CounterMetricFamily("churn_log_dropped", "Requests answered but not logged", self.log_dropped)
        yield CounterMetricFamily("churn_log_failures", "Failed attempts to write the log", self.log_failures)
        yield GaugeMetricFamily("churn_log_backlog_bytes", "Log not yet in Parquet files", self.log_backlog)
        yield CounterMetricFamily(
            "churn_compaction_failures", "Failed attempts to write a Parquet file", self.compaction_failures
        )
        yield _labelled("churn_reloads", "Attempts to load a new champion, by result", "result", self.reloads)
        yield InfoMetricFamily("churn_bundle", "The bundle that serves", self.bundle)


class _Processes(Collector):
    """Memory, processor time and open files of some processes together, and when the first one began."""

    def __init__(self, processes: Sequence[int]) -> None:
        self.each = [ProcessCollector(pid=partial(int, one), registry=None) for one in processes]

    def collect(self) -> Iterator[Metric]:
        """The metrics of `ProcessCollector`."""
        for families in zip(*(one.collect() for one in self.each), strict=False):
            together: Callable[..., float] = min if "start_time" in families[0].name else sum
            value = together(family.samples[0].value for family in families)
            sample = families[0].samples[0]._replace(value=value)
            families[0].samples = [sample]
            yield families[0]


def _labelled(name: str, documentation: str, label: str, counts: Counter[str]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, documentation, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family
