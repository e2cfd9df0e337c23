"""The state of a training, written after every epoch, so that a killed run can continue.

`churn.runs` gives the same command on the same data the same directory again, and so the same checkpoint.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from churn.files import atomic_write
from churn.network import distributed


@dataclass
class Checkpoint:
    """Everything that the rest of a training depends on; its M members stop early one by one.

    >>> state = Checkpoint(path, [*network.variables, *network.optimizer.variables])
    >>> state.load()
    """

    path: Path | None  # None: write nothing
    variables: list[Any]  # weights, random states and optimiser slots, in a fixed order
    members: int = 1  # M; where above 1, the first axis of every weight
    epochs: int = 0  # finished
    stopped: bool = False  # every member has stopped
    best_loss: list[float] = field(default_factory=list)  # [M] least validation loss so far
    best_epoch: list[int] = field(default_factory=list)  # [M] the epoch (1, 2, ...) that had it
    best: list[np.ndarray] = field(default_factory=list)  # the variables after those epochs
    history: dict[str, list[float]] = field(default_factory=dict)  # per epoch: "loss", "val_loss"

    def load(self) -> None:
        """Continue from the file, if there is one."""
        if self.path is None or not self.path.exists():
            return
        with np.load(self.path) as saved:
            for key, value in json.loads(str(saved["facts"])).items():
                setattr(self, key, value)
            self.best = [saved[f"best_{i}"] for i in range(len(self.variables))] if self.best_epoch else []
            for i, variable in enumerate(self.variables):
                variable.assign(saved[f"variable_{i}"])

    def save(self) -> None:
        """Write the state; a reader sees the old file or the new one, whole. Only the chief writes."""
        if self.path is None or not distributed.is_chief():
            return
        names = ("epochs", "stopped", "best_loss", "best_epoch", "history")
        arrays = {f"variable_{i}": v.numpy() for i, v in enumerate(self.variables)}
        arrays |= {f"best_{i}": value for i, value in enumerate(self.best)}
        with atomic_write(self.path) as aside, aside.open("wb") as file:
            np.savez(file, facts=json.dumps({name: getattr(self, name) for name in names}), **arrays)

    def record(self, loss: float, validation: Any, patience: int) -> dict[str, float]:
        """Add an epoch's losses to the history; gives them by name.

        `validation` is one number, [M], or None where no row serves early stopping. A member stops for good
        after `patience` epochs (0: never) without a lower validation loss.
        """
        self.epochs += 1
        losses = {"loss": float(loss)}
        if validation is not None:
            losses["val_loss"] = float(np.mean(validation))
        for name, value in losses.items():
            self.history.setdefault(name, []).append(value)
        if patience:
            self._keep_best(np.atleast_1d(validation), patience)
        return losses

    def _keep_best(self, validation: np.ndarray, patience: int) -> None:
        if not self.best:
            self.best = [variable.numpy() for variable in self.variables]
            self.best_loss, self.best_epoch = [np.inf] * self.members, [0] * self.members
        learning = self.epochs - 1 - np.array(self.best_epoch) < patience
        better = learning & (validation < self.best_loss)
        for i, variable in enumerate(self.variables):
            per_member = self.members > 1 and variable.shape[:1] == (self.members,)
            improved = better.reshape(-1, *[1] * (len(variable.shape) - 1)) if per_member else better.any()
            self.best[i] = np.where(improved, variable.numpy(), self.best[i])
        self.best_loss = np.where(better, validation, self.best_loss).tolist()
        self.best_epoch = np.where(better, self.epochs, self.best_epoch).tolist()
        self.stopped = bool((self.epochs - np.array(self.best_epoch) >= patience).all())

    def restore_best(self) -> None:
        """Put back the variables of the best epochs, if early stopping was on."""
        for variable, value in zip(self.variables, self.best, strict=False):
            variable.assign(value)
