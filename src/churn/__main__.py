"""The command line: `churn STAGE [hydra overrides]`."""

from __future__ import annotations

import atexit
import gc
import os
import re
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, NoReturn, cast

import hydra
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from churn.config import limits
from churn.config.root import RENAMED, Config, config_directory
from churn.config.serving import Platform
from churn.errors import UserError, did_you_mean

LIST_KEYS = "churn train --help lists the keys"

# Where the function of each stage lives; it is imported only when its stage runs.
STAGES = {
    "train": "churn.stage:train",
    "promote": "churn.retrain.promote:promote",
    "score": "churn.score.stage:score",
    "synthesize": "churn.events.stage:synthesize",
    "snapshot": "churn.events.stage:snapshot",
    "serve": "churn.serve.stage:serve",
    "monitor": "churn.monitor.stage:monitor",
    "retrain": "churn.retrain.stage:retrain",
    "loop": "churn.retrain.simulation.stage:loop",
    "deploy": "churn.vertex.deploy:deploy",
    "rollback": "churn.vertex.rollback:rollback",
    "status": "churn.vertex.status:status",
    "destroy": "churn.vertex.destroy:destroy",
}

ON_VERTEX = {  # target=vertex
    "train": "churn.vertex.train:train",
    "score": "churn.vertex.score:score",
    "retrain": "churn.retrain.stage:retrain",  # trains here, deploys there
}

HELP = """\
churn: from a raw customer table to a model that is served, watched and retrained.

  churn train       load a table, train, evaluate, write the bundle and the report
  churn promote     make a run's bundle the champion: churn promote run=runs/latest
  churn score       churn probabilities for a file: churn score input=FILE output=FILE
  churn synthesize  a file of made-up customers: churn synthesize data.synthetic.rows=N output=FILE
  churn snapshot    event tables to a labelled table to learn from: churn snapshot events=NAME output=FILE
  churn serve       an endpoint with Vertex AI's contract on this machine, with metrics and a log
  churn monitor     whether what arrives looks like what was learnt, and what was predicted happens
  churn retrain     if the policy says so, a challenger, which serves if it proves itself
  churn loop        a simulated year of drift, with and without retraining
  churn deploy      the bundle on Vertex AI: plan with costs, question, endpoint (deploy.plan_only=true)
  churn rollback    traffic back to the version before the newest
  churn status      what runs on Vertex AI and what it costs
  churn destroy     remove all of it, and look again
  target=vertex     lets train and score work as jobs on Vertex AI

Every stage takes configuration as KEY=VALUE, for example: churn train data=telco train.epochs=20
  churn STAGE --help      choices and keys, with their values
  churn STAGE --cfg job   the whole configuration that the stage would run with
  churn STAGE -m KEY=1,2  a run for each value
  churn --hydra-help      more of Hydra's flags, shell completion among them
"""


def main() -> None:
    """Run the stage that the command line names; exit code 0 done, 2 wrong input, 1 a bug."""
    show_tracebacks = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # else Hydra prints and exits by itself, with code 1
    _spare_the_collector()
    try:
        stage, sys.argv[1:] = _split_command(sys.argv[1:])
        _run_hydra(stage)
    except KeyboardInterrupt:
        print("churn: interrupted; nothing half-written is left", file=sys.stderr)
        sys.exit(130)
    except (UserError, HydraException, OmegaConfBaseException) as error:
        if show_tracebacks:
            raise
        _fail(error)


def _spare_the_collector() -> None:
    """Let the garbage collector look seldom, and not at the end, at the 300,000 objects of the libraries.

    Python's defaults spend four seconds of a small training on that.
    """
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)


def _fail(error: Exception) -> NoReturn:
    """Say what the user did wrong and end with exit code 2."""
    print(f"churn: {_explain(error)}", file=sys.stderr)
    sys.exit(2)


def _split_command(arguments: list[str]) -> tuple[str, list[str]]:
    """The stage and what is left for Hydra; "" as stage where only a flag such as --help is given."""
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
    return first, [re.sub(r"^run=", "run.dir=", argument) for argument in rest]


