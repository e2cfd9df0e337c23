"""The files that a path names: a file, a glob or a folder, local or gs://."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from churn.errors import UserError, did_you_mean
from churn.files import scratch_folder

if TYPE_CHECKING:
    from pyarrow import fs

TABLES = (".csv", ".tsv", ".tab", ".txt", ".dat", ".parquet", ".pq")
PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
WILDCARDS = "*?["


class SourceFile(NamedTuple):
    """A file on this machine, and its name for people."""

    path: Path
    name: str


@contextmanager
def local_files(path: str) -> Iterator[list[SourceFile]]:
    """The files that `path` names, sorted by name; gs:// objects as copies that the block's end removes.

    Raises `UserError` if there is none.

    >>> with local_files("exports/*.csv") as sources:
    ...     print([source.name for source in sources])
    """
    if path.startswith("gs://"):
        with scratch_folder() as copies:
            yield _copy_from_cloud(path, copies)
    else:
        yield [SourceFile(Path(name), name) for name in list_files(str(Path(path).expanduser()))]


def list_files(path: str) -> list[str]:
    """The local files of a path: the file itself, the tables in a folder, or the matches of a glob."""
    local = Path(path)
    if local.is_file():
        return [path]
    if local.is_dir():
        return _tables_of_folder([str(file) for file in local.iterdir() if file.is_file()], path)
    if any(sign in path for sign in WILDCARDS):
        matches = Path(local.anchor).glob(str(local.relative_to(local.anchor)))
        return _sorted_matches([str(file) for file in matches if file.is_file()], path)
    if local.exists():
        raise UserError("this is a device or a pipe, not a file", path, "write the rows to a file first")
    neighbours = [file.name for file in local.parent.iterdir()] if local.parent.is_dir() else []
    hint = did_you_mean(local.name, neighbours)
    raise UserError(f"there is no such file{hint}", path, "name a file, a glob or a folder: data.path=...")


def _tables_of_folder(files: list[str], path: str) -> list[str]:
    """The files of a folder whose names are those of tables, sorted."""
    tables = sorted(file for file in files if _is_table(PurePosixPath(file).name))
    if not tables:
        others = ", ".join(sorted(PurePosixPath(file).name for file in files)[:10]) or "no files"
        raise UserError(
            f"there is no CSV or Parquet file in this folder, but {others}",
            path,
            "name a file, or a glob such as 'data.path=\"FOLDER/*/*.csv\"' for folders within",
        )
    return tables


def _sorted_matches(files: list[str], path: str) -> list[str]:
    """The matches of a glob, sorted; raises `UserError` if there is none."""
    if not files:
        raise UserError(
            "no file matches this pattern", path, "check data.path; * matches any characters except /"
        )
    return sorted(files)


def _is_table(name: str) -> bool:
    """Whether this is the name of a table; hidden files and files such as _SUCCESS are none."""
    stem = name.lower()
    for suffix in PACKED:
        stem = stem.removesuffix(suffix)
    return name[0] not in "._" and stem.endswith(TABLES)


def _copy_from_cloud(path: str, folder: Path) -> list[SourceFile]:
    """Copies in `folder` of the objects that a gs:// path names.

    The path may have the options of pyarrow's GcsFileSystem, e.g. gs://anonymous@bucket/x.csv.
    """
    from pyarrow import fs

    try:
        storage, keys = list_cloud_objects(path)
        sources = [SourceFile(folder / f"{i:06d}", f"gs://{key}") for i, key in enumerate(keys)]
        for source, key in zip(sources, keys, strict=True):
            fs.copy_files(key, str(source.path), storage, fs.LocalFileSystem())
    except (OSError, ValueError) as error:  # ValueError: a wrong address
        reason = str(error).split(" error_info=")[0]
        raise UserError(
            f"Google Cloud Storage refused: {reason}",
            path,
            "check the name; log in with `gcloud auth application-default login`, or write "
            "gs://anonymous@BUCKET/... for public data",
        ) from None
    return sources


def list_cloud_objects(path: str) -> tuple[fs.FileSystem, list[str]]:
    """The file system of a gs:// path, and the objects that the path names, as bucket/key, sorted."""
    from pyarrow import fs

    uri = urlsplit(path)
    query = f"{uri.query}&" * bool(uri.query) + "retry_limit_seconds=15"
    storage, bucket = fs.FileSystem.from_uri(f"gs://{uri.netloc}/?{query}")
    name = f"{bucket.rstrip('/')}{uri.path}".rstrip("/")
    if any(sign in name for sign in WILDCARDS):
        folder = name[: min(name.find(sign) for sign in WILDCARDS if sign in name)].rpartition("/")[0]
        below = storage.get_file_info(fs.FileSelector(folder, recursive=True))
        keys = [info.path for info in below if info.is_file]
        matches = [key for key in keys if PurePosixPath(f"/{key}").match(f"/{name}")]
        return storage, _sorted_matches(matches, path)
    kind = storage.get_file_info(name).type
    if kind == fs.FileType.Directory:
        inside = storage.get_file_info(fs.FileSelector(name))
        return storage, _tables_of_folder([info.path for info in inside if info.is_file], path)
    if kind == fs.FileType.NotFound:
        raise UserError("there is no such object", path, "check data.path")
    return storage, [name]
