"""Submit the compiled pipeline to Vertex AI, now or on a schedule.

    python deploy/pipeline/submit.py pipeline.yaml --project P --region R --bucket B [--cron CRON] OVERRIDES

The overrides are the arguments of `churn retrain`, e.g. data=bigquery data.bigquery.table=P.D.T
data.target=churned target=vertex; project, region, bucket, name and key are passed on. `churn status` lists
runs and schedules, `churn destroy` removes them; gcloud has no command for that.
"""

from argparse import ArgumentParser, Namespace
from typing import Any

LABEL = "churn-deployment"  # as on everything else that belongs to a deployment


def make_job(template: str, options: Namespace, parameters: dict[str, Any]) -> Any:
    """The run as an object of Google's client; not yet submitted."""
    from google.cloud import aiplatform

    return aiplatform.PipelineJob(
        display_name=f"{options.name}-retrain",
        template_path=template,
        pipeline_root=f"gs://{options.bucket}/{options.name}/retrain",
        parameter_values=parameters,
        enable_caching=False,  # the same overrides read other rows tomorrow
        labels={LABEL: options.name},
        encryption_spec_key_name=options.kms_key,
        project=options.project,
        location=options.region,
    )


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("template")
    parser.add_argument("overrides", nargs="*")
    for name in ("project", "region", "bucket"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--name", default="churn-dev", help="name of the deployment")
    parser.add_argument("--cron", help="run on this schedule, e.g. 'TZ=Europe/Berlin 0 6 * * 1'")
    parser.add_argument("--kms-key", help="projects/P/locations/REGION/keyRings/R/cryptoKeys/K")
    parser.add_argument("--service-account", help="account that the steps run as")
    return parser


def shared_keys(options: Namespace) -> list[str]:
    """What the steps need to know of the deployment, as overrides."""
    keys = ("project", "region", "bucket", "name", "kms_key")
    return [f"deploy.{key}={value}" for key in keys if (value := getattr(options, key))]


def main(words: list[str] | None = None) -> str:
    """Submit the pipeline or create a schedule; prints and gives its resource name."""
    options = make_parser().parse_intermixed_args(words)
    overrides = [*shared_keys(options), *options.overrides]  # the last one of a key holds
    if options.cron:
        job = make_job(options.template, options, {"overrides": overrides})
        created = job.create_schedule(
            cron=options.cron,
            display_name=f"{options.name}-retrain",
            max_concurrent_run_count=1,
            service_account=options.service_account,
        )
    else:
        parameters = {"overrides": overrides, "kind": "hand", "reason": "asked for by hand"}
        created = make_job(options.template, options, parameters)
        created.submit(service_account=options.service_account)
    print(created.resource_name)
    return str(created.resource_name)


if __name__ == "__main__":
    main()
