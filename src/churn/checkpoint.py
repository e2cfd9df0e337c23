"""The state of a training, kept on disk after every epoch so that a killed run can go on."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from churn.files import write_aside


@dataclass
class Checkpoint:
    """Everything that the rest of a training depends on, its variables included."""

    path: Path
    variables: list[Any]  # weights, random states and optimiser slots, in a fixed order
    epochs: int = 0  # finished
    stopped: bool = False  # nothing is left to train
    best_loss: float = float("inf")  # least validation loss so far
    best_epoch: int = 0  # the epoch (1, 2, ...) that had it
    best: list[np.ndarray] = field(default_factory=list)  # the variables after that epoch
    history: dict[str, list[float]] = field(default_factory=dict)  # per epoch: "loss", "val_loss"

    def load(self) -> None:
        """Take up the state that an earlier process left, if it left one."""
        if not self.path.exists():
            return
        with np.load(self.path) as saved:
            for key, value in json.loads(str(saved["facts"])).items():
                setattr(self, key, value)
            self.best = [saved[f"best_{i}"] for i in range(len(self.variables))] if self.best_epoch else []
            for i, variable in enumerate(self.variables):
                variable.assign(saved[f"variable_{i}"])

    def save(self) -> None:
        """Write the state; a reader sees the old file or the new one, whole."""
        names = ("epochs", "stopped", "best_loss", "best_epoch", "history")
        arrays = {f"variable_{i}": v.numpy() for i, v in enumerate(self.variables)}
        arrays |= {f"best_{i}": value for i, value in enumerate(self.best)}
        with write_aside(self.path) as aside, aside.open("wb") as file:
            np.savez(file, facts=json.dumps({name: getattr(self, name) for name in names}), **arrays)

    def record(self, losses: dict[str, float], patience: int) -> None:
        """Note the losses of an epoch; stop once `patience` epochs (0: never) brought nothing better."""
        self.epochs += 1
        for name, value in losses.items():
            self.history.setdefault(name, []).append(float(value))
        if not patience:
            return
        if losses["val_loss"] < self.best_loss:
            self.best_loss, self.best_epoch = float(losses["val_loss"]), self.epochs
            self.best = [variable.numpy() for variable in self.variables]
        self.stopped = self.epochs - self.best_epoch >= patience

    def restore_best(self) -> None:
        """Put back the variables of the best epoch, if early stopping was on."""
        for variable, value in zip(self.variables, self.best, strict=False):
            variable.assign(value)
