"""The log where a disk goes with its container: entries of Cloud Logging on the standard output.

Cloud Run passes each line of JSON on as one entry. Its payloads are texts of JSON in the form of Vertex AI's
request-response table, so that a sink makes of them a table that `churn.serve.log.read` reads.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from churn.serve.log.write import SpoolFullError

ENTRY_BYTES = 200_000  # Cloud Logging takes 256 KiB, the labels included
STDOUT = 1
TABLE = "run_googleapis_com_stdout"  # where a sink of Cloud Logging puts what containers print


class EntryLog:
    """The log of one server and one bundle, in place of a `Spool`."""

    waiting = 0  # bytes: nothing is held back

    def __init__(self, header: dict[str, Any], file: int = STDOUT) -> None:
        self.header, self.file, self.trouble = header, file, ""
        self.rest = b""  # of entries that the output took in part

    def append(self, lines: bytes) -> None:
        """Write an entry for each line of `churn.serve.log.lines`; raises `SpoolFullError` if it cannot.

        Entries of which the output takes a part count as written: the rest goes out before the next ones.
        """
        entries = [entry for line in lines.splitlines() for entry in _entries(self.header, json.loads(line))]
        content = b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)
        try:
            self._write_rest()
            self.rest = content[os.write(self.file, content) :]
        except OSError as error:
            self.trouble = f"the standard output: {error.strerror or error}"
            raise SpoolFullError(self.trouble) from error
        self.trouble = ""
        self.tick()

    def tick(self) -> None:
        """Write what the output did not take before; there is no file to close."""
        with suppress(OSError):  # which the next `append` says
            self._write_rest()

    def close(self) -> None:
        """Write what is left, if the output takes it; the process closes its output."""
        self.tick()

    def _write_rest(self) -> None:
        while self.rest:
            self.rest = self.rest[os.write(self.file, self.rest) :]


def _entries(header: dict[str, Any], line: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The entries of a request; a large one is cut into several between two rows."""
    numbered = enumerate(_parts(list(_rows(header, line))))
    for number, part in numbered:
        instances, predictions = zip(*part, strict=True)
        yield {
            "severity": "INFO",
            "time": line["time"],
            "message": f"answered {len(part)} rows",
            "bundle": header["bundle"],
            "request_id": line["request_id"] if number == 0 else f"{line['request_id']}/{number}",
            "request_payload": f'{{"instances":[{",".join(instances)}]}}',
            "response_payload": f'{{"predictions":[{",".join(predictions)}]}}',
        }


def _rows(header: dict[str, Any], line: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each row of a request and its answer, as texts of JSON."""
    names = [*header["numbers"], *header["texts"]]
    for numbers, texts, prediction in zip(line["numbers"], line["texts"], line["predictions"], strict=True):
        yield json.dumps(dict(zip(names, [*numbers, *texts], strict=True))), json.dumps(prediction)


def _parts(rows: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """The rows in parts of at most `ENTRY_BYTES`, at least one row each."""
    part: list[tuple[str, str]] = []
    size = 0
    for row in rows:
        length = 2 * sum(map(len, row))  # at most, with a backslash before every quotation mark
        if part and size + length > ENTRY_BYTES:
            yield part
            part, size = [], 0
        part.append(row)
        size += length
    if part:
        yield part
