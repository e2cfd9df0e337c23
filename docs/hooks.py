"""Hooks of MkDocs: pages from executed notebooks and from docstrings, and the navigation."""

import re
from pathlib import Path

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
EXECUTED = ROOT / "runs" / "notebooks"  # `make docs` writes it
PACKAGE = ROOT / "src" / "churn"
SHOWN = {"show_root_heading": True, "show_root_full_path": True, "show_submodules": True}


def chapters() -> list[Path]:
    """The notebooks, in reading order."""
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


def modules() -> list[str]:
    """Names of the package's modules and wings."""
    names = [p.stem for p in PACKAGE.glob("*.py")] + [p.parent.name for p in PACKAGE.glob("*/__init__.py")]
    return sorted(name for name in names if not name.startswith("__"))


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Set the navigation, and replace the script that the offline plugin would fetch by a local one."""
    guides = sorted(path.name for path in (ROOT / "docs").glob("*.md") if path.name != "index.md")
    config.nav = [
        {"Start": "index.md"},
        {"Walkthrough": [f"walkthrough/{path.stem}.md" for path in chapters()]},
        {"Guides": guides},
        {"Reference": ["reference/index.md", *({n: f"reference/{n}.md"} for n in modules())]},
    ]
    config.extra["polyfills"] = ["worker.js"]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not files of docs/."""
    pages = {f"reference/{name}.md": reference(name) for name in modules()}
    pages["reference/index.md"] = contents()
    for report in EXECUTED.glob("03_*/runs/latest/report.html"):
        pages[f"examples/{report.name}"] = report.read_text().replace("card.md", "card.html")
        for card in (report.parent / "bundle" / "assets.extra").glob("card.*"):  # the report links to it
            pages[f"examples/bundle/assets.extra/{card.name}"] = card.read_text()
    for path in chapters():
        pages |= chapter(EXECUTED / path.name)
    for uri, content in pages.items():
        files.append(File.generated(config, uri, content=content))
    return files


def on_post_page(output: str, **_: object) -> str:
    """Name the dialog, keep inner lists out of the landmarks, and make no header of an empty cell."""
    output = output.replace('role="dialog">', 'role="dialog" aria-label="Search">')
    output = re.sub(r"<th([^>]*)></th>", r"<td\1></td>", output)
    return re.sub(r'<nav class="md-nav" aria-label="[^"]*"', '<nav class="md-nav" role="none"', output)


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Replace links from the guides to files of the repository, which are not in the site, by their paths."""
    if "/" in page.file.src_uri:
        return markdown
    return re.sub(r"\[([^\]]+)\]\(\.\./([^)]+)\)", link_as_text, markdown)


def link_as_text(link: re.Match[str]) -> str:
    """The text of a link, with the path unless the text contains it."""
    text, path = link[1], link[2].partition("#")[0]
    return text if path.endswith(text.strip("`")) else f"{text} (`{path}`)"


def chapter(executed: Path) -> dict[str, str]:
    """The page of an executed notebook and its pictures, by their paths in the site."""
    lines, pictures = [], {}
    for number, cell in enumerate(nbformat.read(executed, as_version=4).cells):
        if cell.cell_type == "markdown":
            lines.append(cell.source.replace("](../docs/", "](../").replace(".ipynb)", ".md)"))
            continue
        lines.append(f"```python\n{cell.source}\n```")
        for output in merge_texts(cell.outputs):
            data = output.get("data", {})
            if "image/svg+xml" in data:
                file = f"{executed.stem}/{number}-{len(pictures)}.svg"
                pictures[f"walkthrough/{file}"] = data["image/svg+xml"]
                title = re.search(r'title="([^"]+)"', cell.source)
                lines.append(f"![{title[1] if title else 'figure'}]({file})")
            elif "text/html" in data:
                lines.append(re.sub(r"<style.*?</style>|\n\s*", "", data["text/html"], flags=re.S))
            else:
                text = output.get("text") or data.get("text/plain") or "\n".join(output.get("traceback", []))
                text = re.sub(r"\x1b\[[0-9;]*m", "", text).rstrip()  # without colours
                lines.append(f"```{{ .text .output }}\n{text}\n```")
    return {f"walkthrough/{executed.stem}.md": "\n\n".join(lines)} | pictures


def merge_texts(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """The outputs of a cell, with consecutive printed lines as one output."""
    merged: list[nbformat.NotebookNode] = []
    for output in outputs:
        if merged and "text" in merged[-1] and "text" in output:
            merged[-1].text += output.text
        else:
            merged.append(output)
    return merged


def reference(name: str) -> str:
    """The page of a module, which mkdocstrings fills with its docstrings."""
    options = "".join(f"      {key}: {str(value).lower()}\n" for key, value in SHOWN.items())
    return f"---\ntitle: churn.{name}\n---\n\n::: churn.{name}\n    options:\n{options}"


def contents() -> str:
    """The index of the reference: the first sentence of each module's docstring."""
    lines = []
    for name in modules():
        file = PACKAGE / f"{name}.py"
        text = (file if file.exists() else PACKAGE / name / "__init__.py").read_text()
        summary = text.removeprefix('"""').partition("\n")[0].removesuffix('"""')
        lines.append(f"| [churn.{name}]({name}.md) | {summary} |")
    return "\n".join(
        ["# Reference\n\nEvery public function, from its docstring.\n\n| | |\n|---|---|", *lines]
    )
