"""Keys of scoring, serving and Vertex AI."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Optional

from omegaconf import MISSING

from churn.config.limits import (
    CONCURRENCY,
    CPUS,
    DAYS,
    IDLE_MINUTES,
    MEMORY_MIB,
    ONE_OR_MORE,
    PER_CENT,
    PORT,
    POSITIVE,
    SHARE_ABOVE_ZERO,
    ZERO_OR_MORE,
    day,
    key,
)


class Runtime(Enum):
    """What computes the answers of a bundle."""

    litert = "litert"  # LiteRT: a small library, which starts in a blink
    tensorflow = "tensorflow"  # the SavedModel


@dataclass
class ScoreConfig:
    """`churn score`."""

    sort: bool = False  # write the likeliest churners first, instead of the input order
    reasons: bool = False  # write each customer's reasons, in words; the call list (`top`) always has them
    # Columns of the input to write beside the scores, such as name and phone; not inputs of the model.
    keep: list[str] = field(default_factory=list)
    page: Optional[str] = None  # HTML file for the call list (`top`): one page to print
    do_not_contact: Optional[str] = None  # file of customer ids to leave out of the call list
    runtime: Runtime = Runtime.litert
    cutoff: Optional[str] = None  # with input=events: ISO day at whose beginning it is asked; null: today
    chunk_rows: int = key(50_000, ONE_OR_MORE)  # rows scored at a time; a few such chunks are in memory
    # Chunks per file if `output` is a folder; after a kill, scoring goes on at the first missing file.
    chunks_per_file: int = key(20, ONE_OR_MORE)


class BeamRunner(Enum):
    """What runs `churn score`, and the counting pass of a training on a large table."""

    none = "none"  # this process
    direct = "direct"  # Apache Beam, with `workers` processes on this machine
    dataflow = "dataflow"  # Google Cloud Dataflow; `churn score` only


@dataclass
class BeamConfig:
    """Many workers. Project, region, bucket, account and key are those of `deploy`."""

    runner: BeamRunner = BeamRunner.none
    workers: int = key(2, ONE_OR_MORE)  # at most
    machine_type: Optional[str] = None  # null: Dataflow chooses
    image: Optional[str] = None  # container of Dataflow's workers, with churn and its extra `scale`


class Overload(Enum):
    """What the server does with an answer that cannot be logged at once."""

    wait = "wait"  # hold the answer back until it is logged
    drop = "drop"  # send the answer without a log line, and count it


class LogIds(Enum):
    """How the log names customers."""

    hashed = "hashed"  # by a keyed hash of the id (`churn.data.id_hash`)
    plain = "plain"  # by the id as it was sent


class LogTo(Enum):
    """Where the log goes."""

    files = "files"  # lines, then Parquet files, in `dir`
    stdout = "stdout"  # a line of JSON for each request, which Cloud Run passes on to Cloud Logging


@dataclass
class LogConfig:
    """The prediction log of `churn serve` (`churn.serve.log`)."""

    enabled: bool = True
    to: LogTo = LogTo.files
    ids: LogIds = LogIds.hashed
    dir: Optional[str] = None  # null: <run.root>/log
    overload: Overload = Overload.wait
    segment_bytes: int = key(64_000_000, ONE_OR_MORE)  # a file of lines becomes Parquet at this size ...
    segment_seconds: float = key(600.0, POSITIVE)  # ... or at this age
    max_backlog_bytes: int = key(2_000_000_000, ZERO_OR_MORE)  # lines not yet in Parquet; more is an overload
    # A file is removed when its newest line is so old; null: never. `churn retrain` learns of none older.
    keep_days: Optional[float] = key(400.0, DAYS)


@dataclass
class ServeConfig:
    """`churn serve`. Vertex AI's AIP_HTTP_PORT, AIP_*_ROUTE and AIP_STORAGE_URI take precedence."""

    host: str = "127.0.0.1"  # this machine only; 0.0.0.0 if AIP_HTTP_PORT is set
    port: int = key(8080, PORT)
    predict_route: str = "/predict"
    health_route: str = "/health"
    # Beyond this machine the server wants CHURN_TOKEN in the environment and a certificate, or a proxy that
    # encrypts and checks who asks.
    certificate: Optional[str] = None  # PEM file, with its chain
    certificate_key: Optional[str] = (
        None  # PEM file of the certificate's private key; null: it is in `certificate`
    )
    behind_proxy: bool = False
    lenient: bool = False  # a field that is absent or null counts as missing, instead of being an error
    max_request_bytes: int = key(1_500_000, ONE_OR_MORE)  # the limit of Vertex AI's shared endpoints
    # Of a process; more: the longest idle one goes, else status 503.
    max_connections: int = key(1_000, ONE_OR_MORE)
    processes: int = key(1, ONE_OR_MORE)  # that answer, each on a core of its own; one port, one log
    batch_rows: int = key(4_096, ONE_OR_MORE)  # rows per call of the model; a larger request is not split
    runtime: Runtime = Runtime.litert
    threads: int = key(1, ONE_OR_MORE)  # of the runtime, for requests of many rows
    drain_seconds: float = key(2.0, ZERO_OR_MORE)  # after SIGTERM: report unhealthy but go on answering
    log: LogConfig = field(default_factory=LogConfig)


