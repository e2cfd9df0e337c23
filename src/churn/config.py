"""Every configuration key: its type, its unit and its default, declared once.

The YAML files in `configs/` choose among these; Hydra refuses a key or a type that is not here.
"""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Optional, cast

from omegaconf import MISSING, DictConfig, OmegaConf


class Source(Enum):
    """Where rows come from; each is a module of `churn.data`."""

    synthetic = "synthetic"
    file = "file"
    kaggle = "kaggle"
    bigquery = "bigquery"


class Drift(Enum):
    """What changes in the synthetic world from `synthetic.drift_from` on."""

    none = "none"
    mean = "mean"  # monthly charges rise by `drift_size` standard deviations
    spread = "spread"  # the spread of monthly charges is multiplied by 1 + `drift_size`
    share = "share"  # `drift_size` of the customers move to fiber optic
    level = "level"  # `drift_size` of the customers pay by a method never seen before
    missing = "missing"  # `drift_size` of the tenures go missing
    concept = "concept"  # same inputs, other behaviour: log-odds of month-to-month customers + `drift_size`


@dataclass
class SyntheticConfig:
    """The embedded generator (`churn.data.synthetic`)."""

    rows: int = 10_000  # customers
    churn_rate: float = 0.265  # share of customers who leave, before drift
    missing: float = 0.01  # share of blank cells in the columns that can be blank
    start: str = "2025-01-01"  # date of the first snapshot, ISO
    days: int = 365  # days over which snapshots spread
    dates: bool = False  # whether to add the column `Snapshot` with the date of each row
    drift: Drift = Drift.none
    drift_size: float = 0.0  # unit depends on the kind, see Drift
    drift_from: Optional[str] = None  # date from which drift acts, ISO; null: from the start


@dataclass
class BigQueryConfig:
    """A table or a query (`churn.data.bigquery`)."""

    project: Optional[str] = None  # project that pays; null: the default of the credentials
    table: Optional[str] = None  # project.dataset.table, or
    query: Optional[str] = None  # a SELECT in GoogleSQL
    location: Optional[str] = None  # where the data lie, e.g. EU; null: found by the service
    max_gigabytes: float = 1.0  # 10^9 bytes; what would read more is refused before anything is billed


@dataclass
class DataConfig:
    """A data set: where it is and what its columns mean. Empty roles are inferred and printed."""

    name: Optional[str] = None  # short name, part of the run directory; null: the file's
    source: Source = Source.file
    path: Optional[str] = None  # file, glob or folder, local or gs://
    url: Optional[str] = None  # where to download `path` from if it is not given
    sha256: Optional[str] = None  # what the download must hash to
    cache: str = "${run.root}/cache"  # folder that keeps downloads
    kaggle: Optional[str] = None  # owner/data-set on Kaggle, or owner/data-set/versions/N
    kaggle_file: Optional[str] = None  # file within it; null: the only table there
    bigquery: BigQueryConfig = field(default_factory=BigQueryConfig)
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)

    target: Optional[str] = None  # column that says who left
    churned: list[str] = field(default_factory=list)  # its values that mean "left"; empty: usual spellings
    id: Optional[str] = None  # column that names the customer; never a feature
    time: Optional[str] = None  # column with the date of the row; the split is then by time
    horizon: int = 30  # days after `time` in which the label is decided; gap between parts
    numeric: list[str] = field(default_factory=list)
    categorical: list[str] = field(default_factory=list)
    drop: list[str] = field(default_factory=list)  # columns left out; say why in a comment

    delimiter: Optional[str] = None  # null: recognised
    encoding: Optional[str] = None  # null: recognised
    skip_lines: Optional[int] = None  # lines before the header; null: recognised
    decimal: str = "."  # decimal mark of numbers in text
    thousands: Optional[str] = None  # thousands separator of numbers in text
    missing: list[str] = field(default_factory=list)  # texts that mean "missing", beside blank
    max_bad_rows: int = 0  # rows that may be set aside in a file next to the run
    drop_copies: bool = False  # drop exact copies of rows even where no id tells that they are copies


