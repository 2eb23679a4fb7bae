"""Whatever goes wrong ends as one line on stderr and a documented exit code."""

import asyncio
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from conference_async import errors
from conference_async.cli.narration import narrated
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "See conference-async --help"),
        (["campaign", "nonsense"], "See conference-async campaign --help"),
        (["create", "standup"], "--from requires an argument. See conference-async create --help"),
        (["end", "standup", "now"], "too many arguments: now. See conference-async end --help"),
    ],
)
async def test_wrong_usage_leads_to_the_help(
    shell: "Shell", arguments: list[str], words: str
) -> None:
    """To that of the command which was meant."""
    assert_one_line(await shell.run(*arguments), 2, words)


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


def test_an_interrupted_command_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C where nothing is in doubt ends with 130."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    assert guarded(interrupt) == 130
    assert capsys.readouterr().err == "conference-async: interrupted\n"


async def test_wrong_credentials(shell: "Shell") -> None:
    """A wrong token is the service's refusal, and is not repeated in the message."""
    ended = await shell.process("list", "standup", TWILIO_AUTH_TOKEN="not-the-token")
    assert_one_line(ended, 3, "401")
    assert "not-the-token" not in ended.err


async def test_unknown_conference(shell: "Shell") -> None:
    """A name that no live conference has is refused with what to do."""
    assert_one_line(await shell.process("list", "nowhere"), 3, "no conference named 'nowhere'")


async def test_dead_port(shell: "Shell", emulator: Emulator) -> None:
    """A host that does not answer is told from a refusal; nothing was sent."""
    await emulator.stop_listening()
    assert_one_line(await shell.process("conferences", "--json"), 4, "nothing was sent")


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


def test_a_worker_tells_what_happens_to_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Our warnings are a line each, numbers masked; tracebacks of those beneath are left out."""
    with narrated():
        logging.getLogger("conference_async.cluster").warning("nobody calls %s", "+15558675310")
        logging.getLogger("conference_async.cluster").info("nothing new")
        logging.getLogger("procrastinate.worker").error("many lines")
    logging.getLogger("conference_async.cluster").warning("not told any more")
    assert capsys.readouterr().err == "conference-async: nobody calls ***5310\n"
    assert logging.getLogger("procrastinate").level == logging.NOTSET


@pytest.mark.parametrize("command", [["completion", "bash"], ["list", "standup", "--json"]])
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
