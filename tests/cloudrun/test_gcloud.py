"""The printed commands, typed into gcloud, do the same as the command that prints them."""

import copy

import pytest
from typed_gcloud import typing

from churn.cloudrun.deploy import deploy
from churn.cloudrun.destroy import destroy
from churn.cloudrun.rollback import rollback
from churn.cloudrun.state import RunState

TYPED = ("gcloud run ", "gcloud logging ")  # the others are those of Vertex AI's deployment: tests/vertex
KEY = "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k"
OPTIONS = (
    f"deploy.kms_key={KEY}", "deploy.service_account=a@p.iam.gserviceaccount.com", "deploy.cloud_run.cpu=2",
    "deploy.cloud_run.memory_mib=1024", "deploy.cloud_run.concurrency=7", "deploy.min_replicas=1",
    "deploy.max_replicas=4", "deploy.cloud_run.id_key=churn-id-key",
)  # fmt: skip
MORE = "deploy.cloud_run.memory_mib=2048"
STEPS = [  # command, its settings, and the verbs of what it prints
    (deploy, (1, *OPTIONS), ["logging sinks create", "run deploy", "run services update-traffic"]),
    (
        deploy,
        (2, *OPTIONS, "deploy.canary=10", "deploy.cloud_run.public=true"),
        ["run deploy", "run services update-traffic", "run services add-iam-policy-binding"],
    ),
    (  # it stays public
        deploy,
        (1, *OPTIONS, MORE, "deploy.cloud_run.public=true"),
        ["run deploy", "run services update-traffic"],
    ),
    (
        deploy,
        (2, *OPTIONS, MORE, "deploy.canary=10"),
        ["run deploy", "run services update-traffic", "run services remove-iam-policy-binding"],
    ),
    (
        deploy,
        (2, *OPTIONS, MORE, "deploy.min_replicas=2"),
        ["run services update", "run services update-traffic"],
    ),
    (rollback, (2,), ["run services update-traffic"]),
    (destroy, (2,), ["run services delete", "logging sinks delete"]),
]


@pytest.fixture
def gcloud(cloud, tmp_path):
    """A function that types a line into gcloud."""
    environment = {
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN": "http://run.test/",  # gcloud puts the region before the host
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING": f"{cloud.url}/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_SERVICEUSAGE": f"{cloud.url}/",
        "http_proxy": cloud.url,
        "no_proxy": "127.0.0.1",
    }
    with typing(environment, tmp_path) as run:
        yield run


def everything(cloud):
    """Services, revisions, policies and sinks, without what the service chooses."""
    run = cloud.run
    services = [
        (
            *(s.name, dict(s.labels), s.template, s.scaling.min_instance_count),
            *(RunState(s).shares, RunState(s).tags, [r.name for r in run.revisions[s.name]]),
        )
        for s in run.services.values()
    ]
    members = [[(b.role, list(b.members)) for b in policy.bindings] for policy in run.policies.values()]
    return services, [bindings for bindings in members if bindings], cloud.sinks


def typed_commands(capsys):
    lines = [
        line.partition("The same with gcloud: ")[2] or line for line in capsys.readouterr().out.splitlines()
    ]
    return [line.strip() for line in lines if line.strip().startswith(TYPED)]


def verbs(line):
    return " ".join(word for word in line.split()[1:4] if not word.startswith(("-", "churn")))


def test_the_printed_commands_typed_into_gcloud(cloud, settings, gcloud, capsys):
    cloud.run.secrets.add("churn-id-key")
    cloud.service.storage.encrypt_bucket("bucket", KEY)
    cloud.service.lag = 0  # gcloud waits for seconds
    for function, overrides, expected_verbs in STEPS:
        before = copy.deepcopy((cloud.run.services, cloud.run.revisions, cloud.run.policies, cloud.sinks))
        capsys.readouterr()
        function(settings(*overrides))
        lines, expected = typed_commands(capsys), everything(cloud)
        assert [verbs(line) for line in lines] == expected_verbs
        cloud.run.services, cloud.run.revisions, cloud.run.policies, cloud.sinks = before
        if function is destroy:  # its files and its data set are gone
            cloud.service.datasets.clear()
        for line in lines:
            gcloud(line)
        assert everything(cloud) == expected, lines
