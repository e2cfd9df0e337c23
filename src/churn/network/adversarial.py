"""Adversarial training: rows as customers could change them, of which a model learns from the worst.

Network and trees see random changes within `data.influence`, and each learns, beside the row itself, from the
changed copy that it is most wrong about; the label stays. For the network that is the copy with the greatest
loss at each step (Engstrom et al. 2019, Exploring the Landscape of Spatial Robustness), for trees the one
that the trees before were most wrong about (Kantchelian et al. 2016, Evasion and Hardening of Tree Ensemble
Classifiers). Stack, calibration and threshold are fitted on the rows as they are.
"""

from __future__ import annotations

import pandas as pd

from churn.config.root import Config
from churn.config.training import ModelName
from churn.data.influence import random_changes
from churn.errors import UserError

SHARE = "train.adversarial.share"


def check_adversarial(cfg: Config, in_memory: bool) -> None:
    """Raise `UserError` if adversarial training is asked for and cannot be had."""
    if not cfg.train.adversarial.share:
        return
    if not cfg.data.influence:
        what = "adversarial training needs to know what customers can change, and how far"
        do = "say it, for example '+data.influence={MonthlyCharges: [-20, 0]}'"
    elif cfg.model.name is ModelName.tutorial:
        what, do = "the tutorial's network learns as in the article, without changed copies", "model=dense"
    elif not in_memory:
        what, do = "a table larger than memory cannot be learnt from with changed copies", f"{SHARE}=0"
    else:
        return
    raise UserError(what, SHARE, do)


def changed_copies(rows: pd.DataFrame, cfg: Config) -> list[pd.DataFrame]:
    """`train.adversarial.copies` times the rows with random changes; none without adversarial training."""
    settings = cfg.train.adversarial
    if not settings.share:
        return []
    return [
        random_changes(rows, cfg.data.influence, rows, settings.budget, cfg.seed + number)
        for number in range(settings.copies)
    ]
