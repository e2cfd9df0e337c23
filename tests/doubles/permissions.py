"""The names of permissions that exist, of the kinds that may be asked about; any other name is refused.

From Google's lists of the permissions of Vertex AI, BigQuery, Cloud Run, Logging and Cloud Storage.
"""

from collections.abc import Iterable

from doubles.bindings import invalid

_VERBS = {
    "aiplatform.models": "delete export get list update upload",  # of versions, too
    "aiplatform.endpoints": (
        "create delete deploy explain get getIamPolicy list predict setIamPolicy undeploy update"
    ),
    "aiplatform.modelDeploymentMonitoringJobs": (
        "create delete get list pause resume searchStatsAnomalies update"
    ),
    "bigquery.datasets": "create delete get getIamPolicy setIamPolicy update",
    "bigquery.jobs": "create delete get list listAll listExecutionMetadata update",
    "run.services": "create delete get getIamPolicy list setIamPolicy update",
    "run.revisions": "delete get list",
    "run.operations": "delete get list",
    "run.routes": "get invoke list",
    "logging.sinks": "create delete get list update",
    "storage.objects": "create delete get getIamPolicy list setIamPolicy update",
}
PERMISSIONS = {f"{kind}.{verb}" for kind, verbs in _VERBS.items() for verb in verbs.split()}


def granted(wanted: Iterable[str], denied: set[str]) -> list[str]:
    """Which of the permissions the caller has; raises `RefusalError` for a name that does not exist."""
    if unknown := [name for name in wanted if name not in PERMISSIONS]:
        raise invalid(f"Permission {unknown[0]} is not valid for this resource.")
    return [name for name in wanted if name not in denied]