class SplitMethod(Enum):
    """How rows are dealt out to the four parts."""

    stratified = "stratified"  # by customer and copy, same churn rate in each part
    time = "time"  # chosen by itself where `data.time` is named
    customer = (
        "customer"  # as stratified, even where `data.time` is named: what a challenger learns is recent
    )
    article = "article"  # the tutorial's: random, not stratified, no calibration part


@dataclass
class SplitConfig:
    """Shares of the rows; what remains is the train part."""

    method: SplitMethod = SplitMethod.stratified
    test: float = 0.2
    calibration: float = 0.1
    validation: float = 0.1


class ModelName(Enum):
    """The networks of `churn.model`."""

    tutorial = "tutorial"
    dense = "dense"


@dataclass
class ModelConfig:
    """Shape and settings of the network."""

    name: ModelName = MISSING
    members: int = 5  # networks whose answers are pooled to one
    folds: int = 5  # each member is trained without one of so many parts of the rows
    hidden: list[int] = field(default_factory=lambda: [64, 64])  # units of each layer
    dropout: float = 0.0  # share of units silenced in training
    dropout_untaught: float = 0.1  # the same where `dense` learns from labels only
    bins: int = 16  # quantile bins that a number is spread over, beside itself; 0: none
    least_deviation: float = 0.3  # that flags, bins and levels are divided by, however rare; 0: their own
    clip: float = 4.0  # largest input, in standard deviations; 0: any
    max_levels: int = 64  # levels of a category that get an input of their own
    min_level_rows: int = 8  # a level with fewer train rows counts as unknown


@dataclass
class TrainConfig:
    """The optimiser and its loop."""

    epochs: int = 12  # passes over the train rows, at most
    batch_size: int = 0  # rows; 0: by the number of rows
    learning_rate: float = 3e-3  # at its highest: it rises from 0 and falls back as a cosine
    weight_decay: float = 1e-2  # on kernels only
    patience: int = 8  # epochs without a better validation loss before stopping; 0: no early stopping
    label_weight: float = 0.5  # of a real row beside a made-up one
    made_up: float = 10.0  # rows that boosted trees answer for, for each real one; 0: learn from labels only
    most_made_up: int = 25_000  # such rows, at most
    taught_up_to: int = 60_000  # real rows; more of them teach well enough without trees
    profile: bool = False  # write what TensorFlow did while training to <run>/profile, for TensorBoard
    stream_rows: int = 2_000_000  # rows of a Parquet table above which it is never in memory as a whole
    stretch_rows: int = 262_144  # rows of it that are in memory and shuffled together, in whole row groups
    sample_rows: int = 200_000  # rows of it that the encoding is fitted on and the report is made of


@dataclass
class DecisionConfig:
    """What a call costs and brings, in any one currency. The defaults are Verbraken et al.'s (2013)."""

    customer_value: float = 200.0  # lost when a customer leaves
    value_column: Optional[str] = None  # column of numbers that says it for each customer instead ...
    value_factor: float = 1.0  # ... multiplied by this, e.g. 24 for two years of a monthly charge
    contact_cost: float = 1.0  # of calling one customer
    offer_cost: float = 10.0  # of the offer, paid if it is taken
    success: float = 0.3  # chance that the offer keeps a customer who would leave
    success_evidence: float = 20.0  # trials that this chance is worth: alpha + beta of a beta distribution
    threshold: Optional[float] = None  # probability from which to call; null: the most profitable
    top_share: Optional[float] = None  # or: the threshold that calls this share of the customers
    capacity: Optional[int] = None  # calls that can be made; the list of `churn score` is no longer
    control_share: float = 0.1  # share of that list that is not called, to measure what calling does


@dataclass
class ExportConfig:
    """What the bundle's graph gives beside the probability."""

    reasons: bool = (
        False  # put the reasons into the first signature too; Vertex AI's containers call only that
    )
    background: int = 64  # train rows kept in the bundle, which reasons compare with; 0: no reasons
    worlds: int = 2  # simulated worlds that calibrate the intervals, each a third of a fit; 0: no intervals
    certainty: float = 0.9  # share of leavers, and of stayers, that the sets shall cover; 0: no sets


