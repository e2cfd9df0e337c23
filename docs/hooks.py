"""What MkDocs cannot know: pages made of executed notebooks and of docstrings, and the order of all pages."""

import re
from pathlib import Path

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
EXECUTED = ROOT / "runs" / "notebooks"  # by `make docs`
PACKAGE = ROOT / "src" / "churn"
SHOWN = {"show_root_heading": True, "show_root_full_path": True, "show_submodules": True}


def chapters() -> list[Path]:
    """The notebooks, in reading order."""
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


def modules() -> list[str]:
    """The modules and rooms of the package by name."""
    found = [p.stem for p in PACKAGE.glob("*.py")] + [p.parent.name for p in PACKAGE.glob("*/__init__.py")]
    return sorted(name for name in found if not name.startswith("__"))


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The navigation, and a script of our own in place of the one that the offline plugin fetches."""
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
    """The pages that are no files of docs/."""
    made = {f"reference/{name}.md": reference(name) for name in modules()}
    made["reference/index.md"] = contents()
    for page in EXECUTED.glob("03_*/runs/latest/report.html"):
        made[f"examples/{page.name}"] = page.read_text()
    for path in chapters():
        made |= chapter(EXECUTED / path.name)
    for uri, content in made.items():
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Guides link to files of the repository, which are not in the site: their paths are named instead."""
    if "/" in page.file.src_uri:
        return markdown
    return re.sub(r"\[([^\]]+)\]\(\.\./([^)]+)\)", outside, markdown)


def outside(link: re.Match[str]) -> str:
    """The text of a link and, where it does not say it, the path."""
    text, path = link[1], link[2].partition("#")[0]
    return text if path.endswith(text.strip("`")) else f"{text} (`{path}`)"


def chapter(executed: Path) -> dict[str, str]:
    """The page of an executed notebook and its pictures, by their place in the site."""
    lines, pictures = [], {}
    for number, cell in enumerate(nbformat.read(executed, as_version=4).cells):
        if cell.cell_type == "markdown":
            lines.append(cell.source.replace("](../docs/", "](../").replace(".ipynb)", ".md)"))
            continue
        lines.append(f"```python\n{cell.source}\n```")
        for output in merged(cell.outputs):
            data = output.get("data", {})
            if "image/svg+xml" in data:
                place = f"{executed.stem}/{number}-{len(pictures)}.svg"
                pictures[f"walkthrough/{place}"] = data["image/svg+xml"]
                title = re.search(r'title="([^"]+)"', cell.source)
                lines.append(f"![{title[1] if title else 'figure'}]({place})")
            elif "text/html" in data:
                lines.append(re.sub(r"<style.*?</style>|\n\s*", "", data["text/html"], flags=re.S))
            else:
                said = output.get("text") or data.get("text/plain") or "\n".join(output.get("traceback", []))
                said = re.sub(r"\x1b\[[0-9;]*m", "", said).rstrip()
                lines.append(f"```{{ .text .output }}\n{said}\n```")
    return {f"walkthrough/{executed.stem}.md": "\n\n".join(lines)} | pictures


def merged(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """The outputs of a cell with what was printed line by line as one."""
    found: list[nbformat.NotebookNode] = []
    for output in outputs:
        if found and "text" in found[-1] and "text" in output:
            found[-1].text += output.text
        else:
            found.append(output)
    return found


def reference(name: str) -> str:
    """The page of a module: MkDocstrings fills it with docstrings."""
    options = "".join(f"      {key}: {str(value).lower()}\n" for key, value in SHOWN.items())
    return f"---\ntitle: churn.{name}\n---\n\n::: churn.{name}\n    options:\n{options}"


def contents() -> str:
    """One line for each module: the first sentence of its docstring."""
    lines = []
    for name in modules():
        file = PACKAGE / f"{name}.py"
        text = (file if file.exists() else PACKAGE / name / "__init__.py").read_text()
        summary = text.removeprefix('"""').partition("\n")[0].removesuffix('"""')
        lines.append(f"| [churn.{name}]({name}.md) | {summary} |")
    return "\n".join(
        ["# Reference\n\nEvery public function, from its docstring.\n\n| | |\n|---|---|", *lines]
    )
