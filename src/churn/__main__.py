"""The command line: `churn STAGE [hydra overrides]`."""

from __future__ import annotations

import atexit
import gc
import os
import re
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from traceback import format_exception
from types import TracebackType
from typing import Any, NoReturn

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from churn import interrupts
from churn.config.arguments import check_arguments, unknown_stage
from churn.config.commands import HELP, help_of_stage
from churn.config.explain import explain, is_of_hydra, refuse_added_keys
from churn.config.root import Config, config_directory, not_a_choice, to_config
from churn.config.secrets import hide_passwords
from churn.config.serving import Platform
from churn.config.texts import check_files, keep_texts
from churn.config.unreadable import unreadable_file
from churn.errors import UserError, missing_package
from churn.refusals import refusal_of
from churn.runs import has_unregistered
from churn.scratch import clear_leftovers

STAGES = {  # the function of each stage; its module is imported only when the stage runs
    "train": "churn.stage:train",
    "promote": "churn.retrain.promote:promote",
    "score": "churn.score.stage:score",
    "synthesize": "churn.events.stage:synthesize",
    "snapshot": "churn.events.stage:snapshot",
    "serve": "churn.serve.stage:serve",
    "app": "churn.app.stage:app",
    "monitor": "churn.monitor.stage:monitor",
    "retrain": "churn.retrain.stage:retrain",
    "loop": "churn.retrain.simulation.stage:loop",
    "forget": "churn.retrain.forget:forget",
    "export": "churn.vertex.export:export",
    "deploy": "churn.vertex.deploy:deploy",
    "rollback": "churn.vertex.rollback:rollback",
    "status": "churn.vertex.status:status",
    "destroy": "churn.vertex.destroy:destroy",
}

ON_VERTEX = {  # the same with target=vertex
    "train": "churn.vertex.train:train",
    "score": "churn.vertex.score:score",
    "retrain": "churn.retrain.stage:retrain",  # trains here, deploys there
}

ON_CLOUD_RUN = {  # the same with target=cloudrun
    "deploy": "churn.cloudrun.deploy:deploy",
    "rollback": "churn.cloudrun.rollback:rollback",
    "status": "churn.cloudrun.status:status",
    "destroy": "churn.cloudrun.destroy:destroy",
}


def main() -> None:
    """Run the stage of the command line; exit code 0 if it is done, 2 after wrong input, 1 after a bug."""
    show_tracebacks = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # else Hydra itself prints errors and exits with code 1
    sys.excepthook = _print_traceback
    _collect_garbage_rarely()
    interrupts.note()
    try:
        _run_and_flush(show_tracebacks)
    except KeyboardInterrupt:
        interrupts.end()
    except UserError as error:
        if show_tracebacks:
            raise
        _fail(error)
    except Exception as error:
        if show_tracebacks:
            raise
        interrupts.end_if_any()
        _fail_if_refused(error)
        if unreadable := unreadable_file(error):
            _fail(unreadable)
        if isinstance(error, ValueError | TypeError) and is_of_hydra(error):
            _fail(not_a_choice())
        raise


def _run_and_flush(show_tracebacks: bool) -> None:
    """Run the command, and have its output written: the last lines may meet a full disk, too."""
    try:
        stage, sys.argv[1:] = _split_command(sys.argv[1:])
        _run_hydra(stage, show_tracebacks)
    except (HydraException, OmegaConfBaseException) as error:
        if show_tracebacks:
            raise
        _fail(error, stage)
    finally:
        _flush_output()


def _flush_output() -> None:
    """Write what was printed; where that is impossible, print to nowhere: Python would try again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def _fail_if_refused(error: Exception) -> None:
    """End with exit code 2 and one message if the operating system refused something."""
    if refused := refusal_of(error):
        _fail(refused)


def _collect_garbage_rarely() -> None:
    """Collect garbage rarely, and never at exit: the libraries hold 300,000 objects.

    Python's defaults spend four seconds of a small training on them.
    """
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)


def _print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback of a bug without the passwords of addresses."""
    print(hide_passwords("".join(format_exception(error))), end="", file=sys.stderr)


def _fail(error: Exception, stage: str = "") -> NoReturn:
    """Print what the user did wrong, and end with exit code 2; after Ctrl-C with that of an interrupt."""
    interrupts.end_if_any()
    print(f"churn: {hide_passwords(explain(error, stage))}", file=sys.stderr)
    sys.exit(2)


