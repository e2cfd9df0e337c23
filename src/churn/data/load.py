"""From the configuration to a checked data set."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path, PurePosixPath

from churn.config.data import DataConfig, Source
from churn.data.dataset import Dataset, Finding
from churn.data.declared import with_declared_roles
from churn.data.findings import leakage, quality
from churn.data.table import RawTable


def load_dataset(cfg: DataConfig, seed: int) -> Dataset:
    """The validated data set that the configuration names, with its roles inferred where they are left out.

    Raises `UserError`, which lists all problems of the table at once.
    """
    cfg = with_declared_roles(cfg)
    return build_dataset(read_source(cfg, seed), cfg)


def build_dataset(raw: RawTable, cfg: DataConfig) -> Dataset:
    """The validated data set of a raw table; raises `UserError` as `load` does."""
    from churn.data.infer.schema import infer_schema
    from churn.data.validate import validate_table

    schema, findings = infer_schema(raw, cfg)
    data = validate_table(raw, schema, cfg)
    found = findings + data.findings + _find_problems(data)
    return replace(data, name=dataset_name(cfg), findings=found)


def dataset_name(cfg: DataConfig) -> str:
    """The short name of a data set: the one given, else that of its file or folder."""
    file = PurePosixPath(cfg.path or cfg.source.value).name.partition(".")[0]
    return cfg.name or re.sub(r"\W+", "-", file).strip("-") or cfg.source.value


def read_source(cfg: DataConfig, seed: int) -> RawTable:
    """The raw table of the source that the configuration names."""
    if cfg.source is Source.synthetic:
        from churn.data.sources import synthetic

        return synthetic.make_table(cfg.synthetic, seed)
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


def _find_problems(data: Dataset) -> tuple[Finding, ...]:
    """All of it, with evidence and advice."""
    return leakage.find_leakage(data) + quality.find_quality_problems(data)
