"""The shape of the package: what is public, how large its parts are, what importing it costs."""

import ast
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import conference_async
from tests.conftest import UNMEASURED

PACKAGE = Path(conference_async.__file__).parent
PROJECT = Path(__file__).parents[1]
PUBLIC = sorted({*dir(conference_async)} - {"__version__"})
SOURCES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 400
SAYING_NOTHING = {"utils", "util", "helpers", "common", "misc", "base", "core", "types"}
EXTRAS = (
    *("redis", "psycopg", "procrastinate", "sqlite3"),
    *("rich", "cyclopts", "phonenumbers", "opentelemetry"),
)
HEAVY = """
import json, sys
{}
print(json.dumps([name for name in {!r} if name in sys.modules]))
"""
ANEW = """
import importlib, sys

def import_anew(name):
    for loaded in [each for each in sys.modules if each.partition(".")[0] == "conference_async"]:
        del sys.modules[loaded]
    return importlib.import_module(name)
"""
ONE_BY_ONE = f"""{ANEW}
for name in sys.argv[1:]:
    try:
        import_anew(name)
    except BaseException as error:
        sys.exit(f"import {{name}}: {{error!r}}")
"""
UNLISTED = f"""{ANEW}
for package in map(import_anew, sys.argv[1:]):
    for name in {{*getattr(package, "__all__", ())}} - {{*dir(package)}}:
        print(package.__name__, name)
"""


def module_of(source: Path) -> str:
    """Return the dotted name of a source file."""
    parts = source.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PACKAGES = [module_of(source) for source in SOURCES if source.name == "__init__.py"]


def run(*arguments: str) -> str:
    """Return what a fresh interpreter prints, warnings being errors."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        # Measured for coverage, the interpreter would load what coverage needs.
        env=UNMEASURED,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def loaded_by(statement: str, names: tuple[str, ...]) -> list[str]:
    """Return which of the modules a statement brings in."""
    found: list[str] = json.loads(run("-c", HEAVY.format(statement, names)))
    return found


def test_what_is_public_is_listed_once_in_order() -> None:
    """The stub that type checkers read is the list: each name once, sorted, from its own home."""
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text())
    imports = [each for each in stub.body if isinstance(each, ast.ImportFrom)]
    names = [name.name for each in imports for name in each.names]

    assert imports == stub.body
    assert sorted(set(names)) == sorted(["__version__", *PUBLIC])
    assert len(names) == len(set(names))
    assert re.fullmatch(r"\d+\.\d+\.\d+", conference_async.__version__)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_there_and_documented(name: str) -> None:
    """Each is loaded from its home when it is first used, and says what it is."""
    value = getattr(conference_async, name)

    assert value.__name__ == name
    assert value.__module__.startswith("conference_async.")
    assert value.__doc__


def test_no_module_is_mistaken_for_a_public_name() -> None:
    """A star import brings classes, not the modules that they live in."""
    namespace: dict[str, Any] = {}
    exec("from conference_async import *", namespace)

    del namespace["__builtins__"]
    assert sorted(namespace) == PUBLIC
    assert not {source.stem for source in SOURCES}.intersection(namespace)
    with pytest.raises(AttributeError, match="has no attribute 'Conferense'"):
        _ = vars(conference_async)["__getattr__"]("Conferense")
    with pytest.raises(ImportError):
        exec("from conference_async import ConferenceCleint", {})


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_lists_what_it_offers(package: str) -> None:
    """Every `__all__` is sorted, and every name in it is there."""
    module = importlib.import_module(package)
    listed: list[str] = getattr(module, "__all__", [])

    assert sorted(set(listed)) == listed
    assert all(hasattr(module, name) for name in listed)


def test_whoever_asks_a_package_what_there_is_is_told_all_of_it() -> None:
    """Before any of it was loaded, too."""
    assert run("-c", UNLISTED, *PACKAGES) == ""


def test_modules_are_short_and_named_for_something() -> None:
    """One idea each: under 400 lines, and a name that says which."""
    lengths = {module_of(source): len(source.read_text().splitlines()) for source in SOURCES}

    assert len(lengths) > 50
    assert {name: length for name, length in lengths.items() if length >= LONGEST} == {}
    names = {part for name in lengths for part in name.split(".")}
    assert names.isdisjoint(SAYING_NOTHING)


@pytest.mark.soak  # it loads the package as many times as it has modules
def test_each_module_can_be_the_first_that_is_imported() -> None:
    """No import depends on another one before it, and none warns."""
    run("-c", ONE_BY_ONE, *map(module_of, SOURCES))


def test_webhooks_come_without_an_http_client() -> None:
    """Receiving callbacks in an ASGI application needs no aiohttp."""
    clients = {"aiohttp", "yarl", "aiolimiter", "cattrs", *EXTRAS} - {"sqlite3"}

    assert loaded_by("import conference_async.webhooks", tuple(clients)) == []


def test_the_client_comes_without_what_it_may_not_need() -> None:
    """Extras, the server half and the emulator are loaded by who uses them."""
    statement = "from conference_async import ConferenceClient, NewParticipant"

    assert loaded_by(statement, EXTRAS) == []
    assert loaded_by(statement, ("aiohttp.web", "conference_async.emulator")) == []
    assert loaded_by("import conference_async", ("aiohttp", "attrs", "asyncio")) == []


HINTS = """
import inspect, sys, typing
import conference_async

