"""`churn synthesize`: a file of synthetic customers."""

from __future__ import annotations

from itertools import islice

import pyarrow as pa
import pyarrow.compute

from churn.config.root import Config
from churn.data.sources.synthetic import make_chunks

ROW_GROUP = 10  # such blocks in a row group of a file


def synthesize(cfg: Config) -> None:
    """`churn synthesize`: write the customers of `cfg.data.synthetic` to `cfg.output`, a CSV or Parquet file.

    Memory does not grow with the rows. Raises `UserError` for another kind of file.
    """
    from churn.data.writers import check_output, write_tables
    from churn.parallel import prefetch

    output = check_output(cfg.output, "churn synthesize data.synthetic.rows=1000000 output=FILE.parquet")
    made = (
        pa.Table.from_pandas(raw.frame, preserve_index=False)
        for raw in make_chunks(cfg.data.synthetic, cfg.seed)
    )
    together = (pa.concat_tables([first, *islice(made, ROW_GROUP - 1)]) for first in made)
    print(f"{write_tables(prefetch(together), output):,} customers: {output}")
