"""How `make docs` builds these pages: Sphinx reads the Markdown as it is, and the README beside it.

The source folder is the project's root (`sphinx-build -c docs . docs/_build`), so a link from a page to the README or
to a test is the same relative link here and on a code host. Nothing is fetched.
"""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

PACKAGE = Path(__file__).resolve().parent.parent / "hardsession" / "__init__.py"

project = "hardsession"
release = version = re.findall(r'^__version__ = "(.+)"$', PACKAGE.read_text("utf-8"), re.MULTILINE)[0]

extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md"]
exclude_patterns = [".*", "dist", "docs/_build", "examples", "hardsession", "requirements", "tests"]

myst_heading_anchors = 3  # `#profiles` in a link, as code hosts spell it

html_theme = "furo"
html_title = f"hardsession {release}"
html_copy_source = False
html_show_copyright = False


def setup(app: Sphinx) -> None:
    """Make the lists of the index the navigation, and lead whoever opens the folder to the index."""
    app.connect("source-read", add_navigation)
    app.connect("build-finished", lead_to_index)


def add_navigation(_app: Sphinx, page: str, source: list[str]) -> None:
    """Give the index a hidden toctree for each of its sections: the pages that the section's list links."""
    if page == root_doc:
        for title, text in re.findall(r"^## (.+)\n((?s:.+?))(?=^## |\Z)", source[0], re.MULTILINE):
            pages = "\n".join(re.findall(r"^- \[.+?\]\((.+?\.md)\)", text, re.MULTILINE))
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{pages}\n```\n"


def lead_to_index(app: Sphinx, _failure: Exception | None) -> None:
    """The root document is not where a server or a person looks for it."""
    if app.builder.format == "html":
        page = f'<!doctype html><title>{project}</title><meta http-equiv="refresh" content="0; url={root_doc}.html">\n'
        Path(app.outdir, "index.html").write_text(page, "utf-8")
