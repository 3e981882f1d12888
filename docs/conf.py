"""The documentation site, from README.md, the pages under docs/ and the docstrings: `make docs` (Sphinx).

The folder of sources is the repository, so that one link leads to the same page here and on GitHub.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from myst_parser.parsers.sphinx_ import MystParser
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("seqlight", "seq_modules", "datamodules")

project = "seqlight"
extensions = [
    "myst_parser",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
root_doc = "README"
include_patterns = ["README.md", "CONTRIBUTING.md", "benchmarks/README.md", "docs/**"]
exclude_patterns = [".*", "build", "dist", "runs", "**/runs", "wandb", *PACKAGES]  # folders without a page
exclude_patterns.append("docs/api/*/modules.rst")  # apidoc's list of one package
# The sidebar: captions, and the pages below each. A pattern takes what no pattern before it has taken.
SIDEBAR = {
    "Tutorials": [
        f"docs/tutorials/{page}"
        for page in (
            "first_model",
            "own_data",
            "own_system",
            "in_the_browser",
            "four_gpus",
            "sweeps",
            "wandb",
            "export",
        )
    ],
    "Notebooks": [
        f"docs/notebooks/{page}"
        for page in ("README", "parity", "gpt", "classification", "translation", "music", "perceptron")
    ],
    "Lessons": ["docs/lessons/shapes", "docs/lessons/*"],
    "Notes": ["docs/notes/*"],
    "Results": ["docs/results/README", "docs/results/*", "docs/results/*/README", "docs/results/**"],
    "Reference": ["docs/api", *(f"docs/api/{package}/{package}" for package in PACKAGES), "benchmarks/README"],
    "Project": ["CONTRIBUTING", "docs/log", "docs/decisions/README", "docs/decisions/*"],
}

# A folder for each package, since a run of apidoc clears its folder. In Sphinx 9.0 pages of packages do not take
# apidoc's setting for the options of automodule, but this one.
os.environ["SPHINX_APIDOC_OPTIONS"] = "members,show-inheritance"
apidoc_modules = [
    {"path": str(ROOT / package), "destination": f"docs/api/{package}", "module_first": True, "max_depth": 1}
    for package in PACKAGES
]
autodoc_default_options = {"ignore-module-all": True}  # a class is described where it is defined
autodoc_inherit_docstrings = False  # those of torch and Lightning refer to their own pages
autodoc_preserve_defaults = True
autodoc_mock_imports = ["gradio"]  # of the extra web, which the pages do not need
default_role = "literal"
nitpicky = True  # what docstrings and signatures name of ours must be described; not type variables and aliases
nitpick_ignore_regex = [
    ("py:.*", rf"(?!({'|'.join(PACKAGES)})\.).*"),
    ("py:(class|obj)", r".*\.(Group|Ids|Item)"),
]
maximum_signature_line_length = 100
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes stand in the class's own text, and are not described a second time

highlight_language = "none"
myst_heading_anchors = 4
html_theme = "furo"
html_title = "seqlight"
html_static_path = html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
html_use_index = False  # the search finds more


class NotebookParser(MystParser):
    """Reads a notebook as Markdown: its texts, its code, and what its cells have printed and drawn.

    myst-nb would do so too, and brings a kernel, a cache and a database to execute what has been executed already.
    """

    supported = ("ipynb",)

    def parse(self, inputstring: str, document: Any) -> None:
        """Fills the document."""
        cells = json.loads(inputstring)["cells"]
        super().parse("\n\n".join(part for cell in cells for part in markdown_of(cell)), document)


def markdown_of(cell: dict[str, Any]) -> Iterator[str]:
    """The parts of a cell. The badge is a link, since no page loads anything from outside."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source.replace("![Open in Colab][badge]", "Open in Colab")
        return
    yield f"``````python\n{source}\n``````"
    for output in cell["outputs"]:
        if "text" in output:
            yield f"``````text\n{''.join(output['text'])}\n``````"
        if picture := "".join(output.get("data", {}).get("image/png", "")):
            yield f"![what the cell draws](data:image/png;base64,{picture.strip()})"


def set_up_page(app: Sphinx, docname: str, source: list[str]) -> None:
    """Gives the front page its sidebar, and turns links to Python code into links to its reference."""
    if docname == root_doc:
        for caption, pages in SIDEBAR.items():
            source[0] += "\n".join(
                ["\n\n```{toctree}", f":caption: {caption}", ":hidden:", ":glob:", "", *pages, "```"]
            )
    folder = (ROOT / docname).parent

    def linked(match: re.Match[str]) -> str:
        target = (folder / match[1]).resolve()
        if (target / "README.md").is_file():
            return f"]({match[1].rstrip('/')}/README.md)"
        if any(target.is_relative_to(ROOT / package) for package in PACKAGES) and target.suffix in ("", ".py"):
            return f"](#{'.'.join(target.relative_to(ROOT).with_suffix('').parts)})"
        return match[0]

    if app.env.doc2path(docname).suffix == ".md":
        source[0] = re.sub(r"\]\(([\w./-]+)\)", linked, source[0])


def mark_up(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Docstrings have ``code`` and roles as their only markup: in |x|, a * b and cv_ the signs stand for themselves.

    A letter with a full stop begins no list, and a glossary of letters keeps its columns.
    """
    kept, sign = r"``[^`]*``|^ *\* |^Letters\n(?:    .*\n)+", r"[*|]|(?<=\w)_(?!\w)|(?<=: )[A-Z](?=\.(?: |$))"
    lines[:] = re.sub(
        rf"({kept})|({sign})",
        lambda match: match[1].replace("Letters\n", "Letters::\n\n") if match[1] else rf"\{match[2]}",
        "\n".join(lines),
        flags=re.MULTILINE,
    ).split("\n")


def copy_front_page(app: Sphinx, exception: Exception | None) -> None:
    """A web server looks for index.html."""
    if exception is None and app.builder.format == "html":
        shutil.copyfile(app.outdir / "README.html", app.outdir / "index.html")


def setup(app: Sphinx) -> None:
    """Sphinx calls this."""
    app.add_source_suffix(".ipynb", "ipynb")
    app.add_source_parser(NotebookParser)
    app.connect("source-read", set_up_page)
    app.connect("autodoc-process-docstring", mark_up, priority=400)  # before napoleon, which makes markup
    app.connect("build-finished", copy_front_page)
