"""Routes and messages of Google's services, read from the REST bindings in their own clients."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, get_type_hints

from google.protobuf import json_format

TRANSPORTS = {
    "google.cloud.aiplatform_v1.services.model_service": "ModelServiceRestTransport",
    "google.cloud.aiplatform_v1.services.endpoint_service": "EndpointServiceRestTransport",
    "google.cloud.aiplatform_v1.services.job_service": "JobServiceRestTransport",
    "google.cloud.aiplatform_v1.services.prediction_service": "PredictionServiceRestTransport",
    "google.cloud.aiplatform_v1.services.pipeline_service": "PipelineServiceRestTransport",
    "google.cloud.aiplatform_v1.services.schedule_service": "ScheduleServiceRestTransport",
    "google.cloud.resourcemanager_v3.services.projects": "ProjectsRestTransport",
}
RUN_TRANSPORTS = {  # a package of its own, whose import takes seconds
    "google.cloud.run_v2.services.services": "ServicesRestTransport",
    "google.cloud.run_v2.services.revisions": "RevisionsRestTransport",
}


class RefusalError(Exception):
    """The service's answer to a request that it refuses."""

    def __init__(self, code: int, status: str, message: str) -> None:
        super().__init__(message)
        self.code, self.status = code, status


def invalid(message: str) -> RefusalError:
    return RefusalError(400, "INVALID_ARGUMENT", message)


@dataclass(frozen=True)
class Binding:
    """One HTTP rule: the method of a service that a verb and a path stand for."""

    method: str
    verb: str
    pattern: re.Pattern[str]
    body: str | None
    request: Any  # class of the message

    def parse(self, path: str, query: list[tuple[str, str]], body: dict[str, Any]) -> Any:
        """The request message of a call; raises `RefusalError` where the real parser does."""
        match = self.pattern.fullmatch(path)
        assert match
        content: dict[str, Any] = {}
        for dotted, value in query:
            if dotted.endswith("Mask"):  # the service accepts gcloud's field_name too
                value = re.sub("_([a-z])", lambda letter: letter[1].upper(), value)
            if not dotted.startswith("$") and dotted not in ("alt", "prettyPrint"):
                put(content, dotted, value, repeat=True)
        content |= body if self.body == "*" else {self.body: body} if self.body else {}
        for dotted, value in match.groupdict().items():
            put(content, dotted.replace("__", "."), value)
        message = self.request.pb(self.request()) if hasattr(self.request, "pb") else self.request()
        try:
            json_format.ParseDict(content, message)
        except json_format.ParseError as error:
            raise invalid(f"Invalid JSON payload received. {error}") from None
        if unknown := next(unknown_enums(message), None):
            raise invalid(f"Invalid value for the enum {unknown}")
        request = self.request.wrap(message) if hasattr(self.request, "wrap") else message
        deep = not self.method.startswith(("Update", "Mutate"))  # their mask names the changed fields
        if absent := list(missing(request, deep)):
            raise invalid(f"Required fields are not set: {', '.join(absent)}")
        return request


def put(content: dict[str, Any], dotted: str, value: str, repeat: bool = False) -> None:
    *parents, last = dotted.split(".")
    for name in parents:
        content = content.setdefault(name, {})
    content[last] = [content.pop(last), value] if repeat and last in content else value


@cache
def bindings(run: bool = False) -> list[Binding]:
    """All HTTP rules of the services in `TRANSPORTS`, or of Cloud Run's."""
    rules = []
    for module, name in (RUN_TRANSPORTS if run else TRANSPORTS).items():
        transport = getattr(import_module(f"{module}.transports.rest"), name)
        for stub in vars(transport).values():
            hints = get_type_hints(stub.__call__) if inspect.isclass(stub) else {}
            if "request" not in hints or not hasattr(stub, "_get_http_options"):
                continue
            method = stub.__name__.lstrip("_")
            rules += [
                Binding(method, r["method"].upper(), pattern(r["uri"]), r.get("body"), hints["request"])
                for r in stub._get_http_options()
            ]
    return rules


def pattern(template: str) -> re.Pattern[str]:
    """`/v1/{name=projects/*/models/*}:act` as a regular expression with the group `name`."""
    parts = re.split(r"\{([\w.]+)=([^}]*)\}", template)
    texts = [re.escape(part) for part in parts[::3]]
    groups = [
        f"(?P<{name.replace('.', '__')}>{path.replace('**', '.+').replace('*', '[^/:]+')})"
        for name, path in zip(parts[1::3], parts[2::3], strict=True)
    ]
    return re.compile("".join(text + group for text, group in zip(texts, [*groups, ""], strict=True)))


@cache
def find(verb: str, path: str) -> Binding | None:
    """The rule for a call, or None."""
    rules = bindings(run=path.startswith("/v2/"))
    return next((b for b in rules if b.verb == verb and b.pattern.fullmatch(path)), None)


@cache
def required(message: type) -> list[str]:
    """Fields that the message's documentation calls required."""
    return re.findall(
        r"^ {4}(\w+) \([^)]*\)*:\n {8}Required\.", inspect.cleandoc(message.__doc__ or ""), re.M
    )


def missing(message: Any, deep: bool) -> Iterator[str]:
    """Required fields that are not set, at any depth."""
    if not hasattr(type(message), "meta"):  # a JSON list or object, not a message of the service
        return
    present = {field.name for field, _ in message._pb.ListFields()}
    yield from (name for name in required(type(message)) if name not in present)
    for name, field in type(message).meta.fields.items() if deep else ():
        if name in present and inspect.isclass(field.message) and hasattr(field.message, "meta"):
            value = getattr(message, name)
            values = value if field.repeated else [value]
            for part in values if not hasattr(values, "items") else values.values():
                yield from (f"{name}.{inner}" for inner in missing(part, deep))


def unknown_enums(message: Any) -> Iterator[str]:
    """Enum fields with a number that the service does not know."""
    for field, value in message.ListFields():
        if field.message_type and field.message_type.GetOptions().map_entry:
            continue
        values = value if field.is_repeated else [value]
        for part in values:
            if field.enum_type and part not in field.enum_type.values_by_number:
                yield f"{field.full_name}: {part}"
            elif field.message_type:
                yield from unknown_enums(part)
