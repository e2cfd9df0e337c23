"""A request that is refused: the error as the client reads it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

JsonRow = dict[str, Any]
STATUS = {
    400: "FAILED_PRECONDITION",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    431: "INVALID_ARGUMENT",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
CLOSING = (401, 403, 405, 413, 415)  # errors after which the connection ends: bodies may not have been read


class RefusedError(Exception):
    """A request that gets an error as its answer: code, reason (for metrics), message, details, headers."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Iterable[JsonRow] = (),
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, list(details)
        self.headers = list(headers)

    def body(self) -> bytes:
        """The error as JSON, in the format that Google's clients read."""
        error = {"code": self.code, "message": self.message, "status": STATUS[self.code]}
        return msgspec.json.encode({"error": error | ({"details": self.details} if self.details else {})})
