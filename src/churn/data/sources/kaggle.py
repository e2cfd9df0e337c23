"""Data sets of Kaggle, downloaded by its own client and read like any other file."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import requests

from churn.config.data import DataConfig
from churn.data.sources import files
from churn.data.table import RawTable
from churn.errors import UserError, missing_extra

REMEDIES = {
    401: "log in: put a token from kaggle.com/settings into ~/.kaggle/access_token",
    403: "accept the data set's terms on its page, and put a token from kaggle.com/settings into ~/.kaggle",
    404: "check the name: it is the end of the data set's address, OWNER/DATA-SET",
}


def read_kaggle(cfg: DataConfig) -> RawTable:
    """The table of `cfg.kaggle`, or the one named `cfg.kaggle_file` in it; kept below `cfg.cache`.

    Raises `UserError` if it cannot be had, or if it holds several tables and none is named.
    """
    try:
        os.environ.setdefault("KAGGLEHUB_CACHE", str((Path(cfg.cache) / "kaggle").resolve()))
        import kagglehub
    except ImportError:
        raise missing_extra("kagglehub", "kaggle") from None
    if not cfg.kaggle:
        raise UserError("no data set is named", "data.kaggle", "data.kaggle=OWNER/DATA-SET")
    try:
        place = Path(kagglehub.dataset_download(cfg.kaggle, path=cfg.kaggle_file))
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        raise _refusal_error(
            cfg, f"Kaggle refuses with status {status}", REMEDIES.get(status, "try again later")
        ) from error
    except requests.RequestException as error:
        raise _refusal_error(cfg, f"Kaggle cannot be reached: {error}", "try again later") from error
    except ValueError as error:
        raise _refusal_error(cfg, f"this is no name of a data set: {error}", REMEDIES[404]) from error
    return files.read_files(replace(cfg, path=str(place if place.is_file() else _the_only_table(place, cfg))))


def _refusal_error(cfg: DataConfig, what: str, do: str) -> UserError:
    """The error with where it happened and the way round."""
    return UserError(
        what, f"data.kaggle={cfg.kaggle}", f"{do}; or get the file by other means: data=csv data.path=FILE"
    )


def _the_only_table(folder: Path, cfg: DataConfig) -> Path:
    """The one file of a data set; raises `UserError` if there are several."""
    found = sorted(file for file in folder.rglob("*") if file.is_file())
    if len(found) != 1:
        names = ", ".join(str(file.relative_to(folder)) for file in found) or "none"
        raise UserError(
            "the data set does not hold exactly one file",
            f"{cfg.kaggle}: {names}",
            "name one: data.kaggle_file=FILE",
        )
    return found[0]
