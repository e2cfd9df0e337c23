"""What the operating system refuses, as one message: what happened, where, and what to do."""

from __future__ import annotations

import errno
import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

from churn.errors import UserError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
UNKNOWN = "HYDRA_FULL_ERROR=1 churn ... shows where in the program"
ADVICE = {
    errno.ENOSPC: "free some space, or name a folder on another disk, and run the same command again",
    errno.EDQUOT: "free some space, or name a folder on another disk, and run the same command again",
    errno.EFBIG: "raise the limit (ulimit -f unlimited), and run the same command again",
    errno.EROFS: "name a folder that can be written",
    errno.EACCES: "check owner and permissions, or name another path",
    errno.EPERM: "check owner and permissions, or name another path",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "a file is where a folder belongs: name another path, or move the file",
    errno.EEXIST: "something else has this name: name another path, or move it",
    errno.EISDIR: "a folder is where a file belongs: name another path, or move the folder",
    errno.ENAMETOOLONG: "choose a shorter name: at most 255 bytes in each part of a path",
    errno.ELOOP: "a link leads back to itself: name another path",
    errno.ENOMEM: "close other programs, or take a machine with more memory",
    errno.EMFILE: "raise the limit of open files (ulimit -n 4096)",
    errno.EPIPE: "the program that reads the output has ended",
    errno.EIO: "check the disk",
}
# The words of SQLite, which has no numbers for them when MLflow passes them on.
SQLITE = {
    "database or disk is full": errno.ENOSPC,
    "attempt to write a readonly database": errno.EROFS,
    "disk I/O error": errno.EIO,
    "unable to open database file": errno.EACCES,
}
# Libraries that pass the system's refusals on as text. Elsewhere such a text may be anything.
PASSING_ON = ("tensorflow", "sqlite3", "sqlalchemy", "mlflow", "pyarrow", "h5py", "zipfile", "_catboost")


def refusal_of(error: BaseException) -> UserError | None:
    """The message for what the operating system refused, or None for any other error.

    Looks at the causes of the error, too: libraries wrap what the system told them.
    """
    chain = list(_causes(error))
    refused = (cause for cause in chain if isinstance(cause, OSError) and _is_of_system(cause))
    if (first := next(refused, None)) is not None:
        return _explain(first)
    return next((found for cause in chain if (found := _refusal_in_text(cause))), None)


def _is_of_system(error: OSError) -> bool:
    """Whether the system raised it: some libraries derive their own errors from OSError."""
    return error.errno is not None or type(error).__module__ in ("builtins", "shutil")


def _passes_on(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in PASSING_ON


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, its cause, the cause's cause ..."""
    while error is not None:
        yield error
        error = error.__cause__ or (error.__context__ if _passes_on(error) else None)


def _explain(error: OSError) -> UserError:
    """The message for an OSError."""
    code = error.errno or _code_in(str(error)) or 0
    what = error.strerror or (str(error).splitlines() or [type(error).__name__])[0]
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    detail = _needed(code, names[0] if names else None, getattr(error, "needed", None))
    where = " -> ".join(_shortened(name) for name in names)
    return UserError(
        f"the operating system refused: {what}{detail}",
        where,
        ADVICE.get(code, UNKNOWN),
    )


def _shortened(name: str) -> str:
    """A path of at most 300 characters."""
    return name if len(name) <= 300 else f"{name[:140]} ... {name[-140:]} ({len(name)} characters)"


def _refusal_in_text(error: BaseException) -> UserError | None:
    """The message for an error whose text alone says what the system refused."""
    text = str(error)
    code = _code_in(text) if _passes_on(error) else None
    if code is None:
        return None
    first = text.splitlines()[0][:300]
    detail = _needed(code, None, None)
    return UserError(f"the operating system refused: {os.strerror(code)}{detail}", first, ADVICE[code])


def _code_in(text: str) -> int | None:
    """The error number whose words are in a text, or None."""
    words = {os.strerror(code): code for code in ADVICE if code != errno.ENOENT} | SQLITE
    return next((code for word, code in words.items() if word.casefold() in text.casefold()), None)


def _needed(code: int, name: str | None, needed: int | None) -> str:
    """How much was to be written, and how much there is, as far as that is known."""
    parts = [] if needed is None else [f"{needed:,} bytes are needed"]
    if code in NO_SPACE and name and (folder := _existing_folder(name)):
        parts.append(f"{shutil.disk_usage(folder).free:,} bytes are free in {folder}")
    elif code == errno.EFBIG:
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        parts += [] if limit == resource.RLIM_INFINITY else [f"a file may have {limit:,} bytes here"]
    return f" ({'; '.join(parts)})" if parts else ""


def _existing_folder(name: str) -> Path | None:
    """The nearest folder above a path that exists, if any."""
    try:
        path = Path(name).absolute()
        return next((folder for folder in (path, *path.parents) if folder.is_dir()), None)
    except OSError:
        return None
