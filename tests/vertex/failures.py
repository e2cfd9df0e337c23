"""What can be wrong before a deployment, and what must stand in the message about it."""

from doubles.vertex import Fault

CONFIGURATIONS = {  # what is overridden -> a part of the message
    "deploy.project=null": "no project is named",
    "deploy.bucket=null": "no bucket is named",
    "deploy.kms_key=projects/p/locations/europe-west1/keyRings/r/cryptoKeys/k": "key must be in the region",
    "serving.image=europe-west1-docker.pkg.dev/p/churn/x:1": "in a repository of the endpoint's region",
    "deploy.min_replicas=0": "at least 1 node",
    "deploy.min_replicas=3": "min_replicas <= max_replicas",
    "deploy.canary=0": "canary is a share",
    "deploy.probe=101": "probe is a share",
    "deploy.answers=0": "at least one answer",
    "deploy.name=My_Name": "can't be the name of an endpoint",
    "deploy.service_account=me": "is no service account",
    "deploy.kms_key=k": "key must be in the region",
    "deploy.monitoring.sampling=0": "a share above 0",
    "deploy.monitoring.hours=0": "1 hour or more",
    "deploy.monitoring.threshold=2": "a distance above 0",
    "deploy.monitoring.rows=0": "requests between two looks",
    "deploy.monitoring.training_data=train.csv": "gs://FILE.csv or bq://",
    "deploy.monitoring.channels=[me]": "notificationChannels",
    "serving.available_until='2026-11-24'": "serving=tf_serving",
}


def nothing(_):
    """The configuration alone is wrong."""


def without(*permissions):
    return lambda cloud: cloud.service.denied.update(permissions)


def disabled(api):
    return lambda cloud: cloud.service.disabled.add(f"{api}.googleapis.com")


def bucket_elsewhere(cloud):
    cloud.service.storage.make_bucket("elsewhere", "EU")


def refused(kind):
    return lambda cloud: cloud.inject(Fault(0, kind))


def no_image(cloud):
    cloud.service.images.clear()


ENABLE = r"do: gcloud services enable .*{}\.googleapis\.com.* --project=p$"
GRANT = r"do: gcloud projects add-iam-policy-binding p --member=user:.* --role=roles/{}$"
FAILURES = {  # what the account lacks -> how that comes about, with which overrides, and the remedy
    "no such project": (nothing, ["deploy.project=other"], "do: gcloud projects list"),
    "no such region": (
        nothing,
        ["deploy.region=us-central9"],
        "do: .*gcloud compute regions list --project=p",
    ),
    "Vertex AI's API off": (disabled("aiplatform"), [], ENABLE.format("aiplatform")),
    "Cloud Storage's API off": (disabled("storage"), [], ENABLE.format("storage")),
    "BigQuery's API off": (disabled("bigquery"), [], ENABLE.format("bigquery")),
    "Resource Manager's API off": (
        disabled("cloudresourcemanager"),
        [],
        ENABLE.format("cloudresourcemanager"),
    ),
    "a quota used up": (
        refused("quota"),
        [],
        r"no lack of permission(.|\n)*do: .*gcloud beta quotas info list --service=aiplatform\.",
    ),
    "may not use Vertex AI": (refused("denied"), [], GRANT.format("aiplatform.user")),
    "no bucket": (
        nothing,
        ["deploy.bucket=nowhere"],
        "do: gcloud storage buckets create gs://nowhere --location=us-central1 --project=p",
    ),
    "bucket in another region": (
        bucket_elsewhere,
        ["deploy.bucket=elsewhere"],
        "do: gcloud storage buckets create gs://elsewhere-us-central1 --location=us-central1 --project=p",
    ),
    "may not write into the bucket": (
        without("storage.objects.create"),
        [],
        "do: gcloud storage buckets add-iam-policy-binding gs://bucket .* --role=roles/storage.objectAdmin",
    ),
    "may not deploy": (without("aiplatform.endpoints.deploy"), [], GRANT.format("aiplatform.user")),
    "may not create the log": (without("bigquery.datasets.create"), [], GRANT.format("bigquery.user")),
    "container not built": (
        no_image,
        ["serving=tf_serving"],
        r"do: gcloud artifacts repositories create .*; gcloud builds submit deploy/tf_serving "
        r"--config=deploy/tf_serving/cloudbuild.yaml --substitutions=_REGION=us-central1 --project=p",
    ),
}
