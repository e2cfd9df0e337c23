"""From the configuration to a checked data set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from churn.config.data import DataConfig, Source
from churn.data.dataset import Dataset
from churn.data.declared import declared_facts, with_declared_roles
from churn.data.table import RawTable, without_personal
from churn.errors import UserError

WITHOUT_FILE = (Source.synthetic, Source.kaggle, Source.bigquery)  # sources that read no file of the user's
NO_FACTS: Mapping[str, Any] = MappingProxyType({})


def load_dataset(cfg: DataConfig, seed: int) -> Dataset:
    """The validated data set of the configuration; roles that are not set are inferred.

    Raises one `UserError` that lists all problems of the table.

    >>> data = load_dataset(compose_config("data=telco").data, seed=42)
    """
    facts = declared_facts(cfg)
    cfg = with_declared_roles(cfg, facts)
    return build_dataset(read_source(cfg, seed), cfg, facts)


def build_dataset(raw: RawTable, cfg: DataConfig, facts: Mapping[str, Any] = NO_FACTS) -> Dataset:
    """The validated data set of a raw table; raises `UserError` as `load_dataset` does.

    facts: what its file says about itself (`declared_facts`).
    """
    from churn.data.findings.leakage import find_leakage
    from churn.data.findings.quality import find_quality_problems
    from churn.data.infer.schema import infer_schema
    from churn.data.validate import validate_table

    raw = replace(raw, origin=facts.get("origin", raw.origin))
    schema, findings = infer_schema(raw, cfg)
    words = dict.fromkeys([*schema.missing_numbers, *facts.get("missing_numbers", ())])
    schema = replace(schema, missing_numbers=tuple(words))
    data = validate_table(without_personal(raw, cfg.personal), schema, cfg)
    findings += data.findings + find_leakage(data) + find_quality_problems(data, "events" in facts)
    return replace(data, name=dataset_name(cfg), findings=findings)


def dataset_name(cfg: DataConfig) -> str:
    """The short name of a data set: `data.name`, else the name of its file, folder or source."""
    file = PurePosixPath(cfg.path or cfg.source.value).name.partition(".")[0]
    return cfg.name or re.sub(r"\W+", "-", file).strip("-") or cfg.source.value


def read_source(cfg: DataConfig, seed: int) -> RawTable:
    """The raw table of the source that the configuration names.

    Raises `UserError` for a path that another source would leave unread.
    """
    if cfg.path and cfg.source in WITHOUT_FILE:
        fault = f"the file would not be read: data.source={cfg.source.value} is a source of its own"
        raise UserError(fault, f"data.path={cfg.path}", f"churn train data=csv data.path={cfg.path}")
    if cfg.source is Source.synthetic:
        from churn.data.sources import synthetic

        table = synthetic.make_table(cfg.synthetic, seed)
        if cfg.target and cfg.target not in table.frame:
            fault = f"the synthetic customers have no column '{cfg.target}'"
            do = f"for a table of your own: churn train data=csv data.path=FILE data.target={cfg.target}"
            raise UserError(fault, "data.target", do)
        return table
    if cfg.source is Source.kaggle:
        from churn.data.sources import kaggle

        return kaggle.read_kaggle(cfg)
    if cfg.source is Source.bigquery:
        from churn.data.sources import bigquery

        return bigquery.read_bigquery(cfg)
    from churn.data.sources import files

    if cfg.path is None and cfg.url is not None:
        from churn.data.sources.download import fetch

        cfg = replace(cfg, path=str(fetch(cfg.url, cfg.sha256, Path(cfg.cache))))
    return files.read_files(cfg)
