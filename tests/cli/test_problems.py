"""Everything that goes wrong ends as one line on stderr and a documented exit code."""

import asyncio
import itertools
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conference_async import errors
from conference_async.cli.problems import LEGEND, guarded, report
from conference_async.emulator import Emulator, Fault

if TYPE_CHECKING:
    from tests.cli.conftest import Ended, Shell

CREATE = ("create", "standup", "--from", "+15017122661", "--to", "+15558675310")


def assert_one_line(ended: "Ended", code: int, words: str) -> None:
    """Compare what a failed command did with what it should have."""
    assert (ended.code, ended.out) == (code, "")
    line, empty = ended.err.split("\n")
    assert line.startswith("conference-async: error: ")
    assert words in line
    assert empty == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigurationError("no"), 2),
        (errors.InvalidParameter("to", "no"), 2),
        (errors.LedgerError("no"), 2),
        (FileNotFoundError(2, "No such file or directory", "people.csv"), 2),
        (PermissionError("no"), 2),
        (errors.NotAuthorized("no", status=401), 3),
        (errors.TooManyRequests("no", status=429), 3),
        (errors.ConnectionFailed("no"), 4),
        (errors.DeadlineExceeded("no"), 4),
        (errors.ServiceFailed("no", status=500), 4),
        (errors.RequestTimeout("no"), 4),
        (errors.UnexpectedReply("no"), 4),
        (errors.OutcomeUnknown("no", conference="standup", label="alice", attempts=1), 5),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_every_error_has_its_code(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The branches of the error tree are told apart by the exit code, and the help says how."""
    assert report(error) == code
    assert capsys.readouterr().err.startswith("conference-async: error: ")
    assert f"{code} " in LEGEND


async def test_examples_in_an_error_are_shown_whole(shell: "Shell") -> None:
    """What is to be typed instead is no secret of anybody's."""
    ended = await shell.run(*CREATE[:-1], "nobody")

    assert_one_line(ended, 2, "sip:name@company.com, client:name or app:AP")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "See conference-async --help"),
        (["campaign", "nonsense"], "See conference-async campaign --help"),
        (["create", "standup"], "--from requires an argument. See conference-async create --help"),
        (["end", "standup", "now"], "too many arguments: now. See conference-async end --help"),
        ([*CREATE, "--extra", "new"], '--extra must be JSON, such as {"NewName": "value"}. See'),
        ([*CREATE, "--extra", '{"New"'], '--extra must be JSON, such as {"NewName": "value"}. See'),
    ],
)
async def test_wrong_usage_leads_to_the_help(
    shell: "Shell", arguments: list[str], words: str
) -> None:
    """To that of the command which was meant."""
    assert_one_line(await shell.run(*arguments), 2, words)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://bob:p@ss/s3cret@127.0.0.1:1/calls",
        "postgresql://bob:p#s3cret@127.0.0.1:1/calls",
        "postgresql://bob:s3cret@127.0.0.1:1/calls?x=y",
        "postgresql://127.0.0.1:1/calls?password=s3cret&x=y",
        "postgresql://bob:s3cret@[::1/calls",
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        ["campaign", "status"],
        ["campaign", "pause"],
        ["campaign", "stat"],
        ["worker", "--ledger"],
        ["worker", "--leger"],
        ["cluster", "set-up", "--ledger"],
    ],
    ids=" ".join,
)
async def test_no_password_of_a_database_is_printed(
    shell: "Shell", command: list[str], url: str
) -> None:
    """A mistake in a URL or a command is one line, without the secret."""
    ended = await shell.run(*command, url)
    assert ended.code == 2
    assert ended.err.startswith("conference-async: error: ")
    assert "s3cret" not in ended.out + ended.err


async def test_a_plan_shows_no_password(shell: "Shell", tmp_path: Path) -> None:
    """The ledger is named without it, for people and for machines, also where it is unclear."""
    (tmp_path / "people.csv").write_text("to\n+15558675310\n")
    for form, (password, code) in itertools.product(
        ([], ["--json"]), [("p%40s%2Fs3cret", 0), ("p@s/s3cret", 2)]
    ):
        ended = await shell.run(
            *("dial", str(tmp_path / "people.csv"), "--conference", "standup", *CREATE[2:4]),
            *("--emulator", "--dry-run", "--ledger", f"postgresql://bob:{password}@db/c", *form),
        )
        assert ended.code == code
        assert "s3cret" not in ended.out + ended.err


async def test_letters_that_a_terminal_lacks_are_spelled_out(
    shell: "Shell", tmp_path: Path
) -> None:
    """A name of another script is no reason to break off, even in an old locale."""
    (tmp_path / "people.csv").write_text("to,né\n+15558675310,x\n", encoding="utf-8")
    ended = await shell.process(
        *("dial", str(tmp_path / "people.csv"), "--conference", "standup", *CREATE[2:4]),
        "--dry-run",
        PYTHONIOENCODING="ascii",
    )
    assert ended.code == 0
    assert r"ignored: n\xe9" in ended.out


def test_a_defect_is_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    """A surprise is no traceback, hides numbers, and cannot be taken for a foreseen error."""

    def break_down() -> None:
        raise ZeroDivisionError("+15558675310\n\x1b[31m")

    assert guarded(break_down) == 70
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "please report it: ZeroDivisionError" in said
    assert "***5310" in said
    assert "\x1b" not in said


def test_a_defect_shows_nothing_of_what_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    """Of an error that holds it, only the words are told."""

    def read() -> None:
        b"a secret \xff".decode()

    assert guarded(read) == 70
    said = capsys.readouterr().err
    assert "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff" in said
    assert "secret" not in said


