# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""How Sphinx builds these pages: ``sphinx-build -W -n docs build/docs``."""
import pkgutil
import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

project = 'mmw2s'
author = 'mmw2s contributors'
copyright = f'2026, {author}'
version = release = runpy.run_path(str(ROOT / 'mmw2s' /
                                       'version.py'))['__version__']

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
exclude_patterns = ['results/*/*']  # reports are records, shown by links
html_theme = 'furo'
html_title = f'mmw2s {version}'

# The anchors of headings, as GitHub makes them.
myst_heading_anchors = 3

autodoc_typehints = 'none'  # the docstrings name the types
autodoc_member_order = 'bysource'
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True


def existing(app, env, node, contnode):
    """Take a name that has no page as text, provided that it exists."""
    if node.get('refdomain') != 'py':
        return None
    if not node['reftarget'].startswith('mmw2s.'):
        return contnode  # another package's, or a type in words
    try:
        pkgutil.resolve_name(node['reftarget'])
    except (AttributeError, ImportError):
        return None  # which Sphinx tells
    return contnode


def setup(app):
    app.connect('missing-reference', existing)
