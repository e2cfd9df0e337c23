"""Signatures of approvals by a key of the team: Ed25519 (RFC 8032), made and checked by `cryptography`.

What is signed names the bundle by its digest, and so every byte of it, and who approved it, when, and why.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.errors import UserError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PASSWORD = "CHURN_KEY_PASSWORD"  # the variable with the password of a private key, if it has one
HOW = "openssl genpkey -algorithm ed25519 -out team.pem && openssl pkey -in team.pem -pubout -out team.pub"


def sign(entry: Mapping[str, str], digest: str, file: str) -> dict[str, str]:
    """The signature of an approval of the bundle `digest` by the private key in a file, and its fingerprint.

    Raises `UserError` for a file that is no such key, or that others may read.
    """
    key = _private_key(Path(file).expanduser())
    signature = base64.b64encode(key.sign(_content(entry, digest))).decode()
    return {"signature": signature, "key": _fingerprint(key.public_key())}


def is_signed(entry: Mapping[str, str], digest: str, files: Iterable[str]) -> bool:
    """Whether an approval has a valid signature by one of the public keys in `files`.

    Raises `UserError` for a file that is no public key.
    """
    from cryptography.exceptions import InvalidSignature

    keys = {_fingerprint(key): key for key in map(_public_key, (Path(file).expanduser() for file in files))}
    key = keys.get(entry.get("key", ""))
    if key is None:
        return False
    try:
        key.verify(base64.b64decode(entry["signature"], validate=True), _content(entry, digest))
    except (InvalidSignature, ValueError, KeyError):
        return False
    return True


def _content(entry: Mapping[str, str], digest: str) -> bytes:
    """The bytes that are signed."""
    approved = {name: entry[name] for name in ("by", "at", "evidence")}
    return json.dumps(["churn approval", digest, approved], sort_keys=True).encode()


def _private_key(file: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    password = os.environ.get(PASSWORD)
    content = file.read_bytes()
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UserError("others may read the private key", f"approval.key={file}", f"chmod 600 {file}")
    try:
        key: Any = load_pem_private_key(content, password.encode() if password else None)
    except (ValueError, TypeError) as error:  # TypeError: a password where none is needed, or the reverse
        raise _no_key(f"approval.key={file}", f"a private key ({type(error).__name__})") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(f"approval.key={file}", "an Ed25519 key")
    return key


def _public_key(file: Path) -> Ed25519PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key: Any = load_pem_public_key(file.read_bytes())
    except (ValueError, UnsupportedAlgorithm):
        raise _no_key(f"approval.trusted: {file}", "a public key") from None
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(f"approval.trusted: {file}", "an Ed25519 key")
    return key


def _no_key(where: str, what: str) -> UserError:
    return UserError(f"this file is not {what}", where, f"make one: {HOW}; a password goes into {PASSWORD}")


def _fingerprint(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]
