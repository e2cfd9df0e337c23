"""Passwords in addresses: known to this process, never printed or written."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from typing import Any

HIDDEN = "***"
# scheme://user:password@host; the last @ ends the password, which may hold others.
_ADDRESS = re.compile(r"(\w[\w+.-]*://[^:/@\s]*:)(.*)(@[^@\s'\"/?]*)")
_passwords: dict[str, str] = {}  # by the beginning of the address, with *** in place of the password
# Parameters of an address that are secrets, as they are or encoded within another (odbc_connect).
_NAME = r"[\w-]*(?:password|passwd|pwd|token|secret|sig|signature|key)|x-(?:amz|goog)-[\w-]+"
_PARAMETER = re.compile(
    rf"((?:[?&;]|%3b|odbc_connect=)(?:{_NAME})(?:=|%3d))(?:\{{[^}}]*\}}|(?:(?!%3b)[^&;\s'\"])+)",
    re.IGNORECASE,
)
_WHOLE = re.compile(r"\w[\w+.-]*://[^'\"\n]*")
_addresses: dict[str, str] = {}  # by the address with *** in place of its secret parameters


def hide_passwords(text: str) -> str:
    """The text with *** in place of the secrets of addresses, which `reveal_password` knows from now on.

    >>> hide_passwords("data.path=postgresql://ann:secret@host/crm")
    'data.path=postgresql://ann:***@host/crm'
    """

    def hide(found: re.Match[str]) -> str:
        hidden = found[1] + HIDDEN + found[3]
        if found[2] != HIDDEN:
            _passwords[hidden] = found[2]
        return hidden

    def hide_parameters(found: re.Match[str]) -> str:
        hidden = _PARAMETER.sub(rf"\g<1>{HIDDEN}", found[0])
        if hidden != found[0]:
            _addresses[hidden] = found[0]
        return hidden

    known = _WHOLE.sub(hide_parameters, _ADDRESS.sub(hide, text))
    return _PARAMETER.sub(rf"\g<1>{HIDDEN}", known)  # messages may quote an address without its beginning


def reveal_password(address: str) -> str:
    """The address with its secrets; without a password, if this process was never told it."""

    def reveal(found: re.Match[str]) -> str:
        password = _passwords.get(found[0])
        return found[0].replace(f":{HIDDEN}@", "@" if password is None else f":{password}@")

    return _ADDRESS.sub(reveal, _addresses.get(address, address))


def hide_passwords_of(cfg: Any) -> None:
    """Hide the passwords in every text of a configuration."""
    for declared in fields(cfg):
        value = getattr(cfg, declared.name)
        if is_dataclass(value):
            hide_passwords_of(value)
        elif isinstance(value, str) and "://" in value:
            setattr(cfg, declared.name, hide_passwords(value))
