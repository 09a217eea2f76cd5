"""Sphinx settings; pages with numbers or lists are written from the code at each build."""

import os
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from atlas import write_atlas  # noqa: E402
from written_pages import write_pages  # noqa: E402

import chione  # noqa: E402
from chione.explorer import write_page  # noqa: E402

project = "chione"
author = "The chione developers"
release = chione.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "mathml",  # beside this file
]
# A field of type Verdict is that of its own room; Sphinx sees two classes of that name.
suppress_warnings = ["ref.python"]
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_type_aliases = {"ActivationLike": "ActivationLike"}
add_module_names = False  # headings say how to call it
napoleon_custom_sections = [("Fields", "returns_style")]
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88  # a parameter a line where it would be longer
autodoc_class_signature = "separated"
exclude_patterns = ["_build"]
html_math_renderer = "mathml"
html_show_copyright = False
smartquotes_action = "qe"  # not dashes: --out is an option
html_theme = "alabaster"
html_static_path = ["looks"]
html_css_files = ["chione.css"]
html_theme_options = {
    "description": chione.__doc__,
    "page_width": "1180px",
    "body_max_width": "100%",
    "code_font_size": "0.78em",  # 100 columns stand beside the list of pages
}

# explorer.html beside index.html, so that pages link to ../explorer.html#activation=tanh
html_extra_path = ["_build/extra"]
(HERE / "_build" / "extra").mkdir(parents=True, exist_ok=True)
write_page(HERE / "_build" / "extra" / "explorer.html")

write_pages(HERE / "generated", pictures=os.environ.get("CHIONE_DOCS_PICTURES") != "0")
write_atlas(HERE / "generated" / "atlas")


def plain_references(app, what, name, obj, options, lines):
    """Turn numbered references into a list: many docstrings share a page, and its numbers."""
    cited = (re.sub(r"\[(\d)\]_", r"[\1]", line) for line in lines)
    # a lone star before a name, as in (out, *kernel), opens no emphasis
    cited = (re.sub(r"(?<![*\\\w`])\*(?=\w[^*]*$)", r"\\*", line) for line in cited)
    # the backslash keeps an author's initial from being read as the letter of a list
    lines[:] = [re.sub(r"^\.\. \[(\d)\] ", r"\1. \\", line) for line in cited]


def fields_of_results(app, what, name, obj, options, lines):
    """A result is read, not made by hand: its parameters are called fields."""
    if what == "class" and issubclass(obj, chione.AbstractResult):
        for k, line in enumerate(lines[:-1]):
            if line == "Parameters" and lines[k + 1].startswith("---"):
                lines[k : k + 2] = ["Fields", "------"]


def sentences_of_properties(app, what, name, obj, options, lines):
    """Napoleon would take what stands before the colon of a property's first line for its type."""
    if what == "property" and lines:
        lines[0] = lines[0].replace(": ", " \u2013 ", 1)


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", fields_of_results, priority=400)  # before napoleon
    app.connect("autodoc-process-docstring", sentences_of_properties, priority=400)
    app.connect("autodoc-process-docstring", plain_references)
