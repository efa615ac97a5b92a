"""Settings of the documentation's pages: the guide beside this file, and every docstring."""

import ast
from importlib.util import find_spec
from pathlib import Path

import featlab

project = "featlab"
author = "the featlab authors"
project_copyright = "the featlab authors, Apache-2.0"
version = release = featlab.__version__

extensions = [
    "myst_parser",
    "sphinx_copybutton",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]

# Make copies this folder into build/, so that what is generated never lies among the sources.
ROOT = Path(__file__).resolve().parents[2]
apidoc_modules = [
    {
        "path": str(ROOT / package),
        "destination": f"api/{package}",
        "max_depth": 3,
        "separate_modules": True,
        "automodule_options": {"members"},
    }
    for package in ("featlab", "models", "pipelines")
]
# Whatever is not installed is left out of signatures, not out of the pages.
autodoc_mock_imports = [
    name
    for name in ("accelerate", "kagglehub", "ray", "requests", "torch", "transformers")
    if find_spec(name) is None
]
autodoc_default_options = {
    "members": True,
    "show-inheritance": True,
    # An object has one page, that of the module it is written in.
    "ignore-module-all": True,
    # What scikit-learn adds to every estimator.
    "exclude-members": "set_fit_request, set_transform_request, set_predict_request",
}
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
# A name in single backticks is a link wherever there is such an object.
default_role = "py:obj"
napoleon_google_docstring = False
napoleon_use_param = False
napoleon_use_ivar = False
napoleon_use_rtype = False

exclude_patterns = []
# A word in the shape of an array, such as "dimension", is also the name of several attributes.
suppress_warnings = ["ref.python"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"featlab {release}"
html_show_sourcelink = False
# A copied console block is its commands, without what they print.
copybutton_exclude = ".linenos, .gp"

# The gallery: a page for each script of the tests, with its first line as heading and sentence.
GALLERY = Path(__file__).parent / "gallery"
GALLERY.mkdir(exist_ok=True)
for script in sorted((ROOT / "tests" / "examples").glob("[!tc]*.py")):
    source = script.read_text("utf-8")
    heading, _, sentence = (ast.get_docstring(ast.parse(source)) or "").partition(". ")
    (GALLERY / f"{script.stem}.md").write_text(
        f"# {heading}\n\n{sentence} The suite runs this script, and so can you: "
        f"`.venv/bin/python -m tests.examples.{script.stem}`.\n\n"
        f"```python\n{source}```\n",
        encoding="utf-8",
    )
