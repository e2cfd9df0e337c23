"""What each key means: type, default, bound and comment, as `churn.config` declares them.

python -m churn.config.describe > docs/keys.md
"""

from __future__ import annotations

import inspect
import io
import re
import textwrap
import tokenize
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

from churn.config.root import Config

SHOWN = {  # the ten keys that matter most to a stage, or fewer
    "train": "data.path data.target data.churned data.id data.drop run.dir train.epochs "
    "decision.customer_value decision.contact_cost decision.offer_cost",
    "score": "input output top bundle score.keep score.page score.do_not_contact score.reasons "
    "decision.capacity decision.customer_value",
    "serve": "bundle serve.port serve.host serve.certificate serve.certificate_key serve.behind_proxy "
    "serve.lenient serve.threads serve.log.enabled serve.log.dir",
    "app": "bundle app.port serve.host serve.certificate serve.certificate_key serve.behind_proxy data.name "
    "run.root",
    "monitor": "monitor.log monitor.labels monitor.days monitor.since monitor.until monitor.min_rows "
    "monitor.warning_psi monitor.alarm_psi monitor.exit_code bundle",
    "retrain": "data.path monitor.log monitor.labels retrain.force retrain.trigger.alarms "
    "retrain.trigger.windows retrain.trigger.every_days retrain.gate.min_rows "
    "retrain.gate.min_churners retrain.fresh_share",
    "promote": "run.dir data.name approval.by approval.evidence run.root",
    "synthesize": "output data.synthetic.rows data.synthetic.churn_rate data.synthetic.drift "
    "data.synthetic.drift_size data.synthetic.drift_from data.synthetic.dates seed",
    "snapshot": "output events.folder events.horizon events.windows "
    "events.cutoffs.step events.cutoffs.first events.cutoffs.last events.churn.kind "
    "events.engine events.until",
    "loop": "loop.seeds loop.rows_per_day loop.price_month loop.competitor_month loop.label_days seed "
    "run.root",
    "forget": "id privacy.key_file serve.log.dir run.root",
    "export": "to input output bundle deploy.project deploy.bucket",
    "deploy": "bundle deploy.project deploy.bucket deploy.region deploy.env deploy.canary "
    "deploy.plan_only deploy.yes deploy.machine_type deploy.idle_minutes",
    "rollback": "deploy.project deploy.region deploy.env",
    "status": "deploy.project deploy.region deploy.env",
    "destroy": "deploy.project deploy.region deploy.env deploy.yes",
}


@dataclass(frozen=True)
class Key:
    """A key of the configuration."""

    name: str  # the full one: train.epochs
    kind: str  # "whole number", "text", ...
    default: str
    meaning: str  # its comment, and the bound of a number


def describe_keys() -> list[Key]:
    """Every key, in the order of their declaration.

    >>> describe_keys()[0].name
    'events.name'
    """
    return list(_keys_of(Config, ""))


def help_of(stage: str) -> str:
    """The keys that matter most to a stage, for a terminal of 80 columns."""
    known = {key.name: key for key in describe_keys()}
    lines = []
    for name in SHOWN[stage].split():
        key = known[name]
        lines += [f"  {name}=" + ("" if key.default in ("", "null") else key.default), *_wrapped(key.meaning)]
    return "\n".join(lines)


def to_markdown() -> str:
    """The table of all keys, a section for each group."""
    sections: dict[str, list[Key]] = {}
    for key in describe_keys():
        sections.setdefault(key.name.partition(".")[0] if "." in key.name else "", []).append(key)
    lines = ["# Keys", "", _INTRODUCTION]
    for group, keys in sorted(sections.items(), key=lambda item: bool(item[0])):
        lines += [
            "",
            f"## {group}" if group else "## Without a group",
            "",
            "| key | type | default | |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| `{key.name}` | {key.kind} | {_code(key.default)} | {_cell(key.meaning)} |" for key in keys
        ]
    return "\n".join(lines) + "\n"


_INTRODUCTION = """\
Every key of the configuration; made from `src/churn/config/` by `python -m churn.config.describe`. Set a
key on the command line as KEY=VALUE, or in a file of `configs/`. `churn STAGE --help` shows those that
matter most to a stage, `churn STAGE --cfg job` the values in force."""
_KINDS = {int: "whole number", float: "number", str: "text", bool: "true or false"}


def _keys_of(kind: Any, prefix: str) -> Iterator[Key]:
    hints, comments = get_type_hints(kind), _comments_of(kind)
    for declared in fields(kind):
        name, hint = f"{prefix}{declared.name}", _without_none(hints[declared.name])
        if is_dataclass(hint):
            yield from _keys_of(hint, f"{name}.")
            continue
        if name == "overridden":  # the program's own
            continue
        default = declared.default_factory() if declared.default_factory is not MISSING else declared.default
        bound = declared.metadata.get("bound")
        meaning = comments.get(declared.name) or _meaning_of(hint)
        parts = [meaning.rstrip("."), bound.text if bound and bound.text != "finite" else ""]
        yield Key(name, _kind_in_words(hint), _default_in_words(default), "; ".join(filter(None, parts)))


def _comments_of(kind: type) -> dict[str, str]:
    """The comment of each field: at the end of its line, or in the lines above it; also of inherited ones."""
    comments = _comments_of(kind.__mro__[1]) if is_dataclass(kind.__mro__[1]) else {}
    above: list[str] = []
    name, depth = "", 0
    for token in tokenize.generate_tokens(io.StringIO(inspect.getsource(kind)).readline):
        own_line = token.type == tokenize.COMMENT and token.line.strip().startswith("#")
        depth += (token.string in ("(", "[", "{")) - (token.string in (")", "]", "}"))
        if (
            token.type == tokenize.OP
            and token.string == ":"
            and depth == 0
            and (found := re.match(r"\s{4}(\w+):", token.line))
        ):
            name = found[1]
            comments[name] = " ".join(above)
            above = []
        elif own_line and depth == 0:
            above.append(token.string.lstrip("# "))
        elif token.type == tokenize.COMMENT and name:
            comments[name] = " ".join([comments.get(name, ""), token.string.lstrip("# ")]).strip()
    return comments


def _without_none(hint: Any) -> Any:
    parts = [part for part in get_args(hint) if part is not type(None)]
    return parts[0] if get_origin(hint) is Union and len(parts) == 1 else hint


def _kind_in_words(hint: Any) -> str:
    if get_origin(hint) is list:
        return f"list of {_kind_in_words(get_args(hint)[0])}s"
    if get_origin(hint) is dict:
        return "mapping"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return "one of " + ", ".join(hint.__members__)
    return _KINDS.get(hint, "mapping")


def _meaning_of(hint: Any) -> str:
    """The first sentence about the words that a key takes; "" for other types."""
    is_enum = isinstance(hint, type) and issubclass(hint, Enum)
    return (hint.__doc__ or "").partition("\n")[0].partition(" (`")[0] if is_enum else ""


def _default_in_words(default: Any) -> str:
    if default is None:
        return "null"
    if isinstance(default, Enum):
        return str(default.value)
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, list):
        return "[" + ", ".join(map(str, default)) + "]"
    return "" if default == "???" else str(default)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 78, initial_indent="      ", subsequent_indent="      ")


def _code(default: str) -> str:
    return f"`{default}`" if default else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    print(to_markdown(), end="")
