"""`churn snapshot`: event tables to a labelled table; `churn synthesize`: made-up customers and events."""

from __future__ import annotations

from pathlib import Path

from churn.config.events import Engine, EventsConfig
from churn.config.root import Config
from churn.errors import UserError

EXAMPLE = "churn snapshot events=NAME output=FILE.parquet"


def synthesize(cfg: Config) -> None:
    """Write made-up customers to a file, or with `events=synthetic` made-up event tables to their folder."""
    if cfg.events.name is None:
        from churn.data.stage import synthesize as one_table

        return one_table(cfg)
    from churn.events.synthetic import write_tables

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
    from churn.data.writers import check_output
    from churn.events.definition import check_definition, require_engine

    events = cfg.events
    if cfg.bundle:
        from churn.bundle.bundle import Bundle
        from churn.events.today import definition_of

        events = definition_of(Bundle.load(Path(cfg.bundle)), cfg)
    check_definition(events)
    if events.engine is Engine.bigquery and events.plan_only:
        from churn.events.bigquery import print_plan

        return print_plan(events, cfg)
    output = check_output(cfg.output, EXAMPLE)
    if output.suffix != ".parquet":
        raise UserError("a snapshot is a Parquet file", f"output={output}", EXAMPLE)
    require_engine()
    if events.engine is Engine.bigquery:
        from churn.events.bigquery import write_by_bigquery

        return write_by_bigquery(events, cfg, output)
    return _write_by_duckdb(events, cfg, output)


def _write_by_duckdb(events: EventsConfig, cfg: Config, output: Path) -> None:
    """Write the snapshot and the page beside it, and say what was found."""
    from churn.events.duck import open_workspace
    from churn.events.local import make_snapshot, summarize
    from churn.events.page import write_page

    print("Reading the tables ...", flush=True)
    with open_workspace(events, cfg.data.bigquery) as work:
        made = make_snapshot(work, output, cfg.seed)
    page = output.with_suffix(".html")
    write_page(page, made)
    print(summarize(made, page))
