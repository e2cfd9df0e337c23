"""The files that a path names: a file, a glob or a folder, local or gs://; members of a zip archive."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from churn.data.sources import archives
from churn.errors import UserError, did_you_mean
from churn.scratch import scratch_folder

if TYPE_CHECKING:
    from pyarrow import fs

TABLES = (
    *(".csv", ".tsv", ".tab", ".txt", ".dat", ".parquet", ".pq", ".feather", ".arrow", ".orc", ".avro"),
    *(".json", ".jsonl", ".ndjson", ".xlsx", ".xlsm", ".xls", ".xlsb", ".ods", ".db", ".sqlite", ".sqlite3"),
    *(".duckdb", ".sav", ".zsav", ".dta", ".sas7bdat", ".xpt", ".rds", ".rda", ".rdata", ".arff"),
)
PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
WILDCARDS = "*?["
PARTITION = re.compile(r"([^=/]+)=([^/]*)(?<!\.zip)")  # a folder of Hive, Spark and Athena: KEY=VALUE
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
DELTA_LOG = "_delta_log"
# Folders of tables whose files are not their rows, by what lies in them.
LAKES = {f"{DELTA_LOG}/*": "Delta", ".hoodie/*": "Hudi", "metadata/*.metadata.json": "Iceberg"}


class SourceFile(NamedTuple):
    """A file on this machine, and its name for people."""

    path: Path
    name: str

    @property
    def keys(self) -> dict[str, str | None]:
        """The columns that the folders KEY=VALUE of its name hold."""
        return partition_keys(self.name)


def partition_keys(name: str) -> dict[str, str | None]:
    """The columns that the folders KEY=VALUE of a path hold; None is missing. An archive is no folder.

    >>> partition_keys("customers/month=2024-01/plan=__HIVE_DEFAULT_PARTITION__/1.parquet")
    {'month': '2024-01', 'plan': None}
    """
    folders = filter(None, map(PARTITION.fullmatch, name.split("/")[:-1]))
    pairs = ((unquote(found[1]), unquote(found[2])) for found in folders)
    return {key: None if value == NO_VALUE else value for key, value in pairs}


@contextmanager
def local_files(path: str) -> Iterator[list[SourceFile]]:
    """The files that `path` names, sorted by name; the block's end removes copies of gs:// and from archives.

    Raises `UserError` if there is none.

    >>> with local_files("exports/*.csv") as sources:
    ...     print([source.name for source in sources])
    """
    with scratch_folder() as folder:
        if path.startswith("gs://"):
            sources = _copy_from_cloud(path, folder)
        else:
            sources = [SourceFile(Path(name), name) for name in list_files(str(Path(path).expanduser()))]
        yield [unpacked for source in sources for unpacked in _members(source, folder)]


def _members(source: SourceFile, folder: Path) -> Iterator[SourceFile]:
    """The tables in a zip archive, or the file itself if it is none."""
    if not archives.is_archive(source.path, source.name):
        yield source
        return
    members = archives.extract(source.path, source.name, _is_table, Path(tempfile.mkdtemp(dir=folder)))
    for name, path in members.items():
        yield from _members(SourceFile(path, f"{source.name}/{name}"), folder)


def list_files(path: str) -> list[str]:
    """The local files of a path: the file itself, the tables in a folder, or the matches of a glob.

    A folder's folders KEY=VALUE belong to it. Raises `UserError` if there is none, and for a Delta, Hudi or
    Iceberg table, whose files are not its rows.
    """
    local = Path(path)
    if local.is_file():
        _refuse_files_of_lake([path])
        return [path]
    if local.is_dir():
        _refuse_files_of_lake([str(local / "any")])
        return _tables_of_folder([str(file) for file in _files_below(local)], path)
    if any(sign in path for sign in WILDCARDS):
        matches = Path(local.anchor).glob(str(local.relative_to(local.anchor)))
        files = _sorted_matches([str(file) for file in matches if file.is_file()], path)
        _refuse_files_of_lake(files)
        return files
    if local.exists():
        raise UserError("this is a device or a pipe, not a file", path, "write the rows to a file first")
    neighbours = [file.name for file in local.parent.iterdir()] if local.parent.is_dir() else []
    hint = did_you_mean(local.name, neighbours)
    raise UserError(f"there is no such file{hint}", path, "name a file, a glob or a folder that exists")


def is_matched(file: str, pattern: str) -> bool:
    """Whether a local file, which need not exist yet, is among those that a pattern names.

    >>> is_matched("exports/scores.csv", "exports/*.csv")
    True
    """
    if "://" in file + pattern:
        return False
    whole, name = (Path(path).expanduser().resolve() for path in (pattern, file))
    return any(sign in pattern for sign in WILDCARDS) and name.match(str(whole))


def is_delta(path: str) -> bool:
    """Whether a local folder is a Delta table."""
    return (Path(path).expanduser() / DELTA_LOG).is_dir()


def _refuse_files_of_lake(files: list[str]) -> None:
    """Raise `UserError` for files that belong to a Delta, Hudi or Iceberg table."""
    for folder in {Path(file).parent for file in files}:
        while PARTITION.fullmatch(folder.name):
            folder = folder.parent
        _refuse_lake(lambda pattern, folder=folder: any(folder.glob(pattern)), str(folder))  # type: ignore[misc]


def _refuse_lake(exists: Callable[[str], bool], path: str) -> None:
    """Raise `UserError` for a folder whose files also hold rows that were overwritten or deleted.

    `exists` says whether something in the folder matches a pattern.
    """
    for pattern, kind in LAKES.items():
        if exists(pattern):
            raise UserError(
                f"this is a table of {kind}: its files also hold rows that were overwritten or deleted",
                path,
                "export its current rows as Parquet, e.g. in Spark: spark.table('NAME').write.parquet('DIR')"
                + "; or name the table's folder on this machine, not its files" * (kind == "Delta"),
            )


def _files_below(folder: Path) -> Iterator[Path]:
    """The files of a folder and of its folders KEY=VALUE."""
    for entry in folder.iterdir():
        if entry.is_file():
            yield entry
        elif entry.is_dir() and PARTITION.fullmatch(entry.name):
            yield from _files_below(entry)


def _tables_of_folder(files: list[str], path: str) -> list[str]:
    """The files of a folder whose names are those of tables, sorted."""
    tables = sorted(file for file in files if _is_table(PurePosixPath(file).name))
    if not tables:
        others = ", ".join(sorted(PurePosixPath(file).name for file in files)[:10]) or "no files"
        raise UserError(
            f"there is no table in this folder, but {others}",
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
    return name[0] not in "._" and (stem.endswith(TABLES) or name.lower().endswith(".zip"))


def _copy_from_cloud(path: str, folder: Path) -> list[SourceFile]:
    """Copies in `folder` of the objects that a gs:// path names.

    The path may have the options of pyarrow's GcsFileSystem, e.g. gs://anonymous@bucket/x.csv.
    """
    from pyarrow import fs

    storage, keys = list_cloud_objects(path)
    sources = [SourceFile(folder / f"{i:06d}", f"gs://{key}") for i, key in enumerate(keys)]
    with _explain_cloud(path):
        for source, key in zip(sources, keys, strict=True):
            fs.copy_files(key, str(source.path), storage, fs.LocalFileSystem())
    return sources


@contextmanager
def _explain_cloud(path: str) -> Iterator[None]:
    """Turn what Cloud Storage refuses into `UserError`."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a wrong address
        reason = str(error).split(" error_info=")[0]
        if "Could not create a OAuth2 access token" in reason:
            reason = "there are no credentials"
        raise UserError(
            f"Google Cloud Storage refused: {reason}",
            path,
            "check the name; log in with `gcloud auth application-default login`, or write "
            "gs://anonymous@BUCKET/... for public data",
        ) from None