def _split_command(arguments: list[str]) -> tuple[str, list[str]]:
    """The stage, "" if there is only a flag such as --help, and the arguments for Hydra."""
    if not arguments or arguments in (["--help"], ["-h"], ["help"]):
        _print_and_end(HELP)
    if {*arguments} & {"--version", "-V", "version"}:
        _print_and_end(f"churn {version('churn')}\n")
    first, *rest = [*arguments[1:], "--help"] if arguments[0] == "help" else arguments
    if first in ("-sc", "--shell-completion") and rest[:1] == ["query=bash"]:
        _complete_stage()
    if first.startswith("-"):
        check_arguments("STAGE", arguments)
        return "", arguments
    if first not in STAGES:
        raise unknown_stage(first, list(STAGES))
    if {*rest} & {"--help", "-h"}:
        _print_and_end(help_of_stage(first))
    check_arguments(first, rest)
    arguments = [hide_passwords(re.sub(r"^run=", "run.dir=", argument)) for argument in rest]
    return first, keep_texts(arguments, Config)


def _print_and_end(text: str) -> NoReturn:
    print(text, end="")
    sys.exit(0)


def _complete_stage() -> None:
    """Complete the first word to a stage; Hydra's own completion knows only overrides."""
    program, _, line = os.environ.get("COMP_LINE", "").partition(" ")
    stage, blank, overrides = line.lstrip().partition(" ")
    if not blank:
        print(" ".join(name for name in STAGES if name.startswith(stage)))
        sys.exit(0)
    os.environ["COMP_LINE"] = f"{program} {overrides}"


def _run_hydra(stage: str, show_tracebacks: bool) -> None:
    """Let Hydra compose the configuration, or print help, and run the stage with it."""

    def run(composed: DictConfig) -> Any:
        if not stage:
            _fail(UserError("no stage is named", do=f"churn STAGE ..., one of: {', '.join(STAGES)}"))
        try:
            refuse_added_keys(composed, stage)
            check_files(HydraConfig.get().runtime, Config)
            cfg = to_config(composed, HydraConfig.get().overrides.task)
            _take_sweep_directory(cfg)
            module, function = _function_of(stage, cfg).split(":")
            _tidy_up(cfg.run.root)
            implementation: Callable[[Config], Any] = getattr(import_module(module), function)
            return implementation(cfg)
        except UserError as error:  # not in `main`: Hydra would add a line to the message
            _fail(error)
        except ModuleNotFoundError as error:
            if missing := missing_package(error):
                _fail(missing)
            raise
        except Exception as error:
            if not show_tracebacks:
                _fail_if_refused(error)
            raise

    ConfigStore.instance().store("schema", Config)
    hydra.main(config_path=str(config_directory()), config_name="config", version_base="1.3")(run)()


def _tidy_up(root: str) -> None:
    """Remove what killed processes left aside, and register the runs that they finished."""
    clear_leftovers(Path(root))
    if has_unregistered(Path(root)):
        from churn.bundle.registry import register_leftovers

        register_leftovers(root)


def _function_of(stage: str, cfg: Config) -> str:
    """The module and the function of a stage on the platform of the configuration."""
    target, here = cfg.target.name, STAGES[stage]
    elsewhere = ON_CLOUD_RUN if target == Platform.cloudrun else ON_VERTEX
    if target == Platform.local or (target == Platform.vertex and here.startswith("churn.vertex.")):
        return here
    if stage not in elsewhere:
        do = "target=vertex, or target=local" if stage in ON_VERTEX else "target=local"
        what = f"churn {stage} runs on this machine only" if do == "target=local" else "Cloud Run only serves"
        _fail(UserError(what, f"target={target.value}", do))
    return elsewhere[stage]


def _take_sweep_directory(cfg: Config) -> None:
    """Write each job of a `--multirun` to the directory that Hydra chose, unless the user set one."""
    from hydra.types import RunMode

    hydra_cfg = HydraConfig.get()
    if hydra_cfg.mode == RunMode.MULTIRUN and cfg.run.dir is None:
        cfg.run.dir = hydra_cfg.runtime.output_dir


if __name__ == "__main__":
    main()