@dataclass
class EvaluateConfig:
    """The numbers of the report."""

    bootstrap: int = 1_000  # resamples behind each interval
    importance_repeats: int = 5  # shuffles of each column


@dataclass
class RunConfig:
    """Where a run is written."""

    root: str = "runs"  # everything churn writes by itself lies here
    dir: Optional[str] = None  # null: <root>/<time>-<data>


@dataclass
class ScoreConfig:
    """`churn score`."""

    sort: bool = False  # most likely to leave first, instead of input order
    reasons: bool = False  # say for every customer why, in words; the list that `top` makes always does
    do_not_contact: Optional[str] = None  # file of customer ids that the list leaves out
    chunk_rows: int = 50_000  # rows in memory at a time; a few such chunks are read and written meanwhile
    chunks_per_file: int = (
        20  # chunks in each file where `output` is a folder; a killed scoring goes on there
    )


class BeamRunner(Enum):
    """Who runs `churn score` and the counting pass of a streamed training (`churn.beam`)."""

    none = "none"  # this process
    direct = "direct"  # Apache Beam, `workers` processes on this machine
    dataflow = "dataflow"  # Google's service; scoring only


@dataclass
class BeamConfig:
    """Many workers. Project, region, bucket, account and key are those of `deploy`."""

    runner: BeamRunner = BeamRunner.none
    workers: int = 2  # at most
    machine_type: Optional[str] = None  # null: Dataflow chooses
    image: Optional[str] = None  # container with churn and the extra `scale` that Dataflow's workers run


class Overload(Enum):
    """What the server does with an answer that cannot be logged at once."""

    wait = "wait"  # hold it back until it can
    drop = "drop"  # send it without a log line, and count that


@dataclass
class LogConfig:
    """The prediction log of `churn serve` (`churn.serve.spool`)."""

    enabled: bool = True
    dir: Optional[str] = None  # null: <run.root>/log
    overload: Overload = Overload.wait
    segment_bytes: int = 64_000_000  # lines are turned into a Parquet file when they are so many bytes ...
    segment_seconds: float = 600.0  # ... or so old
    max_backlog_bytes: int = 2_000_000_000  # of lines that wait for that; more is overload


@dataclass
class ServeConfig:
    """`churn serve`. Vertex AI's AIP_HTTP_PORT, AIP_*_ROUTE and AIP_STORAGE_URI win where set."""

    host: str = "127.0.0.1"  # this machine only; 0.0.0.0 where AIP_HTTP_PORT is set
    port: int = 8080
    predict_route: str = "/predict"
    health_route: str = "/health"
    lenient: bool = False  # a field that is left out or null counts as missing, instead of being an error
    max_request_bytes: int = 1_500_000  # as on Vertex AI's shared endpoints
    max_connections: int = 1_000  # further ones get 503
    batch_rows: int = 4_096  # rows given to the model at a time, at most, unless one request has more
    threads: int = 1  # of TensorFlow
    drain_seconds: float = 2.0  # after SIGTERM: not healthy, but answering, so that clients go elsewhere
    log: LogConfig = field(default_factory=LogConfig)


class Environment(Enum):
    """Where to deploy; what differs between them is in `churn.vertex.target`."""

    dev = "dev"
    prod = "prod"


@dataclass
class ServingConfig:
    """The container that serves on Vertex AI (`configs/serving/`)."""

    image: str = MISSING  # {continent}, {region} and {project} are filled in
    available_until: Optional[str] = None  # first day on which it can't be used, ISO; null: no such day
    directory: str = "1"  # below the staged bundle: what the container is given
    command: list[str] = field(default_factory=list)
    args: list[str] = field(default_factory=list)
    predict_route: Optional[str] = None  # null: the image knows
    health_route: Optional[str] = None


