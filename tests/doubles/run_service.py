# ruff: noqa: N802  methods have the names of the API's
"""Cloud Run's resources (v2), and the rules by which the service changes them or refuses to.

Methods with capitals are those of the API: each takes its request message and returns its answer.
"""

import itertools
import re
from collections.abc import Callable, Iterable
from typing import Any

from google.cloud.run_v2 import types as t
from google.protobuf import timestamp_pb2

from doubles.bindings import RefusalError, invalid
from doubles.containers import start
from doubles.service import Service, check_labels, exists, not_found, precondition

REVISION = t.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
LATEST = t.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
GOOD, BAD = t.Condition.State.CONDITION_SUCCEEDED, t.Condition.State.CONDITION_FAILED
NAME = r"[a-z]([a-z0-9-]{0,47}[a-z0-9])?"
CHANGEABLE = ("description", "labels", "annotations", "template", "traffic", "scaling", "ingress")


def conflict(message: str) -> RefusalError:
    return RefusalError(409, "ABORTED", message)


class RunService:
    """Services and revisions of one project, beside the other resources of `cloud`."""

    def __init__(self, cloud: Service) -> None:
        self.cloud = cloud
        self.services: dict[str, t.Service] = {}
        self.revisions: dict[str, list[t.Revision]] = {}  # of each service, oldest first
        self.policies: dict[str, Any] = {}
        self.secrets: set[str] = set()
        self.broken: set[str] = (
            set()
        )  # words in the address of a bundle with which a container does not start
        self.keeps_revisions = False  # a revision that failed cannot be deleted
        self.busy = 0  # changes that are refused, because the service is being changed
        self.clock = itertools.count()

    # -- services

    def CreateService(self, request: t.CreateServiceRequest) -> Any:
        if not re.fullmatch(NAME, request.service_id):
            raise invalid(f"service_id: {request.service_id!r} must match {NAME}")
        name = f"{request.parent}/services/{request.service_id}"
        if name in self.services:
            raise exists(name)
        service = t.Service(name=name, create_time=self.now())
        self.check(service, request.service)
        self.take(service, request.service, CHANGEABLE)
        service.uri = f"{self.cloud.storage.address}/run/{request.service_id}"
        service.reconciling = True
        self.services[name], self.revisions[name] = service, []
        return self.change(service)

    def UpdateService(self, request: t.UpdateServiceRequest) -> Any:
        service = self.service(request.service.name)
        paths = list(request.update_mask.paths) or list(CHANGEABLE)
        if unknown := set(paths) - set(CHANGEABLE):
            raise invalid(f"update_mask: {sorted(unknown)} cannot be changed")
        if request.service.etag and request.service.etag != service.etag:
            raise conflict(f"Conflict for resource {service.name}: it was changed meanwhile.")
        self.refuse_if_busy(service)
        wanted = t.Service(service)
        self.take(wanted, request.service, paths)
        self.check(service, wanted)
        self.take(service, wanted, CHANGEABLE)
        service.reconciling = True
        return self.change(service)

    def take(self, service: t.Service, source: t.Service, names: Iterable[str]) -> None:
        for name in names:
            setattr(service, name, getattr(source, name))
        service.generation += 1
        service.etag = f'"{service.generation}"'

    def refuse_if_busy(self, service: t.Service) -> None:
        if service.reconciling or self.busy:
            self.busy = max(self.busy - 1, 0)
            raise conflict(f"Conflict for resource {service.name}: another change is in progress.")

    def check(self, service: t.Service, wanted: t.Service) -> None:
        """Refuse what the service refuses before it starts any work."""
        check_labels(wanted.labels)
        check_labels(wanted.template.labels)
        self.check_template(service, wanted.template)
        name = wanted.template.revision
        known = {short(revision.name) for revision in self.revisions.get(service.name, [])}
        check_traffic(wanted.traffic, known | {name}, short(service.name))

    def check_template(self, service: t.Service, template: t.RevisionTemplate) -> None:
        name, prefix = template.revision, f"{short(service.name)}-"
        if name and not (name.startswith(prefix) and re.fullmatch("[a-z][a-z0-9-]{0,61}[a-z0-9]", name)):
            raise invalid(f"template.revision: {name!r} must begin with {prefix!r}")
        if (old := self.find_revision(service.name, name)) and not same_template(old, template):
            raise exists(f"{old.name}, with another configuration")
        if len(template.containers) != 1 or not template.containers[0].image:
            raise invalid("template.containers: one container with an image is required")
        limits = template.containers[0].resources.limits
        if not re.fullmatch(r"\d+(Mi|Gi)", limits.get("memory", "512Mi")):
            raise invalid(f"resources.limits.memory: {limits['memory']!r}")
        if limits.get("cpu", "1") not in ("1", "2", "4", "6", "8"):
            raise invalid(f"resources.limits.cpu: {limits['cpu']!r}")
        check_memory(int(limits.get("cpu", "1")), limits.get("memory", "512Mi"))
        key, region = template.encryption_key, service.name.split("/")[3]
        if key and f"/locations/{region}/" not in key:
            raise invalid(f"encryption_key: {key} must be in {region}")

    def change(self, service: t.Service) -> Any:
        """The operation that makes the revision, if there is a new one, and moves the traffic."""
        parent = service.name.rpartition("/services/")[0]
        return self.cloud.operate(parent, self.effect(service.name))

    def effect(self, name: str) -> Callable[[], t.Service]:
        def bring_about() -> t.Service:
            service = self.services[name]
            service.reconciling = False
            revision = self.ensure_revision(service)
            targets = {target.revision or short(service.latest_ready_revision) for target in service.traffic}
            dead = [r for r in self.revisions[name] if short(r.name) in targets and not is_ready(r)]
            if not is_ready(revision) or dead:
                service.terminal_condition = t.Condition(type_="Ready", state=BAD)
                failed = revision if not is_ready(revision) else dead[0]
                text = f"Revision '{short(failed.name)}' is not ready and cannot serve traffic. "
                raise RefusalError(400, "FAILED_PRECONDITION", text + failed.conditions[0].message)
            service.terminal_condition = t.Condition(type_="Ready", state=GOOD)
            service.traffic_statuses = [self.status(service, target) for target in service.traffic]
            return service

        return bring_about

    def ensure_revision(self, service: t.Service) -> t.Revision:
        """The revision of the template; it is made, and its container started, unless it exists."""
        template = service.template
        if old := self.find_revision(service.name, template.revision):
            return old
        problem = start(self, template)
        name = template.revision or f"{short(service.name)}-{len(self.revisions[service.name]):05}-abc"
        condition = t.Condition(type_="Ready", state=BAD if problem else GOOD, message=problem or "")
        revision = t.Revision(
            name=f"{service.name}/revisions/{name}", service=service.name, create_time=self.now(),
            containers=template.containers, labels=template.labels, conditions=[condition],
            service_account=template.service_account, encryption_key=template.encryption_key,
            scaling=template.scaling, timeout=template.timeout,
            max_instance_request_concurrency=template.max_instance_request_concurrency,
        )  # fmt: skip
        self.revisions[service.name].append(revision)
        service.latest_created_revision = revision.name
        if not problem:
            service.latest_ready_revision = revision.name
        return revision

    def status(self, service: t.Service, target: t.TrafficTarget) -> t.TrafficTargetStatus:
        name = target.revision or short(service.latest_ready_revision)
        base, _, own = service.uri.rpartition("/")
        uri = f"{base}/{target.tag}---{own}" if target.tag else ""
        kind = {"type_": target.type_, "revision": name, "percent": target.percent, "tag": target.tag}
        return t.TrafficTargetStatus(**kind, uri=uri)

    def GetService(self, request: t.GetServiceRequest) -> t.Service:
        service = self.service(request.name)
        if service.reconciling:
            self.cloud.pass_time(request.name.rpartition("/services/")[0])
            return self.service(request.name)
        return service

    def service(self, name: str) -> t.Service:
        if name not in self.services:
            raise not_found(name)
        return self.services[name]

    def ListServices(self, request: t.ListServicesRequest) -> t.ListServicesResponse:
        own = [s for name, s in self.services.items() if name.startswith(f"{request.parent}/")]
        return t.ListServicesResponse(services=own)

    def DeleteService(self, request: t.DeleteServiceRequest) -> Any:
        service = self.service(request.name)
        self.refuse_if_busy(service)
        service.reconciling, service.delete_time = True, self.now()

        def effect() -> t.Service:
            for kind in (self.revisions, self.policies):
                kind.pop(request.name, None)
            return self.services.pop(request.name)

        return self.cloud.operate(request.name.rpartition("/services/")[0], effect)

    # -- who may call

    def GetIamPolicy(self, request: Any) -> Any:
        from google.iam.v1 import policy_pb2

        self.service(request.resource)
        policy = self.policies.setdefault(request.resource, policy_pb2.Policy(etag=b"0"))
        return policy if request.options.requested_policy_version == 3 else without_conditions(policy)

    def SetIamPolicy(self, request: Any) -> Any:
        if "run.services.setIamPolicy" in self.cloud.denied:
            raise RefusalError(403, "PERMISSION_DENIED", "Permission 'run.services.setIamPolicy' denied")
        present = self.policies.get(request.resource)
        if present and request.policy.etag and request.policy.etag != present.etag:
            raise conflict("The policy was changed meanwhile.")
        if present and has_conditions(present) and request.policy.version < 3:
            raise invalid("policy.version: a policy with conditions must be of version 3")
        policy = self.policies[request.resource] = request.policy
        policy.etag = str(next(self.clock)).encode()
        return policy

    # -- revisions

    def find_revision(self, service: str, name: str) -> t.Revision | None:
        return next((r for r in self.revisions.get(service, []) if short(r.name) == name), None)

    def ListRevisions(self, request: t.ListRevisionsRequest) -> t.ListRevisionsResponse:
        self.service(request.parent)
        return t.ListRevisionsResponse(revisions=self.revisions[request.parent][::-1])  # newest first

    def DeleteRevision(self, request: t.DeleteRevisionRequest) -> Any:
        parent, _, name = request.name.partition("/revisions/")
        service, revision = self.service(parent), self.find_revision(parent, name)
        if revision is None:
            raise not_found(request.name)
        if any(target.revision == name for target in service.traffic):
            raise precondition(f"Revision {name} has traffic or a tag.")
        if name == service.template.revision or (self.keeps_revisions and not is_ready(revision)):
            raise precondition(f"Revision {name} is the latest one.")

        def effect() -> t.Revision:
            self.revisions[parent].remove(revision)
            return revision

        return self.cloud.operate(parent.rpartition("/services/")[0], effect)

    def now(self) -> timestamp_pb2.Timestamp:
        """One second after the time before."""
        stamp = self.cloud.now()
        stamp.seconds += next(self.clock)
        return stamp


