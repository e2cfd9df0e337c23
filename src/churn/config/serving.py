"""Keys of scoring, serving and Vertex AI."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Optional

from omegaconf import MISSING

from churn.config.limits import ONE_OR_MORE, PER_CENT, PORT, POSITIVE, SHARE_ABOVE_ZERO, ZERO_OR_MORE, key


@dataclass
class ScoreConfig:
    """`churn score`."""

    sort: bool = False  # most likely to leave first, instead of input order
    reasons: bool = False  # say for every customer why, in words; the list that `top` makes always does
    do_not_contact: Optional[str] = None  # file of customer ids that the list leaves out
    cutoff: Optional[str] = None  # with input=events: day at whose beginning it is asked, ISO; null: today
    chunk_rows: int = key(
        50_000, ONE_OR_MORE
    )  # rows in memory at a time; a few such chunks are read and written meanwhile
    chunks_per_file: int = (
        key(20, ONE_OR_MORE)  # chunks in each file where `output` is a folder; a killed scoring goes on there
    )


class BeamRunner(Enum):
    """Who runs `churn score` and the counting pass of a streamed training (`churn.score.beam`)."""

    none = "none"  # this process
    direct = "direct"  # Apache Beam, `workers` processes on this machine
    dataflow = "dataflow"  # Google's service; scoring only


@dataclass
class BeamConfig:
    """Many workers. Project, region, bucket, account and key are those of `deploy`."""

    runner: BeamRunner = BeamRunner.none
    workers: int = key(2, ONE_OR_MORE)  # at most
    machine_type: Optional[str] = None  # null: Dataflow chooses
    image: Optional[str] = None  # container with churn and the extra `scale` that Dataflow's workers run


class Overload(Enum):
    """What the server does with an answer that cannot be logged at once."""

    wait = "wait"  # hold it back until it can
    drop = "drop"  # send it without a log line, and count that


@dataclass
class LogConfig:
    """The prediction log of `churn serve` (`churn.serve.log.write`)."""

    enabled: bool = True
    dir: Optional[str] = None  # null: <run.root>/log
    overload: Overload = Overload.wait
    segment_bytes: int = key(
        64_000_000, ONE_OR_MORE
    )  # lines are turned into a Parquet file when they are so many bytes ...
    segment_seconds: float = key(600.0, POSITIVE)  # ... or so old
    max_backlog_bytes: int = key(2_000_000_000, ZERO_OR_MORE)  # of lines that wait for that; more is overload


@dataclass
class ServeConfig:
    """`churn serve`. Vertex AI's AIP_HTTP_PORT, AIP_*_ROUTE and AIP_STORAGE_URI win where set."""

    host: str = "127.0.0.1"  # this machine only; 0.0.0.0 where AIP_HTTP_PORT is set
    port: int = key(8080, PORT)
    predict_route: str = "/predict"
    health_route: str = "/health"
    lenient: bool = False  # a field that is left out or null counts as missing, instead of being an error
    max_request_bytes: int = key(1_500_000, ONE_OR_MORE)  # as on Vertex AI's shared endpoints
    max_connections: int = key(1_000, ONE_OR_MORE)  # further ones get 503
    batch_rows: int = key(
        4_096, ONE_OR_MORE
    )  # rows given to the model at a time, at most, unless one request has more
    threads: int = key(1, ONE_OR_MORE)  # of TensorFlow
    drain_seconds: float = key(
        2.0, ZERO_OR_MORE
    )  # after SIGTERM: not healthy, but answering, so that clients go elsewhere
    log: LogConfig = field(default_factory=LogConfig)


class Environment(Enum):
    """Where to deploy; what differs between them is in `churn.vertex.cloud.deployment`."""

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
    hours: int = key(24, ONE_OR_MORE)  # between two looks
    sampling: float = key(1.0, SHARE_ABOVE_ZERO)  # share of the requests that are logged and looked at
    threshold: Optional[float] = key(
        None, SHARE_ABOVE_ZERO
    )  # distance that is an anomaly, 0 to 1; null: by feature, from training
    rows: int = key(
        1000, ONE_OR_MORE
    )  # looked at each time, for which those of training are reckoned: fewer differ by chance
    training_data: Optional[str] = None  # gs://FILE.csv or bq://TABLE for skew; null: drift only
    emails: list[str] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)  # Cloud Monitoring's, Pub/Sub among them


class Platform(Enum):
    """Where a stage works."""

    local = "local"
    vertex = "vertex"


@dataclass
class TargetConfig:
    """Where `churn train` and `churn score` work (`configs/target/`), and on Vertex AI, on what."""

    name: Platform = Platform.local
    machine_type: str = "n1-standard-4"
    replicas: int = key(1, ONE_OR_MORE)  # machines that score
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
    min_replicas: Optional[int] = key(None, ONE_OR_MORE)
    max_replicas: Optional[int] = key(None, ONE_OR_MORE)
    probe: int = key(
        10, PER_CENT
    )  # per cent of the traffic that a new version gets until its answers are checked
    answers: int = key(5, ONE_OR_MORE)  # checked answers before it gets more
    canary: int = key(100, PER_CENT)  # per cent that it gets then; deploying again with 100 promotes it
    service_account: Optional[str] = None  # that the container runs as
    kms_key: Optional[str] = None  # projects/P/locations/REGION/keyRings/R/cryptoKeys/K
    access_logging: bool = False
    dedicated: bool = False  # an endpoint with an address of its own
    plan_only: bool = False  # stop after the plan; needs no account
    yes: bool = False  # do not ask
    emulator: Optional[str] = None  # address that stands in for all of Google's services
    monitoring: MonitoringConfig = field(default_factory=MonitoringConfig)