@dataclass
class MonitoringConfig:
    """Vertex AI's monitoring of the endpoint's requests."""

    enabled: bool = True
    hours: int = 24  # between two looks
    sampling: float = 1.0  # share of the requests that are logged and looked at
    threshold: Optional[float] = None  # distance that is an anomaly, 0 to 1; null: by feature, from training
    rows: int = 1000  # looked at each time, for which those of training are reckoned: fewer differ by chance
    training_data: Optional[str] = None  # gs://FILE.csv or bq://TABLE for skew; null: drift only
    emails: list[str] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)  # Cloud Monitoring's, Pub/Sub among them


class Place(Enum):
    """Where a stage works."""

    local = "local"
    vertex = "vertex"


@dataclass
class TargetConfig:
    """Where `churn train` and `churn score` work (`configs/target/`), and on Vertex AI, on what."""

    name: Place = Place.local
    machine_type: str = "n1-standard-4"
    replicas: int = 1  # machines that score
    image: str = "{region}-docker.pkg.dev/{project}/churn/training:latest"  # that trains; deploy/training/


@dataclass
class DeployConfig:
    """`churn deploy|rollback|status|destroy`. What is null is the environment's."""

    env: Environment = Environment.dev
    project: Optional[str] = None
    region: str = "us-central1"
    bucket: Optional[str] = None  # in the same region
    name: Optional[str] = None  # of endpoint, model and data set, and the label of everything
    machine_type: Optional[str] = None
    min_replicas: Optional[int] = None
    max_replicas: Optional[int] = None
    probe: int = 10  # per cent of the traffic that a new version gets until its answers are checked
    answers: int = 5  # checked answers before it gets more
    canary: int = 100  # per cent that it gets then; deploying again with 100 promotes it
    service_account: Optional[str] = None  # that the container runs as
    kms_key: Optional[str] = None  # projects/P/locations/REGION/keyRings/R/cryptoKeys/K
    access_logging: bool = False
    dedicated: bool = False  # an endpoint with an address of its own
    plan_only: bool = False  # stop after the plan; needs no account
    yes: bool = False  # do not ask
    emulator: Optional[str] = None  # address that stands in for all of Google's services
    monitoring: MonitoringConfig = field(default_factory=MonitoringConfig)


@dataclass
class TriggerConfig:
    """When `churn retrain` trains a challenger (`churn.retrain.trigger`)."""

    alarms: int = 2  # windows with an alarm, the newest among them, that call for it; 0: none do ...
    windows: int = 5  # ... out of the last so many
    performance: bool = True  # a drop of the performance whose interval excludes zero calls for it, too
    every_days: Optional[float] = None  # and so does a schedule
    cooldown_days: float = 28.0  # since the last retraining
    per_week: int = 1  # retrainings, at most


@dataclass
class GateConfig:
    """What a challenger must show (`churn.retrain.gate`)."""

    margin_auc: float = 0.02  # no worse means by less than this on 1,400 rows, on n rows ...
    margin_log_loss: float = 0.015  # ... by the root of 1,400/n of it, but at least half; nats
    confidence: float = 0.95  # of each one-sided bound
    bootstrap: int = 1_000  # resamples behind the bounds
    min_rows: int = 500  # fresh rows; fewer are no evidence
    min_churners: int = 50  # and as many who stayed


class Treated(Enum):
    """What becomes of the labels of customers who were called: they are not what was predicted."""

    keep_out = "keep_out"  # they are left out
    correct = "correct"  # they are left out, and those held out as control stand for them, too
    keep = "keep"


@dataclass
class RetrainConfig:
    """`churn retrain`."""

    by_hand: bool = False  # retrain whatever the trigger says
    now: Optional[str] = None  # the moment to decide at, ISO, UTC; null: now
    window_days: Optional[float] = 730.0  # age of the oldest rows to train on; null: any
    half_life_days: Optional[float] = None  # age at which half of the rows are left out; null: none are
    fresh_share: float = 0.3  # of the newest customers, who are only compared on ...
    fresh_days: float = 90.0  # ... if they came in so many days before the newest label, after the champion's
    treated: Treated = Treated.keep_out
    segments: list[str] = field(default_factory=list)  # categories, each level of which must not be harmed
    probation_days: float = 90.0  # after a promotion, in which the version before may come back ...
    rollback_confidence: float = 0.995  # ... if it is better, one-sided; many looks may err
    canary: int = 20  # per cent of Vertex AI's traffic that a challenger gets until its probation is over
    trigger: TriggerConfig = field(default_factory=TriggerConfig)
    gate: GateConfig = field(default_factory=GateConfig)


