"""What can be wrong before a deployment, and a part of the message about it."""

from doubles.vertex import Fault

CONFIGURATIONS = {  # override -> a part of the message
    "deploy.project=null": "no project is named",
    "deploy.bucket=null": "no bucket is named",
    "deploy.kms_key=projects/p/locations/europe-west1/keyRings/r/cryptoKeys/k": "key must be in the region",
    "serving.image=europe-west1-docker.pkg.dev/p/churn/x:1": "in a repository of the endpoint's region",
    "deploy.min_replicas=3": "min_replicas=3 is more than max_replicas=1",
    "deploy.name=My_Name": "can't be the name of an endpoint",
    "deploy.service_account=me": "is no service account",
    "deploy.kms_key=k": "key must be in the region",
    "deploy.idle_minutes=30": "only a dedicated endpoint scales to zero",
    "deploy.monitoring.training_data=train.csv": "gs://FILE.csv or bq://",
    "deploy.monitoring.channels=[me]": "notificationChannels",
    "serving.available_until='2026-11-24'": "serving=tf_serving",
}
OUT_OF_BOUNDS = (  # refused by `churn.config.limits`
    "deploy.min_replicas=0",
    "deploy.max_replicas=0",
    "deploy.idle_minutes=4",
    "deploy.canary=0",
    "deploy.probe=101",
    "deploy.answers=0",
    "deploy.monitoring.sampling=0",
    "deploy.monitoring.hours=0",
    "deploy.monitoring.threshold=2",
    "deploy.monitoring.rows=0",
)


def change_nothing(_):
    """Change nothing: only the configuration is wrong."""


def take_away(*permissions):
    return lambda cloud: cloud.service.denied.update(permissions)


def disable(api):
    return lambda cloud: cloud.service.disabled.add(f"{api}.googleapis.com")


def make_bucket_elsewhere(cloud):
    cloud.service.storage.make_bucket("elsewhere", "EU")


def fail_first_call(kind):
    return lambda cloud: cloud.inject(Fault(0, kind))


def remove_images(cloud):
    cloud.service.images.clear()


ENABLE = r"do: gcloud services enable .*{}\.googleapis\.com.* --project=p$"
GRANT = r"do: gcloud projects add-iam-policy-binding p --member=user:.* --role=roles/{}$"
FAILURES = {  # problem -> a function that causes it, overrides, and the remedy in the message
    "no such project": (change_nothing, ["deploy.project=other"], "do: gcloud projects list"),
    "no such region": (
        change_nothing,
        ["deploy.region=us-central9"],
        "do: .*gcloud compute regions list --project=p",
    ),
    "Vertex AI's API off": (disable("aiplatform"), [], ENABLE.format("aiplatform")),
    "Cloud Storage's API off": (disable("storage"), [], ENABLE.format("storage")),
    "BigQuery's API off": (disable("bigquery"), [], ENABLE.format("bigquery")),
    "Resource Manager's API off": (
        disable("cloudresourcemanager"),
        [],
        ENABLE.format("cloudresourcemanager"),
    ),
    "a quota used up": (
        fail_first_call("quota"),
        [],
        r"no lack of permission(.|\n)*do: .*gcloud beta quotas info list --service=aiplatform\.",
    ),
    "may not use Vertex AI": (fail_first_call("denied"), [], GRANT.format("aiplatform.user")),
    "no bucket": (
        change_nothing,
        ["deploy.bucket=nowhere"],
        "do: gcloud storage buckets create gs://nowhere --location=us-central1 --project=p",
    ),
    "bucket in another region": (
        make_bucket_elsewhere,
        ["deploy.bucket=elsewhere"],
        "do: gcloud storage buckets create gs://elsewhere-us-central1 --location=us-central1 --project=p",
    ),
    "may not write into the bucket": (
        take_away("storage.objects.create"),
        [],
        "do: gcloud storage buckets add-iam-policy-binding gs://bucket .* --role=roles/storage.objectAdmin",
    ),
    "may not deploy": (take_away("aiplatform.endpoints.deploy"), [], GRANT.format("aiplatform.user")),
    "may not create the log": (take_away("bigquery.datasets.create"), [], GRANT.format("bigquery.user")),
    "container not built": (
        remove_images,
        ["serving=tf_serving"],
        r"do: gcloud artifacts repositories create .*; gcloud builds submit deploy/tf_serving "
        r"--config=deploy/tf_serving/cloudbuild.yaml --substitutions=_REGION=us-central1 --project=p",
    ),
}
