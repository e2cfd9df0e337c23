"""`churn synthesize`: a file of synthetic customers."""

from __future__ import annotations

from itertools import islice

import pyarrow as pa

from churn.config.root import Config
from churn.data.progress import announced
from churn.data.sources.synthetic import make_chunks
from churn.errors import count

BLOCKS_PER_ROW_GROUP = 10  # of 10,000 rows each


def synthesize(cfg: Config) -> None:
    """`churn synthesize`: write the customers of `cfg.data.synthetic` to `cfg.output`, a CSV or Parquet file.

    The memory does not depend on the number of rows. Raises `UserError` for another kind of file.
    """
    from churn.data.writers import check_output, check_sheet, write_tables
    from churn.parallel import prefetch

    output = check_output(cfg.output, "churn synthesize data.synthetic.rows=1000000 output=FILE.parquet")
    if output.suffix == ".xlsx":
        check_sheet(cfg.data.synthetic.rows)
    print(f"Writing {count(cfg.data.synthetic.rows, 'row')} ...", flush=True)
    blocks = (
        pa.Table.from_pandas(raw.frame, preserve_index=False)
        for raw in make_chunks(cfg.data.synthetic, cfg.seed)
    )
    row_groups = (pa.concat_tables([first, *islice(blocks, BLOCKS_PER_ROW_GROUP - 1)]) for first in blocks)
    rows = write_tables(announced(prefetch(row_groups), len, "written"), output)
    print(f"{rows:,} customers: {output}")
