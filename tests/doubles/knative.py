"""Cloud Run's older API (v1, Knative's form), which gcloud calls: translated to v2 and back."""

from typing import Any

from google.cloud.run_v2 import types as t

from doubles.bindings import RefusalError, invalid
from doubles.run_service import GOOD, LATEST, REVISION, RunService, short
from doubles.service import not_found

PREFIX = "/apis/serving.knative.dev/v1/namespaces/"
RUN = "run.googleapis.com/"
IGNORED = (  # annotations by which clients name themselves, and those with the service's own defaults
    f"{RUN}client-name", f"{RUN}client-version", f"{RUN}operation-id", f"{RUN}ingress", f"{RUN}urls",
    f"{RUN}launch-stage", f"{RUN}custom-audiences",
)  # fmt: skip


def answer(run: RunService, method: str, path: str, body: dict[str, Any], region: str) -> dict[str, Any]:
    """The answer to a call of the older API."""
    namespace, kind, *rest = path.removeprefix(PREFIX).split("/")
    parent = f"projects/{namespace}/locations/{region}"
    if kind == "revisions" and method == "GET":
        return find_revision(run, parent, rest[0])
    if kind != "services":
        raise RefusalError(404, "NOT_FOUND", f"{method} {path} is not part of this double")
    if method == "POST":
        name = body["metadata"]["name"]
        service = from_knative(body, t.Service())
        run.CreateService(t.CreateServiceRequest(parent=parent, service=service, service_id=name))
        return to_knative(run.service(f"{parent}/services/{name}"))
    name = f"{parent}/services/{rest[0]}"
    if method == "DELETE":
        run.DeleteService(t.DeleteServiceRequest(name=name))
        return {"kind": "Status", "status": "Success"}
    if method == "PUT":
        service = from_knative(body, t.Service(name=name))
        run.UpdateService(t.UpdateServiceRequest(service=service))
    return to_knative(run.GetService(t.GetServiceRequest(name=name)))


def find_revision(run: RunService, parent: str, name: str) -> dict[str, Any]:
    for service in run.services:
        if service.startswith(parent) and (revision := run.find_revision(service, name)):
            metadata = {"name": name, "labels": {}, "annotations": {}}
            (container,) = revision.containers
            return {
                "apiVersion": "serving.knative.dev/v1", "kind": "Revision", "metadata": metadata,
                "spec": {"containers": [container_to(container)]},
                "status": {"imageDigest": container.image, "conditions": conditions("Ready")},
            }  # fmt: skip
    raise not_found(name)


# -- from Knative


def from_knative(body: dict[str, Any], service: t.Service) -> t.Service:
    """A service as v2 has it; raises `RefusalError` for an annotation that this double does not know."""
    metadata, spec = body["metadata"], body["spec"]
    annotations = known(metadata.get("annotations", {}), f"{RUN}minScale", f"{RUN}maxScale")
    labels = metadata.get("labels", {})
    service.labels = {key: value for key, value in labels.items() if "googleapis.com/" not in key}
    service.scaling.min_instance_count = int(annotations.get(f"{RUN}minScale", 0))
    service.template = template_from(spec["template"])
    service.traffic = [target_from(target) for target in spec.get("traffic", [])]
    return service


def known(annotations: dict[str, str], *names: str) -> dict[str, str]:
    if unknown := set(annotations) - {*names, *IGNORED}:
        raise invalid(f"annotations: {sorted(unknown)}")
    return annotations


def template_from(template: dict[str, Any]) -> t.RevisionTemplate:
    metadata, spec = template.get("metadata", {}), template["spec"]
    names = ("startup-cpu-boost", "encryption-key", "cpu-throttling")
    notes = known(
        metadata.get("annotations", {}), "autoscaling.knative.dev/maxScale", *(RUN + name for name in names)
    )
    (container,) = spec["containers"]
    labels = metadata.get("labels", {})
    return t.RevisionTemplate(
        revision=metadata.get("name", ""),
        labels={key: value for key, value in labels.items() if "/" not in key},
        scaling={"max_instance_count": int(notes.get("autoscaling.knative.dev/maxScale", 0))},
        service_account=spec.get("serviceAccountName", ""),
        encryption_key=notes.get(f"{RUN}encryption-key", ""),
        max_instance_request_concurrency=spec.get("containerConcurrency", 0),
        timeout={"seconds": spec.get("timeoutSeconds", 300)},
        containers=[container_from(container, notes)],
    )


