"""What values a configuration key may have, beyond its type; refused before any work begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf

from churn.config import Config
from churn.errors import UserError, user_error_of_many


@dataclass(frozen=True)
class Limit:
    """A condition on a number, and how to say it."""

    words: str
    holds: Callable[[float], bool]


ONE_OR_MORE = Limit("1 or more", lambda x: x >= 1)
ZERO_OR_MORE = Limit("0 or more", lambda x: x >= 0)
POSITIVE = Limit("above 0", lambda x: x > 0)
SHARE = Limit("from 0 to 1", lambda x: 0 <= x <= 1)
BELOW_ONE = Limit("0 or more and below 1", lambda x: 0 <= x < 1)
BETWEEN = Limit("above 0 and below 1", lambda x: 0 < x < 1)

# A key without a value (null) has no limit; of a list, each number has it.
LIMITS: dict[Limit, tuple[str, ...]] = {
    ONE_OR_MORE: (
        "data.synthetic.rows", "data.synthetic.days", "model.hidden", "model.max_levels",
        "model.min_level_rows", "model.members", "train.epochs", "train.stretch_rows", "train.sample_rows",
        "score.chunks_per_file", "beam.workers", "evaluate.bootstrap", "evaluate.importance_repeats",
        "decision.capacity", "score.chunk_rows", "serve.max_request_bytes",
        "serve.max_connections", "serve.batch_rows", "serve.threads", "serve.log.segment_bytes", "top",
        "target.replicas",
        "retrain.trigger.windows", "retrain.trigger.per_week", "retrain.gate.bootstrap",
        "retrain.gate.min_rows", "retrain.gate.min_churners", "loop.seeds", "loop.rows_per_day",
        "loop.window_days", "loop.label_days", "loop.memory_days", "loop.settled_days", "loop.history_days",
        "loop.price_month", "loop.competitor_month", "loop.passes",
    ),
    ZERO_OR_MORE: (
        "seed", "data.horizon", "data.skip_lines", "data.max_bad_rows", "model.bins", "train.batch_size",
        "train.stream_rows", "train.label_weight", "train.made_up", "train.most_made_up",
        "train.taught_up_to", "model.least_deviation", "model.clip", "train.weight_decay",
        "train.patience", "decision.contact_cost", "decision.offer_cost", "export.background",
        "export.worlds", "serve.port", "serve.drain_seconds", "serve.log.max_backlog_bytes",
        "retrain.probation_days", "retrain.trigger.alarms", "retrain.trigger.cooldown_days",
    ),
    POSITIVE: (
        "data.bigquery.max_gigabytes", "train.learning_rate", "decision.customer_value",
        "decision.value_factor", "decision.success_evidence", "serve.log.segment_seconds",
        "retrain.fresh_days", "retrain.window_days", "retrain.half_life_days", "retrain.trigger.every_days",
        "retrain.gate.margin_auc", "retrain.gate.margin_log_loss",
    ),
    SHARE: ("data.synthetic.missing", "decision.threshold", "decision.top_share"),
    BELOW_ONE: ("model.dropout", "model.dropout_untaught", "decision.control_share", "export.certainty"),
    BETWEEN: (
        "data.synthetic.churn_rate", "split.test", "split.calibration", "split.validation",
        "decision.success", "retrain.fresh_share", "retrain.gate.confidence",
    ),
}  # fmt: skip


def check(cfg: Config) -> None:
    """Refuse numbers that make no sense, all of them in one message."""
    tree = OmegaConf.structured(cfg)
    problems = [
        UserError(f"{key}={value:g} makes no sense", do=f"choose a number that is {limit.words}")
        for limit, keys in LIMITS.items()
        for key in keys
        for value in numbers(OmegaConf.select(tree, key))
        if not limit.holds(value)
    ]
    if problems:
        raise problems[0] if len(problems) == 1 else user_error_of_many("the configuration:", problems)


def numbers(value: Any) -> list[float]:
    """The numbers that a key's value holds: none, one or several."""
    if value is None:
        return []
    return list(value) if OmegaConf.is_list(value) else [value]
