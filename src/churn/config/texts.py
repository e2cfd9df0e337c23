"""The configuration means what is written: `007` and `no` are texts where a key takes text.

YAML reads no as False, 007 as 7 and 060 as 48; Hydra reads 1e5 as 100000.0. On the command line such texts
get quotes; in a file the user is told to add them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from churn.errors import UserError, user_error_of_many

_NO_TEXT = re.compile(r"[+-]?[\d.][\w.+-]*|[+-]?(inf|nan)|true|false", re.IGNORECASE)  # to Hydra, perhaps
_GRAMMAR = re.compile(r"[\[\]{}()'\"\\$,=:]")  # characters that mean something to Hydra
_PLAIN_LIST = re.compile(r"\[[^][{}()'\"\\$]*\]")
_PATH = re.compile(  # name of a key that takes a path: "~/" is the home folder there, for every shell
    "bundle|input|output|path|folder|scratch|cache|root|dir|page|do_not_contact|log|labels|prometheus"
    "|certificate|certificate_key|key|key_file"
)
_PACKAGE = re.compile(r"^#\s*@package\s+(\S+)", re.MULTILINE)  # of Hydra, in the head of a file


def keep_texts(overrides: Sequence[str], schema: type) -> list[str]:
    """The overrides with quotes around words that Hydra would not read as texts, where a key takes text.

    >>> keep_texts(["data.id=1e5", "data.missing=[NA, null]", "seed=7"], Config)
    ['data.id="1e5"', 'data.missing=[NA,"null"]', 'seed=7']
    >>> keep_texts(["data.churned=yes"], Config)
    ['data.churned=[yes]']
    """
    return [_keep_text(override, schema) for override in overrides]


def _keep_text(override: str, schema: type) -> str:
    key, equals, value = override.partition("=")
    kind = kind_of(schema, key.lstrip("+").split("."))
    if kind is str and value.startswith(("~/", '"~/')):
        inner = value.removeprefix('"').removesuffix('"')
        return f'{key}="{_at_home(key, inner)}"'
    if kind is str and (_NO_TEXT.fullmatch(value) or _beyond_hydra(value)):
        return f'{key}="{value}"'
    if get_origin(kind) is list and get_args(kind) == (str,):
        if value and value != "null" and not _GRAMMAR.search(value):
            value = f"[{value}]"  # one word is a list of one
        if not _PLAIN_LIST.fullmatch(value):
            return override
        words = [word.strip() for word in value[1:-1].split(",")]
        quoted = [
            f'"{word}"' if _NO_TEXT.fullmatch(word) or word == "null" or _beyond_hydra(word) else word
            for word in words
        ]
        return f"{key}{equals}[{','.join(quoted)}]"
    return override


def _beyond_hydra(word: str) -> bool:
    """Whether a plain word has letters or signs that Hydra wants in quotes, such as ü and €."""
    return not word.isascii() and not _GRAMMAR.search(word)


def _at_home(key: str, value: str) -> str:
    """The value with the home folder for the "~/" of a path."""
    is_path = _PATH.fullmatch(key.rpartition(".")[2]) and value.startswith("~/")
    return str(Path(value).expanduser()) if is_path else value


def fill_in_home(cfg: Any) -> None:
    """Fill in the home folder for the "~/" of every path of a configuration, also of one from a file."""
    for declared in fields(cfg):
        value = getattr(cfg, declared.name)
        if isinstance(value, str):
            setattr(cfg, declared.name, _at_home(declared.name, value))
        for inner in value.values() if isinstance(value, dict) else [value]:
            if is_dataclass(inner):
                fill_in_home(inner)


def kind_of(kind: Any, path: Sequence[str]) -> Any:
    """The declared type at a path of keys, `str` for `Optional[str]`; None if there is none."""
    for name in path:
        kind = _without_none(kind)
        if is_dataclass(kind):
            kind = get_type_hints(kind).get(name)
        elif get_origin(kind) is dict:
            kind = get_args(kind)[1]
        else:
            return None
    return _without_none(kind)


def _without_none(kind: Any) -> Any:
    """`str` for `Optional[str]`; other types as they are."""
    parts = [part for part in get_args(kind) if part is not type(None)]
    return parts[0] if get_origin(kind) is Union and len(parts) == 1 else kind


def check_files(runtime: Any, schema: type) -> None:
    """Raise `UserError` if YAML reads a text or a number of a file that was composed as something else.

    `runtime`: `hydra.runtime` of what was composed, a `RuntimeConf` or a mapping like it.
    """
    problems = []
    for source in runtime["config_sources"]:
        if source["schema"] == "file":
            for group, choice in {"": "config", **runtime["choices"]}.items():
                file = Path(source["path"]) / group / f"{choice}.yaml"
                if not str(group).startswith("hydra/") and file.is_file():
                    problems += _problems_of(file, str(group), schema)
    if problems:
        many = "YAML does not read these values as they are written:"
        raise problems[0] if len(problems) == 1 else user_error_of_many(many, problems)


def _problems_of(file: Path, group: str, schema: type) -> list[UserError]:
    """One for each value of a file that is not read as it is written."""
    import yaml  # type: ignore[import-untyped]
    from omegaconf import OmegaConf

    text = file.read_text(encoding="utf-8")
    read, prefix = OmegaConf.to_container(OmegaConf.load(file), resolve=False), keys_above(text, group)
    return [
        UserError(f"YAML reads {one.written} as {one.read}", f"{file}, key {'.'.join(one.path)}", one.do)
        for one in _values(read, yaml.load(text, yaml.BaseLoader), prefix, schema)
        if one.is_misread
    ]


def keys_above(text: str, group: str) -> list[str]:
    """The keys below which Hydra puts the keys of a file in a folder of `configs/`, from the file's text."""
    header = _PACKAGE.search(text)
    package = group.replace("/", ".") if header is None or header[1] == "_group_" else header[1]
    return [] if package in ("", "_global_") else package.split(".")


