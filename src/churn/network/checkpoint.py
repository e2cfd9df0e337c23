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
    """Everything that the rest of a training depends on.

    >>> state = Checkpoint(path, [*network.variables, *network.optimizer.variables])
    >>> state.load()
    """

    path: Path | None  # None: write nothing
    variables: list[Any]  # weights, random states and optimiser slots, in a fixed order
    epochs: int = 0  # finished
    best_epoch: int = 0  # the epoch (1, 2, ...) with the least validation loss; 0: none yet
    best: list[np.ndarray] = field(default_factory=list)  # the variables after that epoch
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
        names = ("epochs", "best_epoch", "history")
        arrays = {f"variable_{i}": v.numpy() for i, v in enumerate(self.variables)}
        arrays |= {f"best_{i}": value for i, value in enumerate(self.best)}
        with atomic_write(self.path) as aside, aside.open("wb") as file:
            np.savez(file, facts=json.dumps({name: getattr(self, name) for name in names}), **arrays)

    def record(self, loss: float, validation: float | None = None) -> dict[str, float]:
        """Add an epoch's losses to the history, and keep the variables of the best epoch; gives the losses.

        `validation` is None where no rows serve early stopping.
        """
        self.epochs += 1
        losses = {"loss": float(loss)} | ({} if validation is None else {"val_loss": float(validation)})
        for name, value in losses.items():
            self.history.setdefault(name, []).append(value)
        if validation is not None and np.argmin(self.history["val_loss"]) == self.epochs - 1:
            self.best_epoch = self.epochs
            self.best = [variable.numpy() for variable in self.variables]
        return losses

    def has_stopped(self, patience: int) -> bool:
        """Whether `patience` epochs (0: never) have brought no lower validation loss."""
        return patience > 0 and self.epochs - self.best_epoch >= patience

    def restore_best(self) -> None:
        """Put back the variables of the best epoch."""
        for variable, value in zip(self.variables, self.best, strict=False):
            variable.assign(value)
