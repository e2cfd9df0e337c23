"""Every configuration key: its type, its unit and its default, declared once.

The YAML files in `configs/` choose among these; Hydra refuses a key or a type that is not here.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional, cast

from omegaconf import DictConfig, OmegaConf

from churn.config.data import DataConfig, SplitConfig
from churn.config.events import EventsConfig
from churn.config.limits import ONE_OR_MORE, ZERO_OR_MORE, key
from churn.config.loop import LoopConfig, MonitorConfig, RetrainConfig
from churn.config.serving import (
    BeamConfig,
    DeployConfig,
    ScoreConfig,
    ServeConfig,
    ServingConfig,
    TargetConfig,
)
from churn.config.training import (
    DecisionConfig,
    EvaluateConfig,
    ExportConfig,
    ModelConfig,
    RunConfig,
    TrainConfig,
)

RENAMED = {  # keys of earlier versions, and what they are called now
    "model.dropout_untaught": "model.dropout_labels_only",
    "train.label_weight": "train.hard_label_weight",
    "train.made_up": "train.augmented",
    "train.most_made_up": "train.max_augmented",
    "train.taught_up_to": "train.distill_up_to",
    "train.stretch_rows": "train.shuffle_rows",
    "export.worlds": "export.refits",
    "monitor.gauges": "monitor.prometheus",
    "retrain.by_hand": "retrain.force",
    "loop.passes": "loop.epochs",
}


@dataclass
class Config:
    """The whole of it; `churn STAGE --cfg job` prints it resolved."""

    events: EventsConfig = field(default_factory=EventsConfig)
    data: DataConfig = field(default_factory=DataConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    decision: DecisionConfig = field(default_factory=DecisionConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)
    beam: BeamConfig = field(default_factory=BeamConfig)
    serve: ServeConfig = field(default_factory=ServeConfig)
    serving: ServingConfig = field(default_factory=ServingConfig)
    target: TargetConfig = field(default_factory=TargetConfig)
    deploy: DeployConfig = field(default_factory=DeployConfig)
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    retrain: RetrainConfig = field(default_factory=RetrainConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    run: RunConfig = field(default_factory=RunConfig)
    seed: int = key(42, ZERO_OR_MORE)
    bundle: Optional[str] = None  # directory; null: the champion, else runs/latest/bundle
    input: Optional[str] = None  # file of customers to score, bq://PROJECT.DATASET.TABLE, or `events`
    output: Optional[str] = None  # file to write; `churn score`: or a folder of Parquet files, or bq://
    top: Optional[int] = key(
        None, ONE_OR_MORE
    )  # `churn score` writes only the list of so many customers to call


def flatten(cfg: Any, prefix: str = "") -> dict[str, str]:
    """Every leaf of a configuration by its full path, as text: {"train.epochs": "40", ...}."""
    leaves: dict[str, str] = {}
    for name, value in cast("dict[str, Any]", OmegaConf.to_container(cfg, enum_to_str=True)).items():
        if isinstance(value, dict):
            leaves |= flatten(OmegaConf.create(value), f"{prefix}{name}.")
        else:
            leaves[f"{prefix}{name}"] = str(value)
    return leaves


def compose_config(*overrides: str) -> Config:
    """The configuration that `churn STAGE *overrides` has, for notebooks and programs.

    Raises Hydra's and OmegaConf's errors for keys and values that do not exist.
    """
    from hydra import compose, initialize_config_dir
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store("schema", Config)
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        return cast("Config", OmegaConf.to_object(compose("config", list(overrides))))


def config_directory() -> Path:
    """`configs/` of the checkout, or its copy inside the installed package."""
    package = Path(__file__).parents[1]
    checkout = package.parents[1] / "configs"
    return checkout if checkout.is_dir() else package / "configs"


def with_tutorial_model(cfg: Config) -> Config:
    """The same configuration with the tutorial's network and optimiser, on the same data and split."""
    choice = cast("DictConfig", OmegaConf.load(config_directory() / "model" / "tutorial.yaml"))
    merged = OmegaConf.merge(OmegaConf.structured(cfg), {key: choice[key] for key in ("model", "train")})
    return cast("Config", OmegaConf.to_object(merged))
