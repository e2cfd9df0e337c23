"""Submit the compiled pipeline to Vertex AI, now or by a schedule.

    python deploy/pipeline/submit.py pipeline.yaml --project P --region R --bucket B [--cron CRON] OVERRIDES

The overrides are what one would type after `churn retrain`, e.g. data=bigquery data.bigquery.table=P.D.T
target=vertex. `churn status` shows them, `churn destroy` ends them; gcloud has no command for that.
"""

from argparse import ArgumentParser, Namespace
from typing import Any

LABEL = "churn-deployment"  # as on everything else that belongs to a deployment


def job(template: str, options: Namespace, parameters: dict[str, Any]) -> Any:
    """The run as Google's own client describes it; not yet submitted."""
    from google.cloud import aiplatform

    return aiplatform.PipelineJob(
        display_name=f"{options.name}-retrain",
        template_path=template,
        pipeline_root=f"gs://{options.bucket}/{options.name}/retrain",
        parameter_values=parameters,
        enable_caching=False,  # the same overrides mean other rows tomorrow
        labels={LABEL: options.name},
        project=options.project,
        location=options.region,
    )


def arguments() -> ArgumentParser:
    """The command line."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("template")
    parser.add_argument("overrides", nargs="*")
    for name in ("project", "region", "bucket"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--name", default="churn-dev", help="of the deployment")
    parser.add_argument("--cron", help="run by this schedule, e.g. 'TZ=Europe/Berlin 0 6 * * 1'")
    parser.add_argument("--service-account", help="that the steps run as")
    return parser


def main(words: list[str] | None = None) -> str:
    """Submit or schedule; prints and gives the name of what was made."""
    options = arguments().parse_intermixed_args(words)
    if options.cron:
        made = job(options.template, options, {"overrides": options.overrides}).create_schedule(
            cron=options.cron,
            display_name=f"{options.name}-retrain",
            max_concurrent_run_count=1,
            service_account=options.service_account,
        )
    else:
        parameters = {"overrides": options.overrides, "kind": "hand", "reason": "asked for by hand"}
        made = job(options.template, options, parameters)
        made.submit(service_account=options.service_account)
    print(made.resource_name)
    return str(made.resource_name)


if __name__ == "__main__":
    main()
