"""The whole configuration, and how to load it.

The YAML files in `configs/` set these keys; Hydra refuses a key or a type that is not declared.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional, cast

from omegaconf import DictConfig, OmegaConf, open_dict
from yaml import YAMLError  # type: ignore[import-untyped]

from churn.config.data import DataConfig, SplitConfig
from churn.config.events import EventsConfig
from churn.config.limits import ONE_OR_MORE, SEED, check_bounds, check_lists, key
from churn.config.loop import LoopConfig, MonitorConfig, RetrainConfig
from churn.config.secrets import hide_passwords_of
from churn.config.serving import (
    AppConfig,
    BeamConfig,
    DeployConfig,
    ExportFormat,
    ScoreConfig,
    ServeConfig,
    ServingConfig,
    TargetConfig,
)
from churn.config.texts import check_files, fill_in_home, keep_texts
from churn.config.training import (
    DecisionConfig,
    EvaluateConfig,
    ExportConfig,
    ModelConfig,
    RunConfig,
    TrainConfig,
)
from churn.config.trust import ApprovalConfig, CardConfig, PrivacyConfig, RobustnessConfig
from churn.config.unreadable import unreadable_file
from churn.errors import UserError

RENAMED = {  # key of an earlier version: key now
    "train.stretch_rows": "train.shuffle_rows",
    "export.worlds": "export.refits",
    "monitor.gauges": "monitor.prometheus",
    "retrain.by_hand": "retrain.force",
    "loop.passes": "loop.epochs",
}


_NO_DISTILLATION = "the default network reads boosted trees instead of learning from them (model.trees)"
REMOVED = {  # key of an earlier version: why it is gone
    "model.dropout_untaught": _NO_DISTILLATION,
    "model.dropout_labels_only": "set model.dropout",
    "train.label_weight": _NO_DISTILLATION,
    "train.hard_label_weight": _NO_DISTILLATION,
    "train.made_up": _NO_DISTILLATION,
    "train.augmented": _NO_DISTILLATION,
    "train.most_made_up": _NO_DISTILLATION,
    "train.max_augmented": _NO_DISTILLATION,
    "train.taught_up_to": _NO_DISTILLATION,
    "train.distill_up_to": _NO_DISTILLATION,
    "serve.token": "set CHURN_TOKEN in the environment",
}


@dataclass
class Config:
    """All keys; `churn STAGE --cfg job` prints them with their values."""

    events: EventsConfig = field(default_factory=EventsConfig)
    data: DataConfig = field(default_factory=DataConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    decision: DecisionConfig = field(default_factory=DecisionConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    card: CardConfig = field(default_factory=CardConfig)
    approval: ApprovalConfig = field(default_factory=ApprovalConfig)
    robustness: RobustnessConfig = field(default_factory=RobustnessConfig)
    privacy: PrivacyConfig = field(default_factory=PrivacyConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)
    beam: BeamConfig = field(default_factory=BeamConfig)
    serve: ServeConfig = field(default_factory=ServeConfig)
    app: AppConfig = field(default_factory=AppConfig)
    serving: ServingConfig = field(default_factory=ServingConfig)
    target: TargetConfig = field(default_factory=TargetConfig)
    deploy: DeployConfig = field(default_factory=DeployConfig)
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    retrain: RetrainConfig = field(default_factory=RetrainConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    run: RunConfig = field(default_factory=RunConfig)
    seed: int = key(42, SEED)
    id: Optional[str] = None  # of the customer whom `churn forget` forgets
    bundle: Optional[str] = None  # directory; null: the champion of the data set, else runs/latest/bundle
    input: Optional[str] = None  # file of customers to score, bq://PROJECT.DATASET.TABLE, or `events`
    # File to write; for `churn score` also a folder, or a bq:// table; for `churn export` bq://P.SET.MODEL.
    output: Optional[str] = None
    to: Optional[ExportFormat] = None  # of `churn export`
    top: Optional[int] = key(None, ONE_OR_MORE)  # customers on the call list of `churn score`; null: no list
    # Keys of the decision and the data that the command line sets, filled in by the program: so a key that
    # was set to its default is told from one that is left to the bundle.
    overridden: list[str] = field(default_factory=list)


def flatten(cfg: Any, prefix: str = "") -> dict[str, str]:
    """Every value of a configuration as text, by its full key: {"train.epochs": "12", ...}."""
    leaves: dict[str, str] = {}
    for name, value in cast("dict[str, Any]", OmegaConf.to_container(cfg, enum_to_str=True)).items():
        if isinstance(value, dict):
            leaves |= flatten(OmegaConf.create(value), f"{prefix}{name}.")
        else:
            leaves[f"{prefix}{name}"] = str(value)
    return leaves


def compose_config(*overrides: str) -> Config:
    """The configuration of `churn STAGE *overrides`, for notebooks and programs.

    Raises Hydra's and OmegaConf's errors for unknown keys and wrong types, and `UserError` for numbers
    outside their bounds and for files that are no YAML.

    >>> cfg = compose_config("data=telco", "train.epochs=20")
    """
    from hydra import compose, initialize_config_dir
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store("schema", Config)
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        try:
            composed = compose("config", keep_texts(overrides, Config), return_hydra_config=True)
        except (YAMLError, ValueError, TypeError) as error:  # the last two are Hydra's, for data=1, data=[1]
            raise unreadable_file(error) or not_a_choice() from None
        with open_dict(composed):
            check_files(composed.pop("hydra").runtime, Config)
        return to_config(composed, overrides)


def not_a_choice() -> UserError:
    """What is wrong with data=1."""
    return UserError("data=, model= and the like choose by a word", do="churn train --help lists the choices")


def to_config(composed: DictConfig, overrides: Sequence[str] = ()) -> Config:
    """What Hydra composed from the overrides as a `Config`.

    Raises `UserError` for numbers outside their bounds, and for a ${...} that is no list where one belongs.
    """
    cfg = cast("Config", OmegaConf.to_object(composed))
    keys = {override.lstrip("+~").partition("=")[0] for override in overrides}
    cfg.overridden = sorted(key for key in keys if re.match(r"decision\.|retrain\.gate\.|data(\.|$)", key))
    # The default of the credentials would, in a job of Vertex AI, be a project of Google's.
    cfg.data.bigquery.project = cfg.data.bigquery.project or cfg.deploy.project
    check_lists(cfg)
    check_bounds(cfg)
    hide_passwords_of(cfg)
    fill_in_home(cfg)
    return cfg


def config_directory() -> Path:
    """`configs/` of the checkout, or its copy inside the installed package."""
    package = Path(__file__).parents[1]
    checkout = package.parents[1] / "configs"
    return checkout if checkout.is_dir() else package / "configs"


def with_tutorial_model(cfg: Config) -> Config:
    """The same configuration, data and split, with the tutorial's network and optimiser."""
    choice = cast("DictConfig", OmegaConf.load(config_directory() / "model" / "tutorial.yaml"))
    own = OmegaConf.structured({"model": cfg.model, "train": cfg.train})  # texts such as ${x} stay texts
    merged = OmegaConf.merge(own, {key: choice[key] for key in ("model", "train")})
    return replace(cfg, **cast("dict[str, Any]", OmegaConf.to_object(merged)))
