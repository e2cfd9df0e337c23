"""Public tables, downloaded once and checked against the hash of the configuration."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pooch
import requests

from churn.config.secrets import hide_passwords, reveal_password
from churn.errors import UserError

PIECE = 1 << 20  # bytes in memory at a time


def fetch(url: str, sha256: str | None, folder: Path) -> Path:
    """The file at `url`, in `folder`; downloaded if it is not there yet, or has another hash than `sha256`.

    Raises `UserError` if the download fails or has another hash; then nothing is kept.
    """
    name = f"{(sha256 or hashlib.sha256(url.encode()).hexdigest())[:12]}-{url.rpartition('/')[2]}"
    if not (folder / name).exists():
        print(f"Downloading {url} ...", flush=True)
    pooch.get_logger().setLevel("WARNING")  # the line above is enough
    try:
        download, address = pooch.HTTPDownloader(chunk_size=PIECE), reveal_password(url)
        return Path(pooch.retrieve(address, sha256, name, folder, downloader=download))
    except requests.RequestException as error:
        what, do = f"the download failed: {error}", "try again later, or get the file by other means"
    except ValueError as error:  # a wrong hash
        what = f"the file there is not the one expected: {error}"
        do = "look at what changed there; then set data.sha256, or use your copy"
    raise UserError(hide_passwords(what), url, f"{do}: data.path=FILE")
