"""What is wrong with a YAML file that cannot be read: one message with the file, the line and what to do."""

from __future__ import annotations

from traceback import walk_tb

import yaml  # type: ignore[import-untyped]

from churn.errors import UserError

_REMEDIES = {  # what PyYAML says: what to do
    "'\\t'": "begin lines with blanks instead of tabs",
    "mapping values": 'write a text with ": " in it in quotes',
    "duplicate key": "keep one of the two",
    "another document": "keep one document: remove the line ---",
    "expected ',' or": "close the bracket that is opened there",
    "end of stream": "close the quotes that are opened there",
}
_ANY_REMEDY = "write texts with signs such as : # * & ! % @ [ { in quotes"


def unreadable_file(error: Exception) -> UserError | None:
    """What is wrong with the file that an error of reading YAML is about; None for any other error."""
    if isinstance(error, yaml.YAMLError):
        return _no_yaml(error)
    if isinstance(error, UnicodeDecodeError) and (path := _opened_by_hydra(error)):
        return UserError("this file is not UTF-8", path, "save it as UTF-8 in your editor")
    return None


def _no_yaml(error: yaml.YAMLError) -> UserError:
    """The place and the remedy of an error of PyYAML."""
    problem = str(getattr(error, "problem", "") or str(error).partition("\n")[0])
    context = str(getattr(error, "context", ""))
    is_unclosed = "flow" in context or "quoted" in context
    mark = getattr(error, "context_mark" if is_unclosed else "problem_mark", None)
    name = getattr(error, "name", "")
    where = f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(name)
    do = next((remedy for words, remedy in _REMEDIES.items() if words in problem), _ANY_REMEDY)
    return UserError(f"this is no YAML: {problem}", where, do)


def _opened_by_hydra(error: Exception) -> str:
    """The file of the configuration that was read when an error came; "" if none was."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    reader = "hydra._internal.core_plugins.file_config_source"
    paths = [frame.f_locals.get("full_path") for frame in frames if frame.f_globals["__name__"] == reader]
    return str(paths[-1]) if paths else ""
