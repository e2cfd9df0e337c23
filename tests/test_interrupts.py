"""Ctrl-C: a command ends with exit code 130 and one line, whatever became of the exception."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("kind", ["churn.errors.UserError", "SystemError"])
def test_ctrl_c_ends_as_such_whatever_error_a_library_makes_of_it(kind):
    code = f"""
import signal
import churn.__main__ as command, churn.errors

def interrupted(*_):
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt as error:
        raise {kind}("LiteRT cannot compute this model") from error

command._run_hydra = interrupted
command.main()
"""
    done = subprocess.run([sys.executable, "-c", code, "train"], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr == "churn: interrupted; nothing half-written is left\n"
