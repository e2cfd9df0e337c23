"""What a Parquet file says about itself in its metadata, under the key `churn`: `churn snapshot` does."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from churn.config.data import DataConfig, Source
from churn.data.sources.compressed import unpacked
from churn.data.sources.formats import PARQUET, recognise_format
from churn.data.sources.paths import is_delta, list_cloud_objects, local_files
from churn.errors import UserError
from churn.scratch import scratch_folder

KEY = b"churn"
ROLES = ("target", "id", "time")  # taken over where the configuration names none


def declared_facts(cfg: DataConfig) -> dict[str, Any]:
    """What the first file of the table says about itself; empty where it says nothing, or is no Parquet."""
    if cfg.source is not Source.file or cfg.path is None:
        return {}
    if cfg.path.startswith("gs://"):
        storage, keys = list_cloud_objects(cfg.path)
        parquet = keys[0].endswith((".parquet", ".pq"))
        return facts_of(storage.open_input_file(keys[0])) if parquet else {}
    if "://" in cfg.path or is_delta(cfg.path):
        return {}
    with local_files(cfg.path) as sources, scratch_folder() as folder:
        first = sources[0]
        parquet = recognise_format(first) is PARQUET
        return facts_of(unpacked(first, folder).path, first.name) if parquet else {}


def facts_of(file: Any, name: str = "") -> dict[str, Any]:
    """What a Parquet file says about itself; its rows are not read. Raises `UserError` for a damaged file.

    name: what people call the file, if it is a copy.
    """
    try:
        stored = (pq.read_metadata(file).metadata or {}).get(KEY)
    except (OSError, pa.ArrowException) as error:
        raise UserError(
            f"the file is damaged: {error}", name or str(file), "copy or export it again"
        ) from None
    return {} if stored is None else json.loads(stored)


def with_declared_roles(cfg: DataConfig, facts: dict[str, Any] | None = None) -> DataConfig:
    """The configuration with the name and the roles that the file declares, where it names none itself.

    The horizon is the file's: it says when a label was decided. facts: `declared_facts`, if they are read.
    """
    facts = declared_facts(cfg) if facts is None else facts
    roles = facts.get("roles")
    if roles is None or cfg.target not in (None, roles["target"]):
        return cfg
    taken = {*cfg.numeric, *cfg.categorical, *cfg.drop, cfg.id, cfg.time}
    own: dict[str, Any] = {key: getattr(cfg, key) or roles[key] for key in ROLES}
    listed: dict[str, Any] = {
        key: [*getattr(cfg, key), *(name for name in roles[key] if name not in taken)]
        for key in ("numeric", "categorical", "drop")
    }
    own["name"] = cfg.name or facts.get("name")
    return replace(cfg, **own, **listed, churned=cfg.churned or roles["churned"], horizon=roles["horizon"])
