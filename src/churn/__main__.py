"""The command line: `churn STAGE [hydra overrides]`."""

from __future__ import annotations

import atexit
import gc
import os
import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from traceback import walk_tb
from typing import Any, NoReturn

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from churn.config.root import REMOVED, RENAMED, Config, config_directory, to_config
from churn.config.secrets import hide_passwords
from churn.config.serving import Platform
from churn.config.texts import check_files, keep_texts, null_among_texts
from churn.errors import UserError, did_you_mean, shell_override, shell_setting
from churn.files import clear_leftovers
from churn.refusals import refusal_of

LIST_KEYS = "churn train --help lists the keys"

STAGES = {  # the function of each stage; its module is imported only when the stage runs
    "train": "churn.stage:train",
    "promote": "churn.retrain.promote:promote",
    "score": "churn.score.stage:score",
    "synthesize": "churn.events.stage:synthesize",
    "snapshot": "churn.events.stage:snapshot",
    "serve": "churn.serve.stage:serve",
    "monitor": "churn.monitor.stage:monitor",
    "retrain": "churn.retrain.stage:retrain",
    "loop": "churn.retrain.simulation.stage:loop",
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

HELP = """\
churn: from a raw customer table to a model that is served, watched and retrained.

  churn train       load a table, train and evaluate a model, write the bundle and the report
  churn promote     make the bundle of a run the champion: churn promote run=runs/latest
  churn score       write the churn probabilities of a file: churn score input=FILE output=FILE
  churn synthesize  write a file of synthetic customers: churn synthesize data.synthetic.rows=N output=FILE
  churn snapshot    turn event tables into a labelled table: churn snapshot events=NAME output=FILE
  churn serve       serve the bundle on this machine by Vertex AI's protocol, with metrics and a log
  churn monitor     compare the logged requests with the training data, and predictions with labels
  churn retrain     if the policy asks for it, train a challenger; promote it if it is better
  churn loop        simulate a year of drift, with and without retraining
  churn export      make a model of BigQuery ML of the bundle, for scores in SQL:
                    churn export to=bigquery input=bq://P.SET.TABLE output=bq://P.SET.MODEL
  churn deploy      deploy the bundle on Vertex AI: first the plan and its costs, then a question
                    (deploy.plan_only=true: only the plan)
  churn rollback    give the traffic back to the previous version
  churn status      show what runs on Vertex AI, and what it costs
  churn destroy     remove everything from Vertex AI, and check that it is gone
  target=vertex     runs train and score as jobs on Vertex AI

Each stage takes its configuration as KEY=VALUE, for example: churn train data=telco train.epochs=20
  churn STAGE --help      show the choices, and the keys with their values
  churn STAGE --cfg job   show the whole configuration of the stage
  churn STAGE -m KEY=1,2  run the stage once for each value
  churn --hydra-help      show more flags of Hydra, and how to set up shell completion
"""


def main() -> None:
    """Run the stage of the command line; exit code 0 if it is done, 2 after wrong input, 1 after a bug."""
    show_tracebacks = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # else Hydra itself prints errors and exits with code 1
    _collect_garbage_rarely()
    try:
        _run_and_flush(show_tracebacks)
    except KeyboardInterrupt:
        print("churn: interrupted; nothing half-written is left", file=sys.stderr)
        sys.exit(130)
    except (UserError, HydraException, OmegaConfBaseException) as error:
        if show_tracebacks:
            raise
        _fail(error)
    except Exception as error:
        if show_tracebacks:
            raise
        _fail_if_refused(error)
        if isinstance(error, ValueError) and _is_of_hydra(error):  # for example data=1: a choice is a word
            _fail(error)
        raise


def _is_of_hydra(error: Exception) -> bool:
    """Whether Hydra raised an error while it composed the configuration."""
    last = list(walk_tb(error.__traceback__))[-1][0]
    return str(last.f_globals.get("__name__")).startswith("hydra.")


def _run_and_flush(show_tracebacks: bool) -> None:
    """Run the command, and have its output written: the last lines may meet a full disk, too."""
    try:
        stage, sys.argv[1:] = _split_command(sys.argv[1:])
        _run_hydra(stage, show_tracebacks)
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


def _fail(error: Exception) -> NoReturn:
    """Print what the user did wrong, and end with exit code 2."""
    print(f"churn: {_explain(error)}", file=sys.stderr)
    sys.exit(2)


def _split_command(arguments: list[str]) -> tuple[str, list[str]]:
    """The stage, "" if there is only a flag such as --help, and the arguments for Hydra."""
    if not arguments or arguments in (["--help"], ["-h"]):
        print(HELP, end="")
        sys.exit(0)
    first, *rest = arguments
    if first in ("-sc", "--shell-completion") and rest[:1] == ["query=bash"]:
        _complete_stage()
    if first.startswith("-"):
        return "", arguments
    if first not in STAGES:
        raise UserError(
            f"unknown stage '{first}'{did_you_mean(first, STAGES)}", do=f"one of: {', '.join(STAGES)}"
        )
    arguments = [hide_passwords(re.sub(r"^run=", "run.dir=", argument)) for argument in rest]
    return first, keep_texts(arguments, Config)


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
        _refuse_added_keys(composed)
        try:
            check_files(HydraConfig.get().runtime, Config)
            cfg = to_config(composed, HydraConfig.get().overrides.task)
            _take_sweep_directory(cfg)
            clear_leftovers(Path(cfg.run.root))
            module, function = _function_of(stage, cfg).split(":")
            implementation: Callable[[Config], Any] = getattr(import_module(module), function)
            return implementation(cfg)
        except UserError as error:  # not in `main`: Hydra would add a line to the message
            _fail(error)
        except Exception as error:
            if not show_tracebacks:
                _fail_if_refused(error)
            raise

    ConfigStore.instance().store("schema", Config)
    hydra.main(config_path=str(config_directory()), config_name="config", version_base="1.3")(run)()


def _function_of(stage: str, cfg: Config) -> str:
    """The module and the function of a stage on the platform of the configuration."""
    if cfg.target.name == Platform.local or STAGES[stage].startswith("churn.vertex."):
        return STAGES[stage]
    if stage not in ON_VERTEX:
        _fail(UserError(f"churn {stage} runs on this machine only", "target=vertex", "target=local"))
    return ON_VERTEX[stage]


def _refuse_added_keys(composed: DictConfig) -> None:
    """Refuse undeclared keys that `+key=value` added: Hydra allows them."""
    if unknown := set(_keys_below(composed)) - set(_valid_keys()):
        _fail(_unknown_key(min(unknown)))


def _unknown_key(key: str) -> UserError:
    hint = did_you_mean(key, _valid_keys(), dotted=True)
    return UserError(f"unknown configuration key '{key}'{hint}", do=LIST_KEYS)


def _take_sweep_directory(cfg: Config) -> None:
    """Write each job of a `--multirun` to the directory that Hydra chose, unless the user set one."""
    from hydra.types import RunMode

    hydra_cfg = HydraConfig.get()
    if hydra_cfg.mode == RunMode.MULTIRUN and cfg.run.dir is None:
        cfg.run.dir = hydra_cfg.runtime.output_dir


def _explain(error: Exception) -> str:
    """The message for the user, with the nearest valid key or choice if one is unknown."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MissingConfigException) and error.options:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        hint = did_you_mean(choice, error.options)
        return f"unknown choice '{group}={choice}'{hint}\n  do: one of: {', '.join(error.options)}"
    if explained := null_among_texts(str(error)):
        return str(explained)
    if suggestion := _quoted_override(error):
        return f"this argument is not what it seems: {suggestion[0]}\n  do: type {suggestion[1]}"
    causes = [error, error.__cause__]
    keyed = next((e for e in causes if isinstance(e, OmegaConfBaseException) and e.full_key), None)
    if keyed is None:
        return str(error).replace("\n", "\n  ")
    key, problem = str(keyed.full_key), str(keyed).splitlines()[0]
    if key in RENAMED:
        return f"the configuration key '{key}' is now called {RENAMED[key]}"
    if key in REMOVED:
        return f"there is no configuration key '{key}' any more: {REMOVED[key]}"
    if key not in _valid_keys() and "not in" in problem:
        return str(_unknown_key(key))
    return f"wrong value for configuration key '{key}'\n  {problem}"


def _quoted_override(error: Exception) -> tuple[str, str] | None:
    """An argument whose value Hydra reads as grammar, such as data.path=churn (1).csv, and what to type."""
    ambiguous = re.search("Ambiguous value for argument '(.*)'", str(error))
    argument: str | None = (
        error.override if isinstance(error, OverrideParseException) else ambiguous and ambiguous[1]
    )
    if not argument:
        return None
    key, equals, value = argument.partition("=")
    known, valid = key.lstrip("+~"), _valid_keys()
    if not equals or known not in valid or any(other.startswith(f"{known}.") for other in valid):
        return None
    if value.startswith("[") and value.endswith("]"):
        return argument, shell_override(key, *(item.strip().strip("\"'") for item in value[1:-1].split(",")))
    return argument, shell_setting(key, value.strip("\"'"))


def _valid_keys() -> list[str]:
    """Every full key of the configuration, e.g. `train.epochs`."""
    return _keys_below(OmegaConf.structured(Config))


def _keys_below(node: DictConfig, prefix: str = "") -> list[str]:
    """Full keys below a node; a node whose keys the user chooses counts as one key."""
    keys = []
    for name in node:
        keys.append(f"{prefix}{name!s}")
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not child._is_none() and child._metadata.object_type is not dict:
            keys += _keys_below(child, f"{prefix}{name!s}.")
    return keys


if __name__ == "__main__":
    main()
