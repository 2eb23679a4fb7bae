"""How the command line starts: its help, its version, what it loads, and what it needs."""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import attrs
import pytest

import conference_async
from conference_async import cli
from conference_async.cli.app import app, run
from conference_async.models import (
    CallEventName,
    ConferenceEventName,
    ConferenceRecordingEventName,
    NewParticipant,
    RecordingEventName,
)

if TYPE_CHECKING:
    from tests.cli.conftest import Shell

COMMANDS = sorted(name for name in app if not name.startswith("-"))


def test_the_commands_of_the_contract_are_there() -> None:
    """Every command that scripts rely on exists."""
    assert {
        *(
            "demo",
            "dial",
            "campaign",
            "create",
            "list",
            "show",
            "mute",
            "unmute",
            "hold",
            "unhold",
            "announce",
        ),
        *("coach", "remove", "end", "conferences", "emulator", "completion"),
    } <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_renders(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command says what it does, what each option means, and gives an example."""
    assert run([command, "--help"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "Example" in said.out
    assert f"conference-async {command}" in " ".join(said.out.split())
    undescribed = [line for line in said.out.splitlines() if line.rstrip(" │").endswith("STR")]
    assert undescribed == []


def test_the_help_lists_commands_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command, the help says what each of them does."""
    assert run([]) == 0
    said = capsys.readouterr().out
    assert "Let nobody hear a participant." in said
    assert "130 interrupted" in " ".join(said.split())


async def test_create_has_an_option_for_every_parameter(bare_shell: "Shell") -> None:
    """The options are those of the request; none is broken on a terminal of 80 columns."""
    said = (await bare_shell.run("create", "--help", COLUMNS="80")).out
    for field in attrs.fields(NewParticipant):
        assert f"--{field.name.strip('_').replace('_', '-')} " in said
    assert max(map(len, said.splitlines())) <= 80


async def test_help_says_which_words_may_be_given(bare_shell: "Shell") -> None:
    """A type's name tells nothing to whoever reads no Python."""
    shown = (await bare_shell.run("create", "--help")).out
    said = " ".join(re.sub(r"│|STR\.\.\.", " ", shown).split())
    for words in (
        CallEventName,
        ConferenceEventName,
        RecordingEventName,
        ConferenceRecordingEventName,
    ):
        *most, last = get_args(words)
        assert f"Which of {', '.join(most)} and {last} to report" in said


async def test_no_indent_of_the_source_is_seen_in_a_help(bare_shell: "Shell") -> None:
    """It would be kept between backticks."""
    shown = (await bare_shell.run("dial", "--help")).out
    said = " ".join(line.strip("│ ") for line in shown.splitlines())
    assert "09:00-20:30 or mon-fri 10:00-18:00; several" in said


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_for_each_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A shell gets a script that knows the commands."""
    assert run(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "unhold" in script
    assert "show-numbers" in script


@pytest.mark.parametrize(
    ("shell", "words", "says"),
    [
        ("bash", "source {0}; complete -p conference-async", "complete -F"),
        (
            "zsh",
            "autoload -Uz compinit; compinit -D -u; source {0}; print $_comps[conference-async]",
            "_cyclopts_conference-async\n",
        ),
        ("fish", "source {0}; complete -C 'conference-async di'", "dial\tDial everybody in a file"),
    ],
)
def test_a_shell_takes_its_completion(
    shell: str, words: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A shell that has read its script completes our commands, and takes no file for one."""
    if (program := shutil.which(shell)) is None:
        pytest.skip(f"{shell} is not installed")
    run(["completion", shell])
    (script := tmp_path / "script").write_text(capsys.readouterr().out, "utf-8")
    (tmp_path / "distraction").touch()
    ended = subprocess.run(
        [program, "-c", words.format(script)],
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        text=True,
        check=True,
    )
    assert ended.stdout.startswith(says)
    assert "distraction" not in ended.stdout


async def test_version(bare_shell: "Shell") -> None:
    """The version is that of the package."""
    ended = await bare_shell.process("--version")
    assert (ended.code, ended.out, ended.err) == (0, f"{conference_async.__version__}\n", "")


CLIENT = {"aiohttp", "cattrs", "phonenumbers", "conference_async.client"}
UNNEEDED = {
    "--version": {"cyclopts", "rich", *CLIENT},
    "--help": {"conference_async.cli.output", *CLIENT},
    "emulator --help": {"conference_async.emulator", *CLIENT},
    "dial --help": CLIENT,
    "page --help": CLIENT,
    "campaign --help": CLIENT,
    "worker --help": CLIENT,
    "create --help": CLIENT,
    "conferences --help": CLIENT,
    "dial nobody.csv --priority 1": CLIENT,
}
"""What a command line does not load, nor those above it."""


def test_nothing_is_loaded_before_it_is_needed() -> None:
    """Who asks for the version, for help or for what cannot be waits for no client."""
    script = f"""
import contextlib, io, sys
from conference_async.cli import main
for words, unneeded in {UNNEEDED!r}.items():
    sys.argv[1:] = words.split()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        main()
    print(words, *unneeded & sys.modules.keys(), sep=": ")
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines() == list(UNNEEDED)


def test_the_overview_says_of_each_command_what_it_says_of_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is written down beside the commands, so that none has to be loaded for it."""
    assert run(["--help"]) == 0
    overview = capsys.readouterr().out
    for name in COMMANDS:
        assert app[name].help
    app(["--help"], exit_on_error=False, result_action="return_value")
    assert capsys.readouterr().out == overview


@pytest.mark.parametrize("missing", ["cyclopts", "rich", "phonenumbers"])
def test_without_the_extra_one_line_says_what_to_install(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bare installation answers with the command that completes it."""
    there = find_spec
    monkeypatch.setattr(cli, "find_spec", lambda name: None if name == missing else there(name))
    monkeypatch.setattr(sys, "argv", ["conference-async"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        'conference-async: the command line needs its extra: pip install "conference-async[cli]"\n'
    )


def test_ctrl_c_while_it_loads_ends_it_quietly() -> None:
    """Most of a short command is loading, and a traceback tells a user nothing."""
    program = """
import sys
from importlib.abc import MetaPathFinder

class Impatient(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "conference_async.cli.app":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Impatient())
from conference_async.cli import main
main()
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")
