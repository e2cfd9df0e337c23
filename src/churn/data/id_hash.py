"""Keyed hashes of customers' ids, for files that must recognise a customer without naming one.

The key is the secret: with it, anybody can hash all ids and compare. It comes from the environment or from a
file of its own, and is in no run, bundle, log or report.
"""

from __future__ import annotations

import hmac
import os
import re
import stat
from pathlib import Path
from secrets import token_hex

import numpy as np

from churn.config.root import Config
from churn.data.infer.cells import to_id
from churn.errors import UserError
from churn.files import LOCK, SECRET, atomic_write, exclusive

VARIABLE = "CHURN_ID_KEY"
LEAST = 32  # characters of a key
DIGITS = 32  # of a hash: 128 bits
_ANY_HASH = re.compile(r"hmac-[0-9a-f]{8}:[0-9a-f]{32}")


class IdHash:
    """A function from a customer's id to its hash by one key: HMAC-SHA-256 (RFC 2104), cut to 128 bits.

    The hash begins with a mark of the key, so that hashes of another key are recognised. The hash of a hash
    is itself, whichever key made it, and that of no id is "". Ids that `to_ids` takes for one have one hash.

    >>> IdHash(b"0" * 32)("7590-VHVEG")
    'hmac-be1c1143:4652a8f2d8f90cdc9907396ce8da6b7d'
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.prefix = f"hmac-{hmac.digest(key, b'', 'sha256').hex()[:8]}:"

    def __call__(self, text: str) -> str:
        """The hash of an id."""
        if not text:
            return ""
        if text.startswith("hmac-") and _ANY_HASH.fullmatch(text):
            return text
        if not (one := to_id(text)):
            return ""
        content = one.encode("utf-8", "surrogatepass")
        return self.prefix + hmac.digest(self._key, content, "sha256").hex()[:DIGITS]

    def each(self, ids: np.ndarray) -> np.ndarray:
        """[n] object: the hash of each of the ids [n]."""
        return np.array([self(text) for text in ids], object)

    def is_foreign(self, text: str) -> bool:
        """Whether this is a hash by another key."""
        return bool(_ANY_HASH.fullmatch(text)) and not text.startswith(self.prefix)


def id_hash(cfg: Config) -> IdHash:
    """The hash by the key of CHURN_ID_KEY, else of the key file, which is made if there is none.

    Raises `UserError` for a key that is too short, and for a file that others can read or that lies in
    `run.root`, whose content is copied and published more freely.
    """
    if (key := os.environ.get(VARIABLE)) is not None:
        return IdHash(_checked(key.strip(), VARIABLE))
    file = _key_file(cfg)
    if file.resolve().is_relative_to(Path(cfg.run.root).resolve()):
        raise UserError(
            "the key of the ids may not lie among the runs", f"privacy.key_file={file}", "name another place"
        )
    _make_key(file)
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UserError("others may read the key of the ids", str(file), f"chmod 600 {file}")
    return IdHash(_checked(file.read_text(encoding="utf-8", errors="replace").strip(), str(file)))


def _key_file(cfg: Config) -> Path:
    if cfg.privacy.key_file:
        return Path(cfg.privacy.key_file).expanduser()
    folder = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(folder).expanduser() / "churn" / "id.key"


def _make_key(file: Path) -> None:
    """Write a new key, which only this user may read, unless the file exists; one of two processes does."""
    if file.exists():
        return
    with exclusive(file.with_name(f".{file.name}{LOCK}")):
        if not file.exists():
            with atomic_write(file, SECRET) as aside:
                aside.write_text(f"{token_hex(32)}\n", encoding="utf-8")


def _checked(key: str, where: str) -> bytes:
    if len(key) < LEAST:
        do = f"at least {LEAST} characters, such as those of `openssl rand -hex 32`"
        raise UserError("the key of the ids is too short", where, do)
    return key.encode(errors="surrogateescape")