def list_cloud_objects(path: str) -> tuple[fs.FileSystem, list[str]]:
    """The file system of a gs:// path, and the objects that the path names, as bucket/key, sorted."""
    with _explain_cloud(path):
        return _list_cloud_objects(path)


def _list_cloud_objects(path: str) -> tuple[fs.FileSystem, list[str]]:
    from pyarrow import fs

    place, *more = re.split(r"\?(?=\w+=)", path.removeprefix("gs://"), maxsplit=1)  # else ? is a wildcard
    (host, _, key), options = place.partition("/"), "".join(more)
    query = f"{options}&" * bool(options) + "retry_limit_seconds=15"
    storage, bucket = fs.FileSystem.from_uri(f"gs://{host}/?{query}")
    name = f"{bucket.rstrip('/')}/{key}".rstrip("/")
    if any(sign in name for sign in WILDCARDS):
        folder = name[: min(name.find(sign) for sign in WILDCARDS if sign in name)].rpartition("/")[0]
        keys = _objects_below(storage, folder)
        matches = [key for key in keys if PurePosixPath(f"/{key}").match(f"/{name}")]
        return storage, _sorted_matches(matches, path)
    kind = storage.get_file_info(name).type
    if kind == fs.FileType.Directory:
        below = [key.removeprefix(f"{name}/") for key in _objects_below(storage, name)]
        _refuse_lake(lambda pattern: any(fnmatch(key, pattern) for key in below), path)
        own = [key for key in below if all(map(PARTITION.fullmatch, key.split("/")[:-1]))]
        return storage, _tables_of_folder([f"{name}/{key}" for key in own], path)
    if kind == fs.FileType.NotFound:
        raise UserError("there is no such object", path, "check data.path")
    return storage, [name]


def _objects_below(storage: fs.FileSystem, folder: str) -> list[str]:
    from pyarrow import fs

    found = storage.get_file_info(fs.FileSelector(folder, recursive=True))
    return [info.path for info in found if info.is_file]
