"""Settings of the documentation's pages: the guide beside this file, and every docstring."""

from importlib.util import find_spec
from pathlib import Path

import featlab

project = "featlab"
author = "the featlab authors"
project_copyright = "the featlab authors, Apache-2.0"
version = release = featlab.__version__

extensions = [
    "myst_parser",
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
html_theme = "alabaster"
html_theme_options = {
    "description": "Features that tell which of two answers a person prefers",
    "fixed_sidebar": True,
    "page_width": "1100px",
}
html_show_sourcelink = False
