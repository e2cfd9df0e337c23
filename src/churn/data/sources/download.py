"""Public tables, fetched once and checked against the hash that the configuration pins."""

from __future__ import annotations

import hashlib
from pathlib import Path

import requests

from churn.errors import UserError
from churn.files import atomic_write

TIMEOUT = 30  # seconds without an answer
PIECE = 1 << 20  # bytes in memory at a time


def fetch(url: str, sha256: str | None, folder: Path) -> Path:
    """The file behind `url`, in `folder`; downloaded only if it is not there yet.

    Raises `UserError` if the address cannot be reached or the content is not what `sha256` says; then
    nothing is kept.
    """
    path = folder / f"{(sha256 or hashlib.sha256(url.encode()).hexdigest())[:12]}-{url.rpartition('/')[2]}"
    if path.exists():
        return path
    print(f"Downloading {url} ...", flush=True)
    with atomic_write(path) as aside:
        try:
            digest = _download(url, aside)
        except requests.RequestException as error:
            raise UserError(
                f"the download failed: {error}",
                url,
                "try again later, or get the file by other means: data.path=FILE",
            ) from error
        if sha256 and digest != sha256:
            raise UserError(
                f"the file there is not the one expected: its sha256 is {digest}, not {sha256}",
                url,
                "look at what changed there; then set data.sha256, or use your copy: data.path=FILE",
            )
    return path


def _download(url: str, path: Path) -> str:
    """Stream `url` to `path`; gives the sha256. Raises `requests.RequestException`, also if it breaks off."""
    digest, received = hashlib.sha256(), 0
    with requests.get(url, stream=True, timeout=TIMEOUT) as answer, path.open("wb") as file:
        answer.raise_for_status()
        for piece in answer.iter_content(PIECE):
            file.write(piece)
            digest.update(piece)
            received += len(piece)
        announced = answer.headers.get("Content-Length")
        if announced and "Content-Encoding" not in answer.headers and received != int(announced):
            raise requests.ConnectionError(f"{received} of {announced} bytes came")
    return digest.hexdigest()
