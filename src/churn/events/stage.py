"""`churn snapshot`: event tables to a labelled table; `churn synthesize`: synthetic customers and events."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

from churn.config.events import Engine, EventsConfig
from churn.config.root import Config
from churn.errors import UserError
from churn.files import refuse_foreign

EXAMPLE = "churn snapshot events=NAME output=FILE.parquet"


def synthesize(cfg: Config) -> None:
    """Write synthetic customers to a file, or with `events=synthetic` event tables to their folder."""
    if cfg.events.name is None:
        from churn.data.stage import synthesize as one_table

        return one_table(cfg)
    from churn.events.synthetic.tables import write_tables

    if cfg.events.folder is None:
        raise UserError(
            "there is no folder to write to", "events.folder", "churn synthesize events=synthetic"
        )
    rows = write_tables(cfg.events.synthetic, Path(cfg.events.folder), cfg.seed)
    for name, count in rows.items():
        print(f"{count:>10,} rows  {Path(cfg.events.folder) / name}")
    return None


def snapshot(cfg: Config) -> None:
    """Write the labelled snapshots that `cfg.events` defines, and the page that helps to choose a definition.

    With `bundle=DIR` the definition is the one that the bundle's model learnt by. Raises `UserError` for a
    definition that contradicts itself and for tables that cannot be read.
    """
    from churn.events.checks import check_definition, check_not_read, require_engine

    events = _definition(cfg)
    check_definition(events)
    by_bigquery = events.engine is Engine.bigquery
    if events.plan_only and not by_bigquery:
        do = "events.engine=bigquery, or leave it out"
        raise UserError("only BigQuery has a plan and a price", "events.plan_only", do)
    output = None if events.plan_only else _output(cfg)
    require_engine()
    if output is None:
        from churn.events.bigquery import print_plan

        return print_plan(events, cfg)
    check_not_read(str(output), events)
    if by_bigquery:
        from churn.events.bigquery import write_by_bigquery

        return write_by_bigquery(events, cfg, output)
    return _write_by_duckdb(events, cfg, output)


def _definition(cfg: Config) -> EventsConfig:
    """The definition of the configuration, or of the bundle that it names."""
    if cfg.bundle is None:
        return cfg.events
    from churn.bundle.bundle import Bundle
    from churn.events.scoring import definition_of

    return definition_of(Bundle.load(Path(cfg.bundle)), cfg)


def _output(cfg: Config) -> Path:
    """The file to write; raises `UserError` if it is none."""
    from churn.data.writers import check_output

    output = check_output(cfg.output, EXAMPLE)
    if output.suffix != ".parquet":
        raise UserError("a snapshot is a Parquet file", f"output={output}", EXAMPLE)
    return output


def _write_by_duckdb(events: EventsConfig, cfg: Config, output: Path) -> None:
    """Write the snapshot and the page beside it, and say what was found."""
    page = output.with_suffix(".html")
    refuse_foreign(page, "<title>Snapshots: ")
    from churn.events.workspace import open_workspace

    print("Reading the tables ...", flush=True)
    with ThreadPoolExecutor(1) as importing:
        imported = importing.submit(
            import_module, "churn.events.page"
        )  # takes seconds: DuckDB works meanwhile
        with open_workspace(events, cfg.data.bigquery) as work:
            imported.result()  # two threads that import the same libraries would find halves of them
            from churn.events.report import make_snapshot, summarize

            made = make_snapshot(work, output, cfg.seed, for_labels=cfg.bundle is not None)
    from churn.events.page import write_page

    write_page(page, made)
    print(summarize(made, page))
