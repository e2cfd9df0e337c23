"""Tables beside the one of the customers: labels, and lists of ids. They are read as any other table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from churn.config.data import DataConfig
from churn.data.infer.cells import to_ids
from churn.data.sources import files
from churn.data.sources.dialect import OneColumnError
from churn.data.table import NoRowsError, RawTable
from churn.errors import UserError, count, did_you_mean, user_error_of_many

if TYPE_CHECKING:
    import pandas as pd

NO_DELIMITER = "\x1f"  # no text has it: a line is one cell
SHOWN = 3  # ids of each kind, or lines, in a message


def read_side_table(path: str) -> RawTable:
    """The table in a file of any format that `churn train` reads; raises `UserError` as it does."""
    table = files.read_files(DataConfig(path=path))
    if table.broken is not None and len(table.broken):
        problems = [
            UserError(str(row.reason), f"{row.file}, line {row.line}: {row.value}")
            for row in table.broken[:SHOWN].itertuples()
        ]
        title = f"{count(len(table.broken), 'line')} cannot be read, among them:"
        raise problems[0] if len(table.broken) == 1 else user_error_of_many(title, problems)
    return table


def read_ids(path: str, column: str | None, key: str) -> set[str]:
    """The ids, digit for digit, in the column `column` of a table; or one per line, with or without a header.

    A file without a row has none. Raises `UserError` for a table without such a column; `key` is the
    configuration key of the path.
    """
    if Path(path).is_file() and not Path(path).stat().st_size:
        return set()
    import pandas as pd

    try:
        frame = _table_or_list(path)
    except NoRowsError as empty:  # which may be the only id of a list
        frame = pd.DataFrame(columns=empty.columns, dtype="str")
    if column not in frame and frame.shape[1] > 1:
        hint = did_you_mean(str(column), map(str, frame))
        listed = f"; its columns are {', '.join(map(str, frame))}"
        raise UserError(
            f"there is no column '{column}'{hint}{listed}", f"{key}={path}", "rename the column of ids"
        )
    name = column if column in frame else frame.columns[0]
    header = [] if name == column else [name]  # a list without a header begins with an id
    return set(to_ids(pd.Series([*header, *frame[name].astype("str")], dtype="str"))) - {""}


def _table_or_list(path: str) -> pd.DataFrame:
    """The rows of a table, or of a text file with one cell in each line."""
    try:
        return read_side_table(path).frame
    except OneColumnError:
        return files.read_files(DataConfig(path=path, delimiter=NO_DELIMITER, skip_lines=0)).frame


def no_match_error(ids: set[str], others: list[str], where: str, do: str) -> UserError:
    """The error for ids of a side file none of which is among others, with the forms of both.

    No id is shown: messages end in logs.
    """
    ours, theirs = (
        ", ".join(f"'{form}'" for form in sorted(set(map(_form, some)))[:SHOWN]) for some in (ids, others)
    )
    return UserError(
        f"none of its {len(ids):,} ids is among the customers: they look like {ours}; theirs like {theirs}",
        where,
        do,
    )


def _form(text: str) -> str:
    """How an id is written: 9 for each digit, A and a for letters.

    >>> _form("7590-VHveg")
    '9999-AAaaa'
    """
    kinds = ((str.isdigit, "9"), (str.isupper, "A"), (str.isalpha, "a"))
    return "".join(next((sign for is_kind, sign in kinds if is_kind(one)), one) for one in text)