@dataclass
class AppConfig:
    """`churn app`. Address, certificate and who may ask are those of `serve`, except for the port."""

    port: int = key(8050, PORT)


class ExportFormat(Enum):
    """What `churn export` makes of a bundle."""

    bigquery = "bigquery"  # a model of BigQuery ML
    litert = "litert"  # a file for LiteRT: phones, browsers, small machines
    onnx = "onnx"  # a file for ONNX Runtime: .NET, Java, C++, databases


class Environment(Enum):
    """Where to deploy; `churn.vertex.cloud.deployment` says how they differ."""

    dev = "dev"
    prod = "prod"


@dataclass
class ServingConfig:
    """The container that serves on Vertex AI (`configs/serving/`)."""

    image: str = MISSING  # {continent}, {region} and {project} are filled in
    support_ended: Optional[str] = day(None)  # day of its last security patch, ISO; null: it is supported
    available_until: Optional[str] = day(None)  # first day on which it cannot be used, ISO; null: no such day
    directory: str = "1"  # the part of the staged bundle that the container gets
    command: list[str] = field(default_factory=list)
    args: list[str] = field(default_factory=list)
    predict_route: Optional[str] = None  # null: the default of the image
    health_route: Optional[str] = None  # null: the default of the image


@dataclass
class MonitoringConfig:
    """Vertex AI's monitoring of the endpoint's requests."""

    enabled: bool = True
    hours: int = key(24, ONE_OR_MORE)  # hours between two analyses
    sampling: float = key(1.0, SHARE_ABOVE_ZERO)  # share of the requests that are logged and analysed
    # Distance that counts as an anomaly, 0 to 1; null: one per feature, from the training data.
    threshold: Optional[float] = key(None, SHARE_ABOVE_ZERO)
    rows: int = key(1000, ONE_OR_MORE)  # requests per analysis, which those thresholds assume
    training_data: Optional[str] = None  # gs://FILE.csv or bq://TABLE, for skew; null: drift only
    emails: list[str] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)  # of Cloud Monitoring, e.g. for Pub/Sub


class Platform(Enum):
    """Where a stage runs."""

    local = "local"
    vertex = "vertex"
    cloudrun = "cloudrun"  # `churn deploy` and its companions, in place of an endpoint of Vertex AI


@dataclass
class TargetConfig:
    """Where a stage runs, or deploys to (`configs/target/`), and on which machines of Vertex AI."""

    name: Platform = Platform.local
    machine_type: str = "n1-standard-4"
    replicas: int = key(1, ONE_OR_MORE)  # machines for scoring
    image: str = "{region}-docker.pkg.dev/{project}/churn/training:latest"  # for training: deploy/training/


@dataclass
class CloudRunConfig:
    """The service with `target=cloudrun`."""

    cpu: int = key(1, CPUS)  # of each instance
    memory_mib: int = key(512, MEMORY_MIB)  # of each instance
    concurrency: int = key(80, CONCURRENCY)  # requests that one instance answers at the same time
    public: bool = False  # anybody may call it; else callers need roles/run.invoker
    # Secret of Secret Manager with the key that hashes the log's ids (CHURN_ID_KEY); null: each container
    # makes one of its own, so that labels cannot be matched with the log.
    id_key: Optional[str] = None


@dataclass
class DeployConfig:
    """`churn deploy|rollback|status|destroy`. The environment gives what is null."""

    env: Environment = Environment.dev
    project: Optional[str] = None
    region: str = "us-central1"
    bucket: Optional[str] = None  # in the same region
    name: Optional[str] = None  # of the endpoint, model and data set; also the label of everything
    machine_type: Optional[str] = None
    min_replicas: Optional[int] = key(None, ONE_OR_MORE)
    max_replicas: Optional[int] = key(None, ONE_OR_MORE)
    # Minutes without a request after which no machine runs; null: one always does. A preview, for env=dev.
    idle_minutes: Optional[int] = key(None, IDLE_MINUTES)
    probe: int = key(10, PER_CENT)  # per cent of the traffic for a new version until its answers are checked
    answers: int = key(5, ONE_OR_MORE)  # answers to check before it gets more
    canary: int = key(100, PER_CENT)  # per cent of the traffic after the check; to promote, deploy with 100
    service_account: Optional[str] = None  # account of the container
    kms_key: Optional[str] = None  # projects/P/locations/REGION/keyRings/R/cryptoKeys/K
    access_logging: bool = False
    dedicated: bool = False  # an endpoint with its own address
    plan_only: bool = False  # stop after the plan; needs no account
    yes: bool = False  # do not ask for confirmation
    emulator: Optional[str] = None  # address that replaces all Google services, for tests
    monitoring: MonitoringConfig = field(default_factory=MonitoringConfig)
    cloud_run: CloudRunConfig = field(default_factory=CloudRunConfig)
