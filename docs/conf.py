"""How the documentation is built: ``sphinx-build -W -n docs docs/_build``."""

import re
import sys
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path

from docutils.nodes import Element, TextElement
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.builders.text import TextBuilder
from sphinx.environment import BuildEnvironment
from sphinx.util.logging import getLogger

from conference_async import __version__
from conference_async.cli.app import app as cli

sys.path.insert(0, str(Path(__file__).parent))
import plain

project = "conference_async"
author = "The conference_async authors"
copyright = f"2026, {author}"  # noqa: A001 -- the name that Sphinx asks for
version = release = __version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_parser"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["deflist", "fieldlist"]
myst_heading_anchors = 3
default_role = "py:obj"

html_theme = "furo"
html_title = f"conference-async {version}"
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["beside.css"]
pygments_style = "default"
pygments_dark_style = "github-dark"

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
autodoc_default_options = {"members": True, "undoc-members": True}
maximum_signature_line_length = 80
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

SUMMARY = (
    "Brings phones into a Twilio conference from asyncio: awaited, typed, paced to the account's "
    "calls per second, and never dialled twice. Every page is here as plain text, and all of them "
    "in llms-full.txt."
)

OTHERS = ["Blueprint", "_pytest", "aiohttp", "opentelemetry", "psycopg", "redis", "web"]

nitpicky = True
nitpick_ignore_regex = [
    # Other projects' objects: the build must not need their inventories, nor the network.
    (r"py:.*", rf"({'|'.join([*sys.stdlib_module_names, *OTHERS])})\b.*"),
    (r"py:.*", r"(.*\.)?(T|_?FoundT(_co)?)"),  # type variables
    (r"py:class", r"(Redis|RedisCluster|AsyncConnectionPool)"),  # drivers' that are handed in
    (r"py:exc", r"(KeyError|TimeoutError|ValueError)"),
]

PUBLIC = [
    "conference_async",
    "conference_async.dialer",
    "conference_async.pace",
    "conference_async.waiting",
    "conference_async.webhooks",
    "conference_async.emulator",
]
"""The packages whose ``__all__`` is the promise; each name must be in the reference."""

WORDS = "conference_async.models.vocabulary"
"""Where the values' words are defined, which docstrings mean before other packages' names."""

_log = getLogger(__name__)


def _public_names() -> dict[str, str]:
    """Return the public name of each public object, by the name of where it is defined."""
    public: dict[str, str] = {}
    for package in PUBLIC:
        module = import_module(package)
        for name in module.__all__:
            home = getattr(getattr(module, name), "__module__", package)
            public.setdefault(f"{home}.{name}", f"{package}.{name}")
    return public


_PUBLIC_NAMES = _public_names()


def _resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: TextElement
) -> Element | None:
    """Find what a docstring or an annotation means by a name.

    Annotations name the module where a thing is defined, the reference the package where it is
    public. Docstrings name what their readers know from any of the packages. Lower-case words in
    backticks are parameters and fields of what is described; anything else must be found.
    """
    target = node["reftarget"]
    known = env.domains.python_domain.objects
    candidates = [f"{package}.{target}" for package in (PUBLIC[0], WORDS, *PUBLIC[1:])]
    for home, public in _PUBLIC_NAMES.items():
        if target == home or target.startswith(f"{home}."):
            candidates.append(public + target[len(home) :])
    candidates += [name for name in known if name.endswith(f".{target}") and target[0].isupper()]
    for candidate in candidates:
        if candidate in known:
            return env.domains.python_domain.resolve_xref(
                env, node.get("refdoc", ""), app.builder, "obj", candidate, node, shown
            )
    is_local = node["reftype"] == "obj" and re.fullmatch(r"[a-z_.0-9]+(\(\))?", target)
    return shown if is_local else None


def _keep_colons(
    _app: Sphinx, what: str, _name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    """Keep napoleon from taking the words before a field's first colon for its type."""
    if what in {"attribute", "data", "property"}:
        lines[:0] = ["..", ""]  # an empty comment, whose line has no colon


def _plain_defaults(
    _app: Sphinx,
    _what: str,
    _name: str,
    _obj: object,
    _options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Show a field that is empty by default as such, instead of how attrs says it."""
    return signature and signature.replace("= NOTHING", "= {}"), returns


def _append_commands(_app: Sphinx, docname: str, source: list[str]) -> None:
    """Write what every command says of itself below the page of the command line."""
    if docname == "reference/command-line":
        _title, _, commands = cli.generate_docs().partition("## conference-async ")
        source[0] += f"\n## conference-async {commands}"


def _check_complete(_app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of public names that the reference leaves out."""
    known = env.domains.python_domain.objects
    for public in _PUBLIC_NAMES.values():
        if public not in known:
            _log.warning("%s is public and not in the reference", public)


def _in_order(env: BuildEnvironment, name: str) -> Iterator[str]:
    """Yield a page's name and those below it, in the order of the tables of contents."""
    yield name
    for below in env.toctree_includes.get(name, ()):
        yield from _in_order(env, below)


def _write_plain(app: Sphinx, error: Exception | None) -> None:
    """Write every page as plain text beside the HTML, and ``llms.txt``, the index of them."""
    if error is not None or app.builder.format != "html":
        return
    texts = TextBuilder(app, app.env)
    texts.init()
    pages: list[plain.Page] = []
    for name in _in_order(app.env, app.config.root_doc):
        page = app.env.get_and_resolve_doctree(name, texts)
        page.walkabout(text := texts.create_translator(page, texts))
        pages.append(plain.Page(name, app.env.titles[name].astext(), text.body))
    index = partial(plain.index_of, title=project, summary=SUMMARY)
    plain.write(pages, Path(app.outdir), index)


def _point_to_plain(
    _app: Sphinx, name: str, _template: str, context: dict[str, object], doctree: object
) -> None:
    """Let the head of each page say where it is as plain text."""
    if doctree is not None:
        file = f"{name.rpartition('/')[2]}.txt"
        link = f'<link rel="alternate" type="text/plain" href="{file}">'
        context["metatags"] = f"{context.get('metatags', '')}{link}"


def setup(app: Sphinx) -> None:
    """Let the build call the functions above."""
    app.connect("autodoc-process-docstring", _keep_colons, priority=400)
    app.connect("autodoc-process-signature", _plain_defaults)
    app.connect("missing-reference", _resolve)
    app.connect("source-read", _append_commands)
    app.connect("env-check-consistency", _check_complete)
    app.connect("html-page-context", _point_to_plain)
    app.connect("build-finished", _write_plain)
