"""Run a notebook with a new kernel in its own folder: execute.py NOTEBOOK OUTPUT.

The solutions of the exercises run after it in the same kernel. Prints the seconds; a cell that fails ends the
program with its error.
"""

import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

SECONDS = 300  # time limit of a cell


def main() -> None:
    notebook, output = map(Path, sys.argv[1:])
    work = output.with_suffix("")  # keeps the files that the notebook writes
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    book = nbformat.read(notebook, as_version=4)
    cells = list(book.cells)
    book.cells = cells + solutions(cells)
    resources, began = {"metadata": {"path": str(work)}}, time.perf_counter()
    with tempfile.TemporaryDirectory() as sockets:  # private files; TCP ports would be open to other users
        transport = Config(KernelManager={"transport": "ipc", "ip": f"{sockets}/kernel"})
        NotebookClient(book, timeout=SECONDS, resources=resources, config=transport).execute()
    print(f"{notebook.name:28} {time.perf_counter() - began:5.1f} s", flush=True)
    book.cells = cells
    nbformat.write(book, output)


def solutions(cells: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """The Python blocks in the text cells, as code cells."""
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.S | re.M)
    return [nbformat.v4.new_code_cell(block) for block in blocks]


if __name__ == "__main__":
    main()
