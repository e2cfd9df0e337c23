"""Files of SPSS (sav, zsav), Stata (dta) and SAS (sas7bdat, xpt) as chunks.

Value labels are the levels of a column; a code without a label stays as it is, and two codes with one label
are told apart. Codes that the file declares as missing are missing, and counted. Dates, months, quarters and
weeks are dates, whatever the unit in which the program counts them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn.config.data import DataConfig
from churn.data.sources.chunk import Chunk
from churn.data.sources.columns import kinds_of, number_texts
from churn.data.sources.paths import SourceFile
from churn.errors import UserError, count, missing_extra

PROGRAMS = {b"$FL2": ("SPSS", "read_sav"), b"$FL3": ("SPSS", "read_sav"), b"HEAD": ("SAS", "read_xport")}
PROGRAMS |= {b"\x00\x00\x00\x00": ("SAS", "read_sas7bdat")}
STATA = ("Stata", "read_dta")
OPTIONS: dict[str, Any] = {"disable_datetime_conversion": True, "output_format": "dict"}
# Formats of numbers that are dates: how many of which unit since when.
SPSS_DATES = re.compile(r"[AEJS]?DATE|QYR|MOYR|WKYR|DATETIME|YMDHMS")
SAS_TIMES = re.compile(r"(?:E8601|B8601|IS8601)D[TZN]|DATETIME|DATEAMPM|MDYAMPM|DT\w+|NLDATM\w*")
SAS_DATES = re.compile(
    r"DATE|(?:DD|MM|YY)\w*(?:DD|MM|YY|Q|MON)\w*|MON(?:YY|NAME|TH)|QTRR?|YEAR|DAY|WEEKDAT[EX]|WEEKDAY|"
    r"WORDDAT[EX]|DOWNAME|JULIAN|JULDAY|(?:E8601|B8601|IS8601)DA|NLDATE\w*"
)
STATA_DATES = re.compile(r"%-?(?:t([dcCwmqh])|(d))")
MONTHS = {"m": 1, "q": 3, "h": 6}


def statistics_chunks(source: SourceFile, cfg: DataConfig, rows: int) -> Iterator[Chunk]:
    """A file in chunks of at most `rows` rows; the first has the columns and no rows.

    Raises `UserError` for a file that cannot be read.
    """
    try:
        import pyreadstat
    except ImportError:
        raise missing_extra("pyreadstat", "tables") from None
    with source.path.open("rb") as file:
        program, function = PROGRAMS.get(file.read(4), STATA)
    read, options = getattr(pyreadstat, function), OPTIONS
    if function != "read_xport":  # whose format has no codes for "missing"
        options = OPTIONS | {"user_missing": True}
    try:
        empty, meta = read(str(source.path), row_limit=1, **options)
        note = f"{program}, {count(len(meta.variable_value_labels), 'column')} with value labels"
        table, _ = _to_table({name: [] for name in empty}, meta, program, cfg.decimal)
        yield Chunk(source.name, table, np.empty(0, int), note, unit="row", typed=True)
        row = 1
        for cells, meta in _parts(pyreadstat, read, source, rows, options):
            table, marked = _to_table(cells, meta, program, cfg.decimal)
            lines = np.arange(row, row + len(table))
            yield Chunk(source.name, table, lines, note, unit="row", typed=True, marked=marked)
            row += len(table)
    except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, UnicodeDecodeError) as error:
        what, do = f"the file cannot be read as one of {program}: {error}", "export it again"
        raise UserError(what, source.name, do) from None


def _parts(library: Any, read: Any, source: SourceFile, rows: int, options: dict[str, Any]) -> Iterator[Any]:
    """The cells and the description of each chunk; a transport file of SAS is one chunk.

    pyreadstat 1.3.7 does not find the end of such a file if it reads it piece by piece.
    """
    if read is library.read_xport:
        return iter([read(str(source.path), **options)])
    return library.read_file_in_chunks(read, str(source.path), chunksize=rows, **options)


def _to_table(
    cells: Mapping[str, list[Any]], meta: Any, program: str, decimal: str
) -> tuple[pa.Table, Counter[str]]:
    """The columns of a chunk in simple types, and the cells of each that the file declares as missing."""
    marked: Counter[str] = Counter()
    columns = [_to_column(name, values, meta, program, marked, decimal) for name, values in cells.items()]
    return pa.table(columns, list(cells)), +marked


def _to_column(
    name: str, cells: list[Any], meta: Any, program: str, marked: Counter[str], decimal: str
) -> pa.ChunkedArray:
    """A column as levels, dates, numbers or text; numbers beside levels have this decimal mark."""
    ranges, labels = meta.missing_ranges.get(name, []), meta.variable_value_labels.get(name, {})
    if meta.readstat_variable_types[name] == "string":
        if declared := {one["lo"] for one in ranges}:
            marked[name] += sum(cell in declared for cell in cells)
            cells = [None if cell in declared else cell for cell in cells]
        texts = pa.chunked_array([pc.utf8_trim_whitespace(pa.array(cells, pa.string()))])
        return _levels(texts, {code.strip(): label for code, label in labels.items()}) if labels else texts
    numbers = _numbers(name, cells, ranges, marked)
    if labels:
        codes = [code for code in labels if not isinstance(code, str)]
        texts = number_texts(pa.chunked_array([pa.array(codes, pa.float64())]), decimal).to_pylist()
        by_text = {text: labels[code] for text, code in zip(texts, codes, strict=True)}
        return _levels(number_texts(pa.chunked_array([numbers]), decimal), by_text)
    to_dates = _date_reader(meta.original_variable_types[name] or "", program)
    return pa.chunked_array([_to_times(numbers, to_dates) if to_dates else numbers])


def _numbers(name: str, cells: list[Any], ranges: list[dict[str, Any]], marked: Counter[str]) -> pa.Array:
    """The numbers of a column; letters are codes for "missing" of Stata and SAS, ranges those of SPSS."""
    letters = 0
    if str in kinds_of(cells):
        letters = sum(isinstance(cell, str) for cell in cells)
        cells = [None if isinstance(cell, str) else cell for cell in cells]
    numbers = pa.array(cells, pa.float64())
    for one in ranges:
        inside = pc.and_(pc.greater_equal(numbers, one["lo"]), pc.less_equal(numbers, one["hi"]))
        marked[name] += pc.sum(inside).as_py() or 0
        numbers = pc.if_else(pc.fill_null(inside, False), pa.scalar(None, pa.float64()), numbers)
    marked[name] += letters
    return numbers


def _levels(texts: pa.ChunkedArray, labels: Mapping[str, str]) -> pa.ChunkedArray:
    """The label of each code; the code itself where it has none, and beside a label that another has."""
    by_code = {code: label.strip() for code, label in labels.items()}
    times = Counter(by_code.values())
    levels = {code: f"{label} ({code})" if times[label] > 1 else label for code, label in by_code.items()}
    coded = texts.combine_chunks().dictionary_encode()
    coded = coded.chunk(0) if isinstance(coded, pa.ChunkedArray) else coded
    named = pa.array([levels.get(code) or code for code in coded.dictionary.to_pylist()], pa.string())
    return pa.chunked_array([pa.DictionaryArray.from_arrays(coded.indices, named).cast(pa.string())])


def _date_reader(form: str, program: str) -> Callable[[np.ndarray], np.ndarray] | None:
    """A function from a program's numbers [n] to datetime64 [n], if a format is one of dates."""
    plain = re.sub(r"[0-9.]*$", "", form.upper())
    if program == "SPSS" and SPSS_DATES.fullmatch(plain):
        return lambda x: _since("1582-10-14", x, "s")
    if program == "SAS" and SAS_TIMES.fullmatch(plain):
        return lambda x: _since("1960-01-01", x, "s")
    if program == "SAS" and SAS_DATES.fullmatch(plain):
        return lambda x: _since("1960-01-01", x, "D")
    if program == "Stata" and (found := STATA_DATES.match(form)):
        return _stata_reader(found[1] or found[2])
    return None


def _stata_reader(unit: str) -> Callable[[np.ndarray], np.ndarray]:
    """Stata counts days, milliseconds, weeks (52 a year), months, quarters or half-years since 1960."""
    if unit in "cC":
        return lambda x: _since("1960-01-01", x, "ms")
    if unit == "d":
        return lambda x: _since("1960-01-01", x, "D")
    if unit == "w":
        return lambda x: (
            _since("1960", x // 52, "Y").astype("datetime64[D]") + (x % 52 * 7).astype("timedelta64[D]")
        )
    return lambda x: _since("1960-01", x * MONTHS[unit], "M")


def _since(begin: str, numbers: np.ndarray, unit: str) -> np.ndarray:
    return np.array(begin, f"datetime64[{unit}]") + np.round(numbers).astype(f"timedelta64[{unit}]")


def _to_times(numbers: pa.Array, read: Callable[[np.ndarray], np.ndarray]) -> pa.Array:
    """Times of numbers; null stays null."""
    known = numbers.is_valid().to_numpy(zero_copy_only=False)
    values = numbers.fill_null(0).to_numpy(zero_copy_only=False)
    return pa.array(read(values).astype("datetime64[s]"), pa.timestamp("s"), mask=~known)
