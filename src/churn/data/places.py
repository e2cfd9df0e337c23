"""From what the user names (a file, a glob or a folder, local or gs://) to files on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import urlsplit

from churn.errors import UserError

TABLES = (".csv", ".tsv", ".tab", ".txt", ".dat", ".parquet", ".pq")
PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
WILDCARDS = "*?["


class Place(NamedTuple):
    """A file on this machine, and what the user calls it."""

    path: Path
    name: str


@contextmanager
def local_files(path: str) -> Iterator[list[Place]]:
    """The files that `path` names, sorted by name; those of gs:// are copies that go when the block ends.

    Raises `UserError` if there is none.
    """
    if path.startswith("gs://"):
        with tempfile.TemporaryDirectory(prefix="churn-") as copies:
            yield copied(path, Path(copies))
    else:
        yield [Place(Path(name), name) for name in found(str(Path(path).expanduser()))]


def found(path: str) -> list[str]:
    """Local files: `path` itself, the tables in it, or what it matches."""
    place = Path(path)
    if place.is_file():
        return [path]
    if place.is_dir():
        return tables_of_folder([str(file) for file in place.iterdir() if file.is_file()], path)
    if any(sign in path for sign in WILDCARDS):
        matched = Path(place.anchor).glob(str(place.relative_to(place.anchor)))
        return matches([str(file) for file in matched if file.is_file()], path)
    beside = [file.name for file in place.parent.iterdir()] if place.parent.is_dir() else []
    close = get_close_matches(place.name, beside, n=1, cutoff=0.8)
    hint = f"; did you mean '{place.parent / close[0]}'?" if close else ""
    raise UserError(f"there is no such file{hint}", path, "name a file, a glob or a folder: data.path=...")


def tables_of_folder(files: list[str], path: str) -> list[str]:
    """Those of the files in a folder that are tables by their name, sorted."""
    tables = sorted(file for file in files if is_table(PurePosixPath(file).name))
    if not tables:
        there = ", ".join(sorted(PurePosixPath(file).name for file in files)[:10]) or "no files"
        raise UserError(
            f"there is no CSV or Parquet file in this folder, but {there}",
            path,
            "name a file, or a glob such as 'data.path=\"FOLDER/*/*.csv\"' for folders within",
        )
    return tables


def matches(files: list[str], path: str) -> list[str]:
    """The files that a glob matched, sorted."""
    if not files:
        raise UserError(
            "no file matches this pattern", path, "check data.path; * stands for any letters but /"
        )
    return sorted(files)


def is_table(name: str) -> bool:
    """Whether a file is a table by its name; hidden files and those like _SUCCESS are not."""
    stem = name.lower()
    for suffix in PACKED:
        stem = stem.removesuffix(suffix)
    return name[0] not in "._" and stem.endswith(TABLES)


def copied(path: str, folder: Path) -> list[Place]:
    """Copies in `folder` of the objects that a gs:// path names.

    The path may carry what pyarrow's GcsFileSystem takes, e.g. gs://anonymous@bucket/x.csv.
    """
    from pyarrow import fs

    try:
        storage, keys = cloud_objects(path)
        places = [Place(folder / f"{i:06d}", f"gs://{key}") for i, key in enumerate(keys)]
        for place, key in zip(places, keys, strict=True):
            fs.copy_files(key, str(place.path), storage, fs.LocalFileSystem())
    except (OSError, ValueError) as error:  # ValueError: no gs:// address
        reason = str(error).split(" error_info=")[0]
        raise UserError(
            f"Google Cloud Storage refused: {reason}",
            path,
            "check the name; log in with `gcloud auth application-default login`, or write "
            "gs://anonymous@BUCKET/... for public data",
        ) from None
    return places


def cloud_objects(path: str) -> tuple[object, list[str]]:
    """The file system of a gs:// path and the objects it names, as bucket/key, sorted."""
    from pyarrow import fs

    uri = urlsplit(path)
    query = f"{uri.query}&" * bool(uri.query) + "retry_limit_seconds=15"
    storage, bucket = fs.FileSystem.from_uri(f"gs://{uri.netloc}/?{query}")
    name = f"{bucket.rstrip('/')}{uri.path}".rstrip("/")
    if any(sign in name for sign in WILDCARDS):
        fixed = name[: min(name.find(sign) for sign in WILDCARDS if sign in name)].rpartition("/")[0]
        below = storage.get_file_info(fs.FileSelector(fixed, recursive=True))
        keys = [info.path for info in below if info.is_file]
        return storage, matches([key for key in keys if PurePosixPath(f"/{key}").match(f"/{name}")], path)
    kind = storage.get_file_info(name).type
    if kind == fs.FileType.Directory:
        inside = storage.get_file_info(fs.FileSelector(name))
        return storage, tables_of_folder([info.path for info in inside if info.is_file], path)
    if kind == fs.FileType.NotFound:
        raise UserError("there is no such object", path, "check data.path")
    return storage, [name]
