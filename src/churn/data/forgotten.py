"""Customers whom `churn forget` put on the list: no training, no log and no report counts them any more."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np

from churn.config.root import Config
from churn.data.dataset import Dataset
from churn.data.id_hash import VARIABLE, IdHash, id_hash
from churn.errors import UserError
from churn.files import PERSONAL
from churn.lines import append_line, read_lines

FILE = "forgotten.jsonl"  # in `run.root`: a line for each customer


@dataclass(frozen=True)
class Forgotten:
    """The hashes of the customers on the list, and the hash of ids; without a list, no key is needed."""

    hashes: frozenset[str] = frozenset()
    hash_id: IdHash | None = None

    @classmethod
    def of(cls, cfg: Config) -> Forgotten:
        """The list of `run.root`; raises `UserError` if another key made it: nobody would be found on it."""
        file = forgotten_file(cfg)
        if not file.exists():
            return cls()
        hashes, hash_id = frozenset(json.loads(line)["customer"] for line in read_lines(file)), id_hash(cfg)
        if any(map(hash_id.is_foreign, hashes)):
            what = "another key has hashed the customers on the list, so they cannot be left out"
            raise UserError(what, str(file), f"use that key: {VARIABLE}, or privacy.key_file=FILE")
        return cls(hashes, hash_id)

    def rows_of(self, ids: np.ndarray) -> np.ndarray:
        """[n] whether each id [n], or hash of one, is that of a customer on the list."""
        if self.hash_id is None:
            return np.zeros(len(ids), bool)
        return np.array([self.hash_id(text) in self.hashes for text in map(str, ids)], bool)


def forgotten_file(cfg: Config) -> Path:
    """The list of `run.root`."""
    return Path(cfg.run.root) / FILE


def put_on_list(cfg: Config, customer: str) -> bool:
    """Put a hash on the list; False if it is there already."""
    if customer in Forgotten.of(cfg).hashes:
        return False
    line = {"customer": customer, "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    append_line(forgotten_file(cfg), json.dumps(line), PERSONAL)
    return True


def without_forgotten(data: Dataset, forgotten: Forgotten) -> Dataset:
    """The data set without the rows of customers on the list; the same one if it has none of them."""
    if data.ids is None or not (gone := forgotten.rows_of(data.ids)).any():
        return data
    kept = np.flatnonzero(~gone)
    changed = sha256(data.fingerprint.encode() + np.packbits(gone).tobytes()).hexdigest()
    return replace(
        data,
        frame=data.frame.iloc[kept].reset_index(drop=True),
        churned=data.churned[kept],
        ids=data.ids[kept],
        times=None if data.times is None else data.times[kept],
        true_probability=None if data.true_probability is None else data.true_probability[kept],
        protected=None if data.protected is None else data.protected.iloc[kept].reset_index(drop=True),
        fingerprint=changed,
        facts=data.facts | {"forgotten": int(gone.sum())},
    )
