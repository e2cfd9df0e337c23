"""From what the user names (a file, a glob or a folder, local or gs://) to files on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import urlsplit

from churn.errors import UserError, did_you_mean

TABLES = (".csv", ".tsv", ".tab", ".txt", ".dat", ".parquet", ".pq")
PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
WILDCARDS = "*?["


class SourceFile(NamedTuple):
    """A file on this machine, and what the user calls it."""

    path: Path
    name: str


@contextmanager
def local_files(path: str) -> Iterator[list[SourceFile]]:
    """The files that `path` names, sorted by name; those of gs:// are copies that go when the block ends.

    Raises `UserError` if there is none.
    """
    if path.startswith("gs://"):
        with tempfile.TemporaryDirectory(prefix="churn-") as copies:
            yield _copy_from_cloud(path, Path(copies))
    else:
        yield [SourceFile(Path(name), name) for name in list_files(str(Path(path).expanduser()))]


def list_files(path: str) -> list[str]:
    """Local files: `path` itself, the tables in it, or what it matches."""
    place = Path(path)
    if place.is_file():
        return [path]
    if place.is_dir():
        return _tables_of_folder([str(file) for file in place.iterdir() if file.is_file()], path)
    if any(sign in path for sign in WILDCARDS):
        matched = Path(place.anchor).glob(str(place.relative_to(place.anchor)))
        return _sorted_matches([str(file) for file in matched if file.is_file()], path)
    beside = [file.name for file in place.parent.iterdir()] if place.parent.is_dir() else []
    hint = did_you_mean(place.name, beside)
    raise UserError(f"there is no such file{hint}", path, "name a file, a glob or a folder: data.path=...")


def _tables_of_folder(files: list[str], path: str) -> list[str]:
    """Those of the files in a folder that are tables by their name, sorted."""
    tables = sorted(file for file in files if _is_table(PurePosixPath(file).name))
    if not tables:
        there = ", ".join(sorted(PurePosixPath(file).name for file in files)[:10]) or "no files"
        raise UserError(
            f"there is no CSV or Parquet file in this folder, but {there}",
            path,
            "name a file, or a glob such as 'data.path=\"FOLDER/*/*.csv\"' for folders within",
        )
    return tables


def _sorted_matches(files: list[str], path: str) -> list[str]:
    """The files that a glob matched, sorted."""
    if not files:
        raise UserError(
            "no file matches this pattern", path, "check data.path; * stands for any letters but /"
        )
    return sorted(files)


def _is_table(name: str) -> bool:
    """Whether a file is a table by its name; hidden files and those like _SUCCESS are not."""
    stem = name.lower()
    for suffix in PACKED:
        stem = stem.removesuffix(suffix)
    return name[0] not in "._" and stem.endswith(TABLES)


def _copy_from_cloud(path: str, folder: Path) -> list[SourceFile]:
    """Copies in `folder` of the objects that a gs:// path names.

    The path may carry what pyarrow's GcsFileSystem takes, e.g. gs://anonymous@bucket/x.csv.
    """
    from pyarrow import fs

    try:
        storage, keys = list_cloud_objects(path)
        places = [SourceFile(folder / f"{i:06d}", f"gs://{key}") for i, key in enumerate(keys)]
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


def list_cloud_objects(path: str) -> tuple[object, list[str]]:
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
        return storage, _sorted_matches(
            [key for key in keys if PurePosixPath(f"/{key}").match(f"/{name}")], path
        )
    kind = storage.get_file_info(name).type
    if kind == fs.FileType.Directory:
        inside = storage.get_file_info(fs.FileSelector(name))
        return storage, _tables_of_folder([info.path for info in inside if info.is_file], path)
    if kind == fs.FileType.NotFound:
        raise UserError("there is no such object", path, "check data.path")
    return storage, [name]