class _Value(NamedTuple):
    """A value of a file, and the item itself for each item of a list."""

    path: Sequence[str]
    kind: type  # that the key takes
    read: Any
    written: str

    @property
    def is_misread(self) -> bool:
        """Whether a text was read as something else, or a number as another number."""
        if not isinstance(self.read, bool | int | float):
            return False
        if self.kind is str:
            return str(self.read) != self.written
        if self.kind not in (int, float) or not math.isfinite(self.read):
            return False
        try:
            return float(self.written) != self.read
        except ValueError:
            return True

    @property
    def do(self) -> str:
        """What to write instead."""
        return f'write "{self.written}", in quotes' if self.kind is str else "write it as a decimal number"


def _values(read: Any, written: Any, path: Sequence[str], schema: type) -> Iterator[_Value]:
    """The values below a path. `written` has the form of `read`, and all its values are texts."""
    if isinstance(read, dict) and isinstance(written, dict):
        for name in written:
            yield from _values(read.get(name), written[name], [*path, name], schema)
        return
    kind = kind_of(schema, path)
    if get_origin(kind) is list and isinstance(read, list):
        yield from (_Value(path, get_args(kind)[0], *pair) for pair in zip(read, written, strict=True))
    elif isinstance(written, str):
        yield _Value(path, kind, read, written)


def null_among_texts(message: str) -> UserError | None:
    """What OmegaConf's message about a null in a list of texts means; None for any other message."""
    found = re.search(
        r"^In '(.+)':[\s\S]*value: None\s+full_key: (\S+)\[\d+\]\s+reference_type=List\[str\]", message
    )
    if found is None:
        return None
    where = f"{found[1]}.yaml, key {found[2]}"
    return UserError(
        "YAML reads null, ~ and nothing as no value, which is no text", where, 'write "null", in quotes'
    )