def _complete_stage() -> None:
    """Teach Hydra's shell completion, which knows only overrides, that the first word is a stage."""
    program, _, line = os.environ.get("COMP_LINE", "").partition(" ")
    stage, blank, overrides = line.lstrip().partition(" ")
    if not blank:
        print(" ".join(name for name in STAGES if name.startswith(stage)))
        sys.exit(0)
    os.environ["COMP_LINE"] = f"{program} {overrides}"


def _run_hydra(stage: str) -> None:
    """Let Hydra compose the configuration (or print help) and run the stage with it."""

    def run(composed: DictConfig) -> Any:
        if not stage:
            _fail(UserError("no stage is named", do=f"churn STAGE ..., one of: {', '.join(STAGES)}"))
        _refuse_added_keys(composed)
        cfg = cast("Config", OmegaConf.to_object(composed))
        _take_sweep_directory(cfg)
        module, function = _function_of(stage, cfg).split(":")
        try:
            limits.check_bounds(cfg)
            implementation: Callable[[Config], Any] = getattr(import_module(module), function)
            return implementation(cfg)
        except UserError as error:  # here, because Hydra would print a line of its own
            _fail(error)

    ConfigStore.instance().store("schema", Config)
    hydra.main(config_path=str(config_directory()), config_name="config", version_base="1.3")(run)()


def _function_of(stage: str, cfg: Config) -> str:
    """Where the function of a stage lives, by the place where it is to work."""
    if cfg.target.name == Platform.local or STAGES[stage].startswith("churn.vertex."):
        return STAGES[stage]
    if stage not in ON_VERTEX:
        _fail(UserError(f"churn {stage} works on this machine only", "target=vertex", "target=local"))
    return ON_VERTEX[stage]


def _refuse_added_keys(composed: DictConfig) -> None:
    """Refuse what `+key=value` adds: Hydra allows it even where a key is not declared."""
    if unknown := set(_paths(composed)) - set(_valid_keys()):
        key = min(unknown)
        _fail(UserError(f"unknown configuration key '{key}'{did_you_mean(key, _valid_keys(), dotted=True)}", do=LIST_KEYS))


def _take_sweep_directory(cfg: Config) -> None:
    """Write each job of a `--multirun` where Hydra put it, unless the user named a place."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    hydra_cfg = HydraConfig.get()
    if hydra_cfg.mode == RunMode.MULTIRUN and cfg.run.dir is None:
        cfg.run.dir = hydra_cfg.runtime.output_dir


def _explain(error: Exception) -> str:
    """One message for the user, with the nearest valid key where a key or a choice is unknown."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MissingConfigException) and error.options:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        known = ", ".join(error.options)
        return (
            f"unknown choice '{group}={choice}'{did_you_mean(choice, error.options)}\n  do: one of: {known}"
        )
    causes = [error, error.__cause__]
    keyed = next((e for e in causes if isinstance(e, OmegaConfBaseException) and e.full_key), None)
    if keyed is None:
        return str(error).replace("\n", "\n  ")
    key, problem = str(keyed.full_key), str(keyed).splitlines()[0]
    if key in RENAMED:
        return f"the configuration key '{key}' is called {RENAMED[key]} now"
    if key not in _valid_keys() and "not in" in problem:
        return f"unknown configuration key '{key}'{did_you_mean(key, _valid_keys(), dotted=True)}\n  do: {LIST_KEYS}"
    return f"wrong value for configuration key '{key}'\n  {problem}"


def _valid_keys() -> list[str]:
    """Every key of the configuration with its full path, e.g. `train.epochs`."""
    return _paths(OmegaConf.structured(Config))


def _paths(node: DictConfig, prefix: str = "") -> list[str]:
    """Paths of all keys below a node; a node whose keys the user chooses is one."""
    found = []
    for name in node:
        found.append(f"{prefix}{name!s}")
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not child._is_none() and child._metadata.object_type is not dict:
            found += _paths(child, f"{prefix}{name!s}.")
    return found


if __name__ == "__main__":
    main()