@dataclass
class MonitorConfig:
    """`churn monitor`; files go to `dir`."""

    log: Optional[str] = None  # folder or Parquet file, or bq://PROJECT.DATASET.TABLE; null: the server's log
    since: Optional[str] = None  # first moment of the window, ISO, UTC; null: `days` before its end
    until: Optional[str] = None  # its end; null: now
    days: float = 7.0
    labels: Optional[str] = None  # what became of customers: file or bq:// table, see docs/monitoring.md
    label_days: float = 180.0  # before `until`: predictions that labels are matched with
    dir: Optional[str] = None  # null: <run.root>/monitor/<data name>
    gauges: Optional[str] = None  # file for Prometheus' node exporter; null: churn.prom in `dir`
    exit_code: bool = False  # end with 10 on a warning and 11 on an alarm
    min_rows: int = 200  # fewer are no evidence
    warning_psi: float = 0.02  # population stability index less its bias, from which a change matters
    alarm_psi: float = 0.10
    permutations: int = 2_000  # at most, of the comparison of all features together; 0: leave it out


@dataclass
class LoopConfig:
    """`churn loop`: the simulated year (`churn.simulation`)."""

    seeds: int = 1  # years that are lived through, from `seed` on
    rows_per_day: int = 40  # customers
    window_days: int = 7  # between two looks of the monitor, and two decisions
    label_days: int = 60  # until it is known who left
    memory_days: int = 180  # of labelled rows that a model learns from
    settled_days: int = 90  # of labelled rows that the monitor measures the champion on
    history_days: int = 240  # before the year: what the first champion learns from
    price_month: int = 5  # in which prices rise ...
    price_rise: float = 0.5  # ... by so many standard deviations of the monthly charge ...
    price_odds: float = 0.8  # ... and everybody's log-odds of leaving by this
    competitor_month: int = 9  # in which a competitor raises ...
    competitor_odds: float = 2.0  # ... the log-odds of customers with long contracts, which it buys out
    passes: int = 16  # over the rows, of the small network that the simulation trains


@dataclass
class Config:
    """The whole of it; `churn STAGE --cfg job` prints it resolved."""

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
    seed: int = 42
    bundle: Optional[str] = None  # directory; null: the champion, else runs/latest/bundle
    input: Optional[str] = None  # file of customers to score, or bq://PROJECT.DATASET.TABLE
    output: Optional[str] = None  # file to write; `churn score`: or a folder of Parquet files, or bq://
    top: Optional[int] = None  # `churn score` writes only the list of so many customers to call


def flat(cfg: Any, prefix: str = "") -> dict[str, str]:
    """Every leaf of a configuration by its full path, as text: {"train.epochs": "40", ...}."""
    leaves: dict[str, str] = {}
    for name, value in cast("dict[str, Any]", OmegaConf.to_container(cfg, enum_to_str=True)).items():
        if isinstance(value, dict):
            leaves |= flat(OmegaConf.create(value), f"{prefix}{name}.")
        else:
            leaves[f"{prefix}{name}"] = str(value)
    return leaves


def configured(*overrides: str) -> Config:
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
    package = Path(__file__).parent
    checkout = package.parents[1] / "configs"
    return checkout if checkout.is_dir() else package / "configs"


def tutorial(cfg: Config) -> Config:
    """The same configuration with the tutorial's network and optimiser, on the same data and split."""
    choice = cast("DictConfig", OmegaConf.load(config_directory() / "model" / "tutorial.yaml"))
    merged = OmegaConf.merge(OmegaConf.structured(cfg), {key: choice[key] for key in ("model", "train")})
    return cast("Config", OmegaConf.to_object(merged))
