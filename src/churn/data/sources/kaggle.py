"""Data sets of Kaggle, downloaded by Kaggle's client and read like other files."""

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
    """The table of the data set `cfg.kaggle`, in its file `cfg.kaggle_file`; downloads stay in `cfg.cache`.

    Raises `UserError` if Kaggle refuses, or if the data set has several files and none is named.
    """
    try:
        os.environ.setdefault("KAGGLEHUB_CACHE", str((Path(cfg.cache) / "kaggle").resolve()))
        import kagglehub
    except ImportError:
        raise missing_extra("kagglehub", "kaggle") from None
    if not cfg.kaggle:
        raise UserError("no data set is named", "data.kaggle", "data.kaggle=OWNER/DATA-SET")
    try:
        path = Path(kagglehub.dataset_download(cfg.kaggle, path=cfg.kaggle_file))
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        raise _refusal_error(
            cfg, f"Kaggle refuses with status {status}", REMEDIES.get(status, "try again later")
        ) from error
    except requests.RequestException as error:
        raise _refusal_error(cfg, f"Kaggle cannot be reached: {error}", "try again later") from error
    except ValueError as error:
        raise _refusal_error(cfg, f"this is no name of a data set: {error}", REMEDIES[404]) from error
    return files.read_files(replace(cfg, path=str(path if path.is_file() else _only_file(path, cfg))))


def _refusal_error(cfg: DataConfig, what: str, do: str) -> UserError:
    return UserError(
        what, f"data.kaggle={cfg.kaggle}", f"{do}; or get the file by other means: data=csv data.path=FILE"
    )


def _only_file(folder: Path, cfg: DataConfig) -> Path:
    """The only file of a data set; raises `UserError` if there are several or none."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    if len(paths) != 1:
        names = ", ".join(str(path.relative_to(folder)) for path in paths) or "none"
        raise UserError(
            "the data set does not have exactly one file",
            f"{cfg.kaggle}: {names}",
            "name one: data.kaggle_file=FILE",
        )
    return paths[0]
