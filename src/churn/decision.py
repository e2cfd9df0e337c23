"""From a probability to a decision: the customers whom it is worth calling."""

from __future__ import annotations

from churn.config import DecisionConfig


def threshold(cfg: DecisionConfig) -> float:
    """The probability from which a call pays: `cfg.threshold`, else where its expected profit is zero.

    A call to a customer who would leave brings success * (value - offer) - contact; to one who would stay
    it costs offer + contact (Verbraken, Verbeke and Baesens 2013, IEEE TKDE 25(5), with fixed success rate).
    """
    if cfg.threshold is not None:
        return cfg.threshold
    gain = cfg.success * (cfg.customer_value - cfg.offer_cost) - cfg.contact_cost
    loss = cfg.offer_cost + cfg.contact_cost
    return loss / (gain + loss)