def short(name: str) -> str:
    return name.rpartition("/")[2]


def is_ready(revision: t.Revision) -> bool:
    return revision.conditions[0].state == GOOD


def check_memory(cpu: int, memory: str) -> None:
    """Refuse memory that does not go with the CPUs, as the service's documentation says."""
    gib = int(memory[:-2]) / (1024 if memory.endswith("Mi") else 1)
    least, most = {1: (0, 4), 2: (0, 8), 4: (2, 16), 6: (4, 24), 8: (4, 32)}[cpu]
    if not least <= gib <= most:
        raise invalid(f"For {cpu} CPUs, memory must be between {least}Gi and {most}Gi inclusive.")


def has_conditions(policy: Any) -> bool:
    return any(binding.HasField("condition") for binding in policy.bindings)


def without_conditions(policy: Any) -> Any:
    """A policy as an older version shows it: roles under a condition have other names."""
    shown = type(policy).FromString(policy.SerializeToString())
    for binding in shown.bindings:
        if binding.HasField("condition"):
            binding.role += "_withcond_0123456789abcdef"
            binding.ClearField("condition")
    return shown


def same_template(revision: t.Revision, template: t.RevisionTemplate) -> bool:
    """Whether a revision was made from a template."""
    names = ("containers", "service_account", "encryption_key", "scaling", "timeout")
    return all(getattr(revision, name) == getattr(template, name) for name in names)


def check_traffic(targets: Iterable[t.TrafficTarget], known: set[str], service: str) -> None:
    """Refuse traffic that does not add up, unknown revisions and wrong tags."""
    targets = list(targets)
    if targets and sum(target.percent for target in targets) != 100:
        raise invalid("traffic: the percentages must add up to 100")
    tags = [target.tag for target in targets if target.tag]
    if len(set(tags)) < len(tags):
        raise invalid(f"traffic: a tag is used twice: {tags}")
    for target in targets:
        if target.type_ not in (REVISION, LATEST) or (target.type_ == REVISION) != bool(target.revision):
            raise invalid(f"traffic: type and revision do not go together: {target}")
        if target.revision and target.revision not in known:
            raise invalid(f"traffic: there is no revision {target.revision}")
        if target.percent < 0 or not (target.percent or target.tag):
            raise invalid(f"traffic: a target needs a share or a tag: {target}")
        if target.tag and not re.fullmatch("[a-z]([a-z0-9-]*[a-z0-9])?", target.tag):
            raise invalid(f"traffic: wrong tag {target.tag!r}")
        if target.tag and len(target.tag) + len(service) > 46:
            raise invalid(f"traffic: tag and service are too long together: {target.tag}")