for name in sys.argv[1:]:
    public = getattr(conference_async, name)
    of_it = vars(public).values() if inspect.isclass(public) else ()
    functions = [each for each in of_it if inspect.isfunction(each)]
    for each in (public, *functions):
        if each.__name__.startswith("_") and not each.__name__.startswith("__"):
            continue
        try:
            typing.get_type_hints(each)
        except NameError as error:
            print(each.__qualname__, error.name)
"""
# Types of a package that may not be there, and what no name of the root leads to.
NOT_LOADED = """
ClusterDialer.staged Submission
ClusterDialer.tasks Blueprint
ConferenceClient.find_many Finding
PostgresLimit.__init__ AsyncConnectionPool
RedisLimit.__init__ Redis
"""


def test_annotations_can_be_read_whatever_was_loaded_before() -> None:
    """Who fills in arguments by their types, or shows them, asks for them: frameworks do."""
    assert run("-c", HINTS, *PUBLIC).split() == NOT_LOADED.split()


FIRST_REPLY = """
import sys
from conference_async import ConferenceClient, Credentials
from conference_async.wire import decode_conference_page

ConferenceClient(Credentials("AC" + 32 * "0", "token"))
before = set(sys.modules)
page = decode_conference_page(b'{"conferences": [{"sid": "CF1", "status": "init"}]}')
print([each.sid for each in page.items], set(sys.modules) - before)
"""


def test_a_reply_holds_up_no_loop_with_an_import() -> None:
    """What reads it has been loaded by whoever made the client."""
    assert run("-c", FIRST_REPLY) == "['CF1'] set()\n"


def test_no_file_speaks_of_what_is_not_in_the_project() -> None:
    """Facts are written down here, not pointed at in places that readers cannot see."""
    outside = re.compile("|".join([r"\.\./" + "shared", "/" + r"work/", r"\bissues " + "show"]))
    kinds = {".py", ".md", ".toml", ".ini", ".txt", ".csv", ".json", ".html", ".js", ".css", ""}
    folders = ["conference_async", "tests", "examples", "benchmarks", "docs", ".ci"]
    files = [each for each in PROJECT.iterdir() if each.is_file()]
    files += [each for folder in folders for each in (PROJECT / folder).rglob("*")]

    pointing = [
        str(file.relative_to(PROJECT))
        for file in files
        if file.is_file() and file.suffix in kinds
        if not file.name.startswith((".coverage", ".git"))
        if outside.search(file.read_text(encoding="utf-8", errors="replace"))
    ]

    assert len(files) > 100
    assert pointing == []