def container_from(container: dict[str, Any], notes: dict[str, str]) -> t.Container:
    probe = container.get("startupProbe", {})
    resources = {
        "limits": container.get("resources", {}).get("limits", {}),
        "cpu_idle": notes.get(f"{RUN}cpu-throttling", "true").lower() == "true",
        "startup_cpu_boost": notes.get(f"{RUN}startup-cpu-boost", "").lower() == "true",
    }
    return t.Container(
        image=container["image"],
        args=container.get("args", []),
        env=[variable_from(variable) for variable in container.get("env", [])],
        ports=[{"container_port": port["containerPort"]} for port in container.get("ports", [])],
        resources=resources,
        startup_probe={
            "http_get": {"path": probe["httpGet"]["path"], "port": probe["httpGet"]["port"]},
            "period_seconds": probe.get("periodSeconds", 10),
            "timeout_seconds": probe.get("timeoutSeconds", 1),
            "failure_threshold": probe.get("failureThreshold", 3),
        },
    )


def variable_from(variable: dict[str, Any]) -> dict[str, Any]:
    if source := variable.get("valueFrom"):
        secret = source["secretKeyRef"]
        reference = {"secret": secret["name"], "version": secret["key"]}
        return {"name": variable["name"], "value_source": {"secret_key_ref": reference}}
    return {"name": variable["name"], "value": variable.get("value", "")}


def target_from(target: dict[str, Any]) -> dict[str, Any]:
    name = target.get("revisionName", "")
    if bool(name) == bool(target.get("latestRevision")):
        raise invalid(f"spec.traffic: either a revision or the latest one: {target}")
    kind = REVISION if name else LATEST
    return {
        "type_": kind,
        "revision": name,
        "percent": target.get("percent", 0),
        "tag": target.get("tag", ""),
    }


# -- to Knative


def to_knative(service: t.Service) -> dict[str, Any]:
    """The same in Knative's form."""
    labels = dict(service.labels) | {"cloud.googleapis.com/location": service.name.split("/")[3]}
    minimum = service.scaling.min_instance_count
    annotations = {f"{RUN}ingress": "all"} | ({f"{RUN}minScale": str(minimum)} if minimum else {})
    is_good = service.terminal_condition.state == GOOD
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {
            "name": short(service.name), "namespace": "p", "labels": labels, "annotations": annotations,
            "generation": service.generation, "resourceVersion": service.etag.strip('"'),
        },
        "spec": {
            "template": template_to(service.template),
            "traffic": [target_to(target) for target in service.traffic],
        },
        "status": {
            "observedGeneration": service.generation,
            "conditions": conditions("Ready", "ConfigurationsReady", "RoutesReady", good=is_good),
            "latestReadyRevisionName": short(service.latest_ready_revision),
            "latestCreatedRevisionName": short(service.latest_created_revision),
            "url": service.uri,
            "traffic": [target_to(target) for target in service.traffic_statuses],
        },
    }  # fmt: skip


def conditions(*kinds: str, good: bool = True) -> list[dict[str, str]]:
    return [{"type": kind, "status": "True" if good else "False"} for kind in kinds]


def template_to(template: t.RevisionTemplate) -> dict[str, Any]:
    (container,) = template.containers
    annotations = {"autoscaling.knative.dev/maxScale": str(template.scaling.max_instance_count)}
    annotations[f"{RUN}startup-cpu-boost"] = str(container.resources.startup_cpu_boost).lower()
    annotations[f"{RUN}cpu-throttling"] = str(container.resources.cpu_idle).lower()
    if template.encryption_key:
        annotations[f"{RUN}encryption-key"] = template.encryption_key
    return {
        "metadata": {"name": template.revision, "labels": dict(template.labels), "annotations": annotations},
        "spec": {
            "containerConcurrency": template.max_instance_request_concurrency,
            "timeoutSeconds": int(template.timeout.total_seconds()),
            "serviceAccountName": template.service_account,
            "containers": [container_to(container)],
        },
    }


def container_to(container: t.Container) -> dict[str, Any]:
    probe = container.startup_probe
    return {
        "image": container.image,
        "args": list(container.args),
        "env": [variable_to(variable) for variable in container.env],
        "ports": [{"name": "http1", "containerPort": port.container_port} for port in container.ports],
        "resources": {"limits": dict(container.resources.limits)},
        "startupProbe": {
            "httpGet": {"path": probe.http_get.path, "port": probe.http_get.port},
            "periodSeconds": probe.period_seconds,
            "timeoutSeconds": probe.timeout_seconds,
            "failureThreshold": probe.failure_threshold,
        },
    }


def variable_to(variable: t.EnvVar) -> dict[str, Any]:
    if secret := variable.value_source.secret_key_ref.secret:
        version = variable.value_source.secret_key_ref.version
        return {"name": variable.name, "valueFrom": {"secretKeyRef": {"name": secret, "key": version}}}
    return {"name": variable.name, "value": variable.value}


def target_to(target: Any) -> dict[str, Any]:
    names = {"revisionName": target.revision} if target.type_ == REVISION else {"latestRevision": True}
    content = {**names, "percent": target.percent} | ({"tag": target.tag} if target.tag else {})
    return content | ({"url": target.uri} if getattr(target, "uri", "") else {})
