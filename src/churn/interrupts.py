"""Ctrl-C ends a command as such, also where a library makes another error of the exception that it raises."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

_noted: list[int] = []  # one signal for each Ctrl-C


def note() -> None:
    """Have each Ctrl-C noted from now on; where the process ignores them, it still does."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _raise_and_note)


def _raise_and_note(number: int, _: object) -> NoReturn:
    _noted.append(number)
    raise KeyboardInterrupt


def end_if_any() -> None:
    """End the command if there was a Ctrl-C."""
    if _noted:
        end()


def end() -> NoReturn:
    """End the command with the exit code of an interrupt."""
    print("churn: interrupted; nothing half-written is left", file=sys.stderr)
    sys.exit(130)
