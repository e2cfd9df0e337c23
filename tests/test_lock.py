"""The locks pin every requirement by hash and contain no address."""

import re
from pathlib import Path

import pytest

LOCKS = sorted((Path(__file__).parents[1] / "requirements").glob("*.txt"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_requirement_is_pinned_with_a_hash_and_without_an_address(lock):
    text = lock.read_text()
    pins = re.findall(r"^[\w.-]+(?:\[[\w,-]+\])?==.*?(?=^\S|\Z)", text, re.S | re.M)
    assert len(pins) == len(re.findall(r"^\w", text, re.M)) > 0
    assert all("--hash=sha256:" in pin for pin in pins)
    assert "://" not in text
