"""The progress of a training: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ShowLosses = Callable[[dict[str, float]], None]


@contextmanager
def steps_bar(steps: int, done: int = 0, unit: str = "epoch") -> Iterator[ShowLosses]:
    """A function to call with the losses of each finished step; `done` steps were finished before."""
    if not sys.stderr.isatty():
        yield _line_printer(steps, done, unit)
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("training", total=steps, completed=done)

        def show(losses: dict[str, float]) -> None:
            progress.update(task, advance=1, description=f"training, {_describe_losses(losses)}")

        yield show


def _line_printer(steps: int, done: int, unit: str) -> ShowLosses:
    """Prints about ten lines over the whole training."""
    finished = done

    def show(losses: dict[str, float]) -> None:
        nonlocal finished
        finished += 1
        if finished % max(1, steps // 10) == 0:
            print(f"  {unit} {finished} of {steps}, {_describe_losses(losses)}", flush=True)

    return show


def silence(losses: dict[str, float]) -> None:
    """Show nothing."""


def _describe_losses(losses: dict[str, float]) -> str:
    words = {"loss": "loss on train rows", "val_loss": "on validation rows"}
    return ", ".join(f"{words[name]} {losses[name]:.4f}" for name in words if name in losses)
