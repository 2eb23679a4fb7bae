"""The documentation: every program in it runs, and its files are what they claim to be."""

import ast
import asyncio
import inspect
import re
import shlex
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from blockbuster import BlockBuster

from conference_async.cli.app import app
from conference_async.emulator import Emulator

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
COMMANDS = {
    line
    for page in PAGES
    for line in page.read_text(encoding="utf-8").splitlines()
    if line.startswith("conference-async ")
}
PORT = "8082"
"""What the pages write where their programs listen."""

_BLOCK = re.compile(r"^```(python|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PRINTED = re.compile(r"^# prints: (.*)$", re.MULTILINE)
_FILE = re.compile(r"# ([\w.]+)\n")


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return the blocks of a page that are run or used, each with its language."""
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


@pytest.fixture
def service() -> Iterator[Emulator]:
    """Run an emulator in a thread of its own, as programs that block the loop need it."""
    ready, stop = threading.Event(), asyncio.Event()
    emulator = Emulator(cps=30, answer_after=0.1)

    async def run() -> None:
        async with emulator:
            ready.set()
            await stop.wait()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=[run()])
    thread.start()
    ready.wait()
    yield emulator
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


@pytest.fixture
def workplace(service: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in an empty directory, with the emulator in the environment."""
    for name in ("TWILIO_API_KEY", "TWILIO_CLIENT_ID", "TWILIO_REGION", "TWILIO_EDGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", service.account_sid)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", service.auth_token)
    monkeypatch.setenv("CONFERENCE_ASYNC_BASE_URL", service.base_url)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page)], ids=lambda page: page.stem
)
def test_every_program_of_a_page_runs(
    page: Path,
    workplace: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    no_blocking_calls: BlockBuster,
    capsys: pytest.CaptureFixture[str],
    free_port: Callable[[], int],
    run_tests: Callable[..., tuple[int, str]],
) -> None:
    """Blocks run one after the other, warnings fatal; those with a file's name make a project.

    Blocks that await are the cells of one notebook. What a block says that it prints, it prints.
    """
    if "DATABASE_URL" in page.read_text(encoding="utf-8"):
        monkeypatch.setenv("DATABASE_URL", request.getfixturevalue("own_postgres").where)
        no_blocking_calls.deactivate()  # its drivers import their parts when they need them
    port = str(free_port())
    notebook = asyncio.new_event_loop()
    cells: dict[str, Any] = {}
    for number, (language, written) in enumerate(blocks(page), start=1):
        text = written.replace(PORT, port)
        file = workplace / named[1] if (named := _FILE.match(text)) else None
        if file:
            file.write_text(text, encoding="utf-8")
        if language == "python" and not (file and file.name.startswith("test_")):
            name = f"{page}, block {number}"
            code = compile(text, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            if code.co_flags & inspect.CO_COROUTINE:
                notebook.run_until_complete(types.FunctionType(code, cells)())
            else:
                exec(code, cells if text.startswith("# In [") else {"__name__": "__main__"})
            printed = capsys.readouterr().out
            assert all(f"{line}\n" in printed for line in _PRINTED.findall(text)), printed
    notebook.close()
    if any(workplace.glob("test_*.py")):
        code, said = run_tests(workplace, str(workplace))
        assert code == 0, said


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_that_is_shown_exists(command: str) -> None:
    """With these options, which the command line can read."""
    _, *arguments = shlex.split(command)

    app.parse_args(arguments, exit_on_error=False, print_error=False)


def test_blocks_have_a_language() -> None:
    """A fence without a language, or with one that nothing runs or checks, is a mistake."""
    checked = {
        "python",
        "toml",
        "sh",
        "js",
        "toctree",
        "eval-rst",
        "include",
        "literalinclude",
        "container",
    }
    shown = {"py", "nginx", "text"}  # other people's, and pictures
    fences = re.compile(r"^```\{?([\w-]+)", re.MULTILINE)
    found = {fence for page in PAGES for fence in fences.findall(page.read_text(encoding="utf-8"))}

    assert found <= checked | shown


def test_the_compose_file_starts_what_the_page_says() -> None:
    """A store that is healthy before the application starts, and secrets from outside only."""
    compose = yaml.safe_load((ROOT / "docs" / "compose.yaml").read_text(encoding="utf-8"))

    assert list(compose) == ["services"]
    redis, app = compose["services"]["redis"], compose["services"]["app"]
    known = {"build", "command", "depends_on", "environment", "healthcheck", "image", "restart"}
    assert {*redis, *app} <= {*known, "stop_grace_period"}
    assert app["depends_on"] == {"redis": {"condition": "service_healthy"}}
    assert redis["healthcheck"]["test"] == ["CMD", "redis-cli", "ping"]
    assert app["environment"]["REDIS_URL"] == "redis://redis:6379/0"
    assert not any(value for name, value in app["environment"].items() if "TWILIO" in name)