def test_an_interrupted_command_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C where nothing is in doubt ends with 130."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    assert guarded(interrupt) == 130
    assert capsys.readouterr().err == "conference-async: interrupted\n"


async def test_wrong_credentials(shell: "Shell") -> None:
    """A wrong token is the service's refusal, and is not repeated in the message."""
    ended = await shell.run("list", "standup", TWILIO_AUTH_TOKEN="not-the-token")
    assert_one_line(ended, 3, "401")
    assert "not-the-token" not in ended.err


async def test_unknown_conference(shell: "Shell") -> None:
    """A name that no live conference has is refused with what to do."""
    assert_one_line(await shell.run("list", "nowhere"), 3, "no conference named 'nowhere'")


async def test_dead_port(shell: "Shell", emulator: Emulator) -> None:
    """A host that does not answer is told from a refusal; nothing was sent."""
    await emulator.stop_listening()
    assert_one_line(await shell.run("conferences", "--json"), 4, "nothing was sent")


@pytest.mark.parametrize("fault", [Fault.HTML_200, Fault.REDIRECT, Fault.EMPTY_200])
async def test_what_is_no_api(shell: "Shell", emulator: Emulator, fault: Fault) -> None:
    """A host that answers something else is an error, not a traceback."""
    emulator.faults.add(fault, on="conferences.list", times=100)
    assert_one_line(await shell.run("conferences"), 4, "base")


async def test_no_credentials(bare_shell: "Shell") -> None:
    """Without an account, the variable to set is named."""
    assert_one_line(await bare_shell.run("list", "standup"), 2, "TWILIO_ACCOUNT_SID")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["call", "standup"], "Unknown command"),
        (["mute", "standup"], "PARTICIPANT"),
        (["mute", "standup", "alice", "--loudly"], "--loudly"),
        ([*CREATE, "--timeout", "soon"], "--timeout"),
        ([*CREATE, "--timeout", "601"], "timeout: must be an int from 5 to 600"),
        ([*CREATE, "--beep", "sometimes"], "--beep"),
        ([*CREATE, "--extra", "nothing"], "--extra"),
        (["create", "standup", "--to", "+15558675310"], "--from"),
        (["list", "a/b"], "must not contain '/'"),
        (["emulator", "--port", "70000"], "--port"),
        (["emulator", "--cps", "0"], "--cps"),
    ],
)
async def test_wrong_use(shell: "Shell", arguments: list[str], words: str) -> None:
    """A command that cannot be understood names the option or the value, and sends nothing."""
    assert_one_line(await shell.run(*arguments), 2, words)


async def test_a_create_interrupted_in_flight_is_in_doubt(
    shell: "Shell", emulator: Emulator
) -> None:
    """Ctrl-C while the service has not answered yet does not pretend that nobody was called."""
    emulator.faults.add(Fault.STALL)
    process = await shell.start(*CREATE, "--label", "alice")
    while not emulator.count("create"):  # noqa: ASYNC110 -- another process has to get there
        await asyncio.sleep(0.02)
    process.send_signal(signal.SIGINT)
    ended = await shell.end(process)
    assert ended.code == 5
    assert "It may have been placed" in ended.err


@pytest.mark.parametrize(
    "command", [["completion", "bash"], ["list", "standup", "--json"], ["--help"]]
)
async def test_a_reader_that_leaves_ends_it_quietly(command: list[str], shell: "Shell") -> None:
    """`conference-async … | head` is no error worth a message, not even in the midst of a list."""
    await shell.run(*CREATE)
    reader, writer = os.pipe()
    os.close(reader)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-m", "conference_async", *command),
        stdout=writer,
        stderr=asyncio.subprocess.PIPE,
        env=shell.environment,
    )
    os.close(writer)
    _, said = await process.communicate()
    assert (process.returncode, said) == (141, b"")


def _dial(file: Path) -> str:
    """Return the command that rehearses a file, for a shell that changes its streams."""
    return (
        f"exec {sys.executable} -m conference_async dial {file} --conference standup "
        "--from +15017122661 --emulator --yes --cps 30"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("streams", ["2>/dev/full", "2>&-", ">&-", ">&- 2>&- <&-"])
async def test_nobody_to_tell_is_no_failure_of_a_run(
    streams: str, tmp_path: Path, shell: "Shell"
) -> None:
    """Streams that are closed or full stop no run, and the exit code says what became of it."""
    people, ledger = tmp_path / "people.csv", tmp_path / "people.ledger"
    people.write_text("to\n+15558675310\n+15558675311\n")
    process = await asyncio.create_subprocess_shell(
        f"{_dial(people)} --ledger {ledger} {streams}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=shell.environment,
    )
    _, said = await process.communicate()

    assert (process.returncode, b"Traceback" in said) == (0, False)
    assert "placed\t2" in (await shell.run("campaign", "status", str(ledger))).out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("command", ["conferences --json", "--help", "--version"])
@pytest.mark.parametrize("streams", ["", "2>&1"])
async def test_output_that_cannot_be_written_has_a_code_of_its_own(
    streams: str, command: str, shell: "Shell"
) -> None:
    """It says nothing about what was dialled, as wrong usage would."""
    process = await asyncio.create_subprocess_shell(
        f"exec {sys.executable} -m conference_async {command} >/dev/full {streams}",
        stderr=asyncio.subprocess.PIPE,
        env=shell.environment,
    )
    _, said = await process.communicate()

    assert process.returncode == 141
    expected = b"" if streams else b"conference-async: error: no output: No space left on device"
    assert said.splitlines()[-1:] == ([expected] if expected else [])
