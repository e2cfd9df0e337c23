"""Whom a model learnt from: a file of hashes beside the run, so that `churn forget` can name the models."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from churn.data.id_hash import DIGITS, IdHash
from churn.files import PERSONAL, atomic_write

if TYPE_CHECKING:
    from churn.data.experiment import Experiment

FILE = "customers.npz"  # in a run; not in its bundle


def write_customers(experiment: Experiment, hash_id: IdHash, directory: Path) -> None:
    """Write the customers of the parts that a model is made from: all but the test part."""
    ids, test = experiment.data.ids, experiment.splits.test
    assert ids is not None
    hashes = hash_id.each(np.unique(np.delete(ids, test).astype(str)))
    marks = {text.partition(":")[0] for text in hashes if text}
    with atomic_write(directory / FILE, PERSONAL) as aside, aside.open("wb") as file:
        np.savez(file, marks=sorted(marks), numbers=np.sort(list(map(_number, filter(None, hashes)))))


def has_learnt(file: Path, customer: str) -> bool | None:
    """Whether the customer with this hash is in a file of `write_customers`; None if another key made it."""
    with np.load(file) as stored:
        if customer.partition(":")[0] not in stored["marks"]:
            return None
        numbers = stored["numbers"]
        place = np.searchsorted(numbers, _number(customer))
        return bool(place < len(numbers) and numbers[place] == _number(customer))


def _number(customer: str) -> np.uint64:
    """The first half of a hash, which two customers share with a chance of 2^-64."""
    digits = re.sub(r"^.*:", "", customer)[: DIGITS // 2]
    return np.uint64(int(digits, 16))
