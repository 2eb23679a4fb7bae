"""Dialling everybody in a file: shown first, stopped cleanly, resumed by the same command."""

import asyncio
import json
import os
import pty
import shlex
import signal
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from conference_async import OutcomeUnknown, State
from conference_async.cli.resuming import how_to_decide, how_to_go_on, how_to_watch
from conference_async.cli.runs import Ended, common
from conference_async.dialer.rules.wishes import ON_THE_LIST
from conference_async.emulator import Emulator, Fault, Script
from conference_async.looks import Look

Files: TypeAlias = Callable[[], list[str]]

if TYPE_CHECKING:
    from tests.cli.conftest import Shell

CALLER = "+15017122661"
ELSEWHERE = {"TWILIO_ACCOUNT_SID": "AC" + "1" * 32, "TWILIO_AUTH_TOKEN": "token"}
QUESTION = "Call 3 through https://api.twilio.com? [y/N] "
TO_STANDUP = ("--conference", "standup", "--from", CALLER, "--cps", "30")


def people(folder: Path, count: int, *more: str, encoding: str = "utf-8") -> str:
    """Write a file of so many people, and further lines."""
    lines = ["to,label", *(f"+155586753{number:02},p{number}" for number in range(count)), *more]
    path = folder / "people.csv"
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return str(path)


async def test_calls_wait_for_lines(shell: "Shell", emulator: Emulator, tmp_path: Path) -> None:
    """With as many as the account has nobody is refused, and all are called in one run."""
    emulator.max_live = 2
    emulator.script("", Script(after=0, hang_up_after=0.5))
    ended = await shell.run("dial", people(tmp_path, 5), *TO_STANDUP, "--max-live", "2")

    assert (ended.code, ended.out.splitlines()[-1]) == (0, "5 placed")
    assert emulator.count("create") == 5


async def test_everybody_is_dialled_once(
    shell: "Shell", emulator: Emulator, tmp_path: Path, files: Files
) -> None:
    """The plan comes first, then progress, then the sum; the same command again calls nobody."""
    file = people(tmp_path, 5)
    ended = await shell.run("dial", file, *TO_STANDUP)
    assert ended.code == 0
    plan, *_, result = ended.out.splitlines()
    assert plan == f"to call      5 of 5 rows, through {emulator.base_url}"
    assert result == "5 placed"
    assert "5 of 5" in ended.err
    again = await shell.run("dial", file, *TO_STANDUP)
    assert (again.code, again.out.splitlines()[-2:]) == (
        0,
        ["before       5 were called by earlier runs", "5 placed"],
    )
    assert set(emulator.ring_counts.values()) == {1}
    assert len(emulator.ring_counts) == 5
    assert "people.csv.standup.ledger" in files()


async def test_dialling_for_machines(shell: "Shell", emulator: Emulator, tmp_path: Path) -> None:
    """With --json, one line holds the plan, every outcome and the sum; numbers are masked."""
    ended = await shell.run("dial", people(tmp_path, 3), *TO_STANDUP, "--json")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.count("\n") == 1
    assert ended.json["plan"]["to_call"] == 3
    assert [outcome["state"] for outcome in ended.json["outcomes"]] == ["placed"] * 3
    assert ended.json["outcomes"][0]["to"] == "***5300"
    assert ended.json["counts"]["placed"] == 3
    assert (ended.json["left"], ended.json["stopped"]) == (0, False)
    assert "token" not in ended.json["outcomes"][0]


async def test_a_dry_run_calls_nobody(
    shell: "Shell", emulator: Emulator, tmp_path: Path, files: Files
) -> None:
    """--dry-run shows what would happen, for people and for machines, and leaves no file."""
    file = people(tmp_path, 3, "+15558675300,again", "nobody,x")
    shown = await shell.run("dial", file, *TO_STANDUP, "--dry-run", "--skip-bad-rows")
    assert shown.code == 0
    assert "to call      3 of 5 rows" in shown.out
    assert "row 6: " in shown.out
    assert "row 5: repeats an earlier row" in shown.out
    plan = await shell.run("dial", file, *TO_STANDUP, "--dry-run", "--skip-bad-rows", "--json")
    assert plan.json["plan"]["bad"] == 1
    assert plan.json["plan"]["duplicates"] == 1
    assert files() == ["people.csv"]
    assert emulator.ring_counts == {}


async def test_long_lists_of_bad_rows_are_cut(shell: "Shell", tmp_path: Path) -> None:
    """A person gets the first ten bad rows, a private file with all of them, and the sum last."""
    rows = people(tmp_path, 1, *["12,né"] * 30, encoding="cp1252")
    listing = tmp_path / "people.csv.bad-rows.txt"
    listing.touch(mode=0o644)
    ended = await shell.run("dial", rows, *TO_STANDUP, "--dry-run", "--skip-bad-rows")
    assert ended.out.count("  row ") == 10
    assert f"  and 20 more: {listing}\n" in ended.out
    lines = listing.read_text().splitlines()
    assert len(lines) == 30
    assert lines[29].startswith("row 32: to: ")
    assert listing.stat().st_mode & 0o777 == 0o600
    sums = [line.split()[0] for line in ended.out.splitlines()[-5:]]
    assert sums == ["note", "to", "conferences", "takes", "ledger"]


async def test_bad_rows_that_cannot_be_written_down(shell: "Shell", tmp_path: Path) -> None:
    """JSON has the list of bad rows when its file cannot be written."""
    rows = people(tmp_path, 1, *["12,x"] * 1100)
    (tmp_path / "people.csv.bad-rows.txt").mkdir()
    ended = await shell.run("dial", rows, *TO_STANDUP, "--dry-run", "--skip-bad-rows")
    assert "  and 1090 more; --dry-run --json lists a thousand\n" in ended.out
    (tmp_path / "people.csv.bad-rows.txt").rmdir()
    await shell.run("dial", rows, *TO_STANDUP, "--dry-run", "--skip-bad-rows")
    assert (tmp_path / "people.csv.bad-rows.txt").read_text().endswith("\nand 100 more\n")


async def test_a_bad_row_stops_it_before_anybody_is_called(
    shell: "Shell", emulator: Emulator, tmp_path: Path
) -> None:
    """A row that cannot be dialled is one line with its number, unless it is to be left out."""
    file = people(tmp_path, 2, "12,short")
    ended = await shell.run("dial", file, *TO_STANDUP)
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert "1 of 3 rows cannot be dialled (row 4: to: " in ended.err
    assert emulator.ring_counts == {}
    skipping = await shell.run("dial", file, *TO_STANDUP, "--skip-bad-rows")
    assert skipping.code == 0
    assert len(emulator.ring_counts) == 2


@pytest.mark.parametrize(
    ("counts", "stopped", "left", "code", "words"),
    [
        ({}, False, 0, 0, "0 left"),
        ({State.PLACED: 3, State.SKIPPED: 1}, False, 0, 1, "3 placed, 1 skipped"),
        ({State.PLACED: 3}, False, 2, 1, "3 placed, 2 left"),
        ({State.REFUSED: 1}, False, 0, 1, "1 refused"),
        ({State.REFUSED: 1, State.UNKNOWN: 1}, False, 0, 5, "1 refused, 1 unknown"),
        ({State.PLACED: 3, State.UNKNOWN: 1}, True, 1, 130, "3 placed, 1 unknown, 1 left"),
    ],
)
def test_the_code_says_the_worst(
    counts: dict[State, int], *, stopped: bool, left: int, code: int, words: str
) -> None:
    """Ctrl-C goes before doubt, doubt before refusals, and those who are left count too."""
    ended = Ended(counts=Counter(counts), stopped=stopped, left=left)
    assert (ended.code, str(ended)) == (code, words)


def _unknown(number: int, label: str) -> str:
    look = Look(where="label", at=datetime(2026, 1, 1, 9, 0, number, tzinfo=UTC), held="absent")
    what = f"create in 'hall-{number}' with label {f'{label}{number}'!r}: the service answered 500"
    return str(OutcomeUnknown(what, conference="hall", label=label, attempts=1, evidence=[look]))


@pytest.mark.parametrize(
    ("reason_of", "words"),
    [
        (partial(_unknown, label="p"), "the service answered 500. Looked for its label: "),
        (partial(_unknown, label="p's: "), "the service answered 500. Looked for its label: "),
        ("The number +155586753{} is not valid".format, "The number *** is not valid"),
        ("outside calling hours until {} Jan 09:00 UTC".format, "outside calling hours"),
    ],
)
def test_reasons_are_counted_by_what_they_have_in_common(
    reason_of: Callable[[int], str], words: str
) -> None:
    """A thousand people whom one fault concerns are no thousand reasons."""
    assert common(reason_of(10)) == common(reason_of(11))
    assert common(reason_of(10)).startswith(words)


def test_the_last_line_names_the_reasons() -> None:
    """The most frequent three of each state, with counts; a do-not-call list is no failure."""
    skipped = Counter({ON_THE_LIST: 5, "its time zone is not known": 4, "c": 3, "d": 2, "e": 1})
    ended = Ended(
        counts=Counter({State.PLACED: 1, State.SKIPPED: 15}),
        reasons={State.SKIPPED: skipped},
        stopped=False,
        left=0,
    )
    assert str(ended) == (
        "1 placed, 15 skipped (5: it is on the do-not-call list; 4: its time zone is not known; "
        "3: c; 3: others)"
    )
    assert ended.code == 1
    listed = {State.SKIPPED: Counter({ON_THE_LIST: 5})}
    counts = Counter({State.SKIPPED: 5})
    assert Ended(counts=counts, reasons=listed, stopped=False, left=0).code == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [("to\n", "nobody to call"), ("name\nalice\n", "to"), ("", "empty")],
)
async def test_a_file_that_is_no_plan(
    shell: "Shell", tmp_path: Path, text: str, words: str
) -> None:
    """An empty file, and one without the column that is needed, are one line and code 2."""
    (tmp_path / "people.csv").write_text(text)
    ended = await shell.run("dial", str(tmp_path / "people.csv"), *TO_STANDUP)
    assert ended.code == 2
    assert words in ended.err


async def test_a_file_that_is_not_there(shell: "Shell", tmp_path: Path) -> None:
    """A missing file is named."""
    ended = await shell.run("dial", str(tmp_path / "people.csv"), *TO_STANDUP)
    assert ended.code == 2
    assert "people.csv" in ended.err


async def test_refusals_are_told_and_change_the_code(
    shell: "Shell", emulator: Emulator, tmp_path: Path
) -> None:
    """A refusal is printed with its reason and a masked number, and the code is 1."""
    emulator.faults.add(Fault.LABEL_CLASH, to="+15558675301")
    ended = await shell.run("dial", people(tmp_path, 3), *TO_STANDUP)
    assert ended.code == 1
    assert ended.out.splitlines()[-1].startswith("2 placed, 1 refused (1: ")
    assert "***5301 refused: " in ended.err
    assert "5558675301" not in ended.err


async def test_a_rehearsal_needs_nothing_and_leaves_nothing(
    bare_shell: "Shell", tmp_path: Path, files: Files
) -> None:
    """--emulator dials without an account, and can be repeated."""
    for _ in range(2):
        ended = await bare_shell.run("dial", people(tmp_path, 3), *TO_STANDUP, "--emulator")
        assert ended.code == 0
        assert ended.out.splitlines()[-1] == "3 placed"
    assert files() == ["people.csv"]


async def test_phones_ring_only_if_somebody_says_so(bare_shell: "Shell", tmp_path: Path) -> None:
    """Towards a real host it asks, and without a terminal to ask at it wants --yes."""
    ended = await bare_shell.run("dial", people(tmp_path, 3), *TO_STANDUP, **ELSEWHERE)
    assert ended.code == 2
    assert "through https://api.twilio.com" in ended.out
    assert "say --yes" in ended.err


@pytest.mark.parametrize("answer", [b"n\n", b"\n", b"\x04"])
async def test_whoever_does_not_say_yes_calls_nobody(
    bare_shell: "Shell", tmp_path: Path, files: Files, answer: bytes
) -> None:
    """No, nothing and the end of input all mean no."""
    command = ("dial", people(tmp_path, 3), *TO_STANDUP)
    bare_shell.environment |= ELSEWHERE
    ended = await bare_shell.terminal(*command, typed=answer)
    assert ended.code == 130
    assert QUESTION in ended.out
    assert ended.out.endswith("conference-async: nobody was called\n")
    assert files() == ["people.csv"]


async def test_ctrl_c_at_the_question_calls_nobody(
    bare_shell: "Shell", tmp_path: Path, files: Files
) -> None:
    """It is not waited for an answer."""
    terminal, end = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "conference_async", "dial", people(tmp_path, 3), *TO_STANDUP),
        stdin=end,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**bare_shell.environment, **ELSEWHERE},
    )
    assert process.stderr is not None
    assert await process.stderr.readuntil(b"[y/N] ") == QUESTION.encode()
    process.send_signal(signal.SIGINT)
    _, said = await process.communicate()
    os.close(terminal)
    os.close(end)
    assert process.returncode == 130
    assert said in {b"conference-async: nobody was called\n", b"conference-async: interrupted\n"}
    assert files() == ["people.csv"]


async def test_do_not_call(shell: "Shell", emulator: Emulator, tmp_path: Path) -> None:
    """Those on a list are skipped, which is no failure."""
    never = tmp_path / "never.txt"
    never.write_text("# asked us not to\n+1 555 867 5301  # Bob\n\n(555) 867-5302\n")
    rule = ("--do-not-call", str(never), "--default-region", "US")
    plan = await shell.run("dial", people(tmp_path, 3), *TO_STANDUP, *rule, "--dry-run", "--json")
    assert plan.json["plan"]["not_now"] == {"it is on the do-not-call list": 2}
    assert plan.json["plan"]["to_call"] == 1
    ended = await shell.run("dial", people(tmp_path, 3), *TO_STANDUP, *rule)
    assert "to call      1 of 3 rows" in ended.out
    assert "not now      2: it is on the do-not-call list" in ended.out
    assert (ended.code, ended.out.splitlines()[-1]) == (
        0,
        "1 placed, 2 skipped (2: it is on the do-not-call list)",
    )
    assert emulator.ring_counts == {"+15558675300": 1}


@pytest.mark.parametrize("text", [None, "+15558675301\n15558675302\n"])
async def test_a_do_not_call_file_that_cannot_be_read(
    shell: "Shell", tmp_path: Path, text: str | None
) -> None:
    """A plan without it would be another one: it is refused, a dry run too, with its line."""
    if text is not None:
        (tmp_path / "never.txt").write_text(text)
    rule = ("--do-not-call", str(tmp_path / "never.txt"), "--dry-run")
    ended = await shell.run("dial", people(tmp_path, 3), *TO_STANDUP, *rule)
    assert ended.code == 2
    assert ("never.txt, line 2: " if text else "cannot read never.txt: No such") in ended.err


async def test_columns_of_other_names(shell: "Shell", emulator: Emulator, tmp_path: Path) -> None:
    """A person's own headings are named on the command line; without that they are listed."""
    file = tmp_path / "people.csv"
    file.write_text("sep=;\r\nTelefon;Wer\r\n(555) 867-5300;alice\r\n", encoding="utf-16")
    command = ("dial", str(file), *TO_STANDUP, "--default-region", "US")
    refused = await shell.run(*command)
    assert refused.code == 2
    assert "the first line has 'Telefon', 'Wer'" in refused.err
    assert "--column to=" in refused.err
    wrong = await shell.run(*command, "--column", "Telefon")
    assert "--column must be like to=Telefon, not 'Telefon'" in wrong.err
    ended = await shell.run(*command, "--column", "to=telefon", "--column", "label=Wer")
    assert ended.code == 0
    assert [call.label for call in emulator.participants("standup")] == ["alice"]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (("--hours", "9"), "--hours must be like 09:00-20:30, not '9'"),
        (("--hours", "25:00-26:00"), "--hours must be like 09:00-20:30"),
        (("--hours", "20:00-09:00"), "must start before they end"),
        (("--quorum", "0"), "joined must be 1 or more"),
        (("--attempts", "0"), "attempts must be 1 or more"),
        (("--deadline", "-1"), "deadline must be more than 0 seconds"),
        (("--default-region", "Texas"), "must be a country as two letters"),
    ],
)
async def test_rules_that_cannot_be_kept(
    shell: "Shell", emulator: Emulator, tmp_path: Path, rule: tuple[str, str], words: str
) -> None:
    """A mistake is one line, and nobody is called."""
    ended = await shell.run("dial", people(tmp_path, 1), *TO_STANDUP, *rule)
    assert ended.code == 2
    assert words in ended.err
    assert emulator.ring_counts == {}


async def test_calling_hours(shell: "Shell", emulator: Emulator, tmp_path: Path) -> None:
    """A target outside them by its own zone is skipped, as no deadline lets it wait."""
    hour = datetime.now(UTC).hour
    # Where it is half past three in the morning or so, and where it is twelve hours later.
    ahead = next(ahead for ahead in range(-11, 12) if 3 <= (hour + ahead) % 24 <= 8)
    zones = f"Etc/GMT{-ahead:+d}", f"Etc/GMT{12 - ahead if ahead > 0 else -12 - ahead:+d}"
    file = tmp_path / "people.csv"
    rows = [f"+155586753{number:02},{zone}" for number, zone in enumerate(zones)]
    file.write_text("\n".join(["to,time_zone", *rows]))
    ended = await shell.run("dial", str(file), *TO_STANDUP, "--hours", "0:00-12:00")
    assert "not now      1: it is outside its calling hours at this time" in ended.out
    assert (ended.code, ended.out.splitlines()[-1]) == (
        1,
        "1 placed, 1 skipped (1: outside calling hours)",
    )
    assert emulator.rings("+15558675300") == 1


async def test_a_quorum(shell: "Shell", emulator: Emulator, tmp_path: Path) -> None:
    """When enough have joined, the phones of the rest are silent again."""
    for number in range(1, 3):
        emulator.script(f"+155586753{number:02}", Script(after=3600))
    ended = await shell.run("dial", people(tmp_path, 3), *TO_STANDUP, "--quorum", "1")
    assert ended.code in {0, 1}  # who had been called by then is a matter of time
    assert [call.to for call in emulator.participants("standup")] == ["+15558675300"]


async def test_who_does_not_join_is_called_again(
    shell: "Shell", emulator: Emulator, tmp_path: Path
) -> None:
    """So often and no oftener, and nobody else is."""
    emulator.script("+15558675301", Script(outcome="busy", after=0.1))
    again = ("--attempts", "2", "--redial-pause", "0.1")
    ended = await shell.run("dial", people(tmp_path, 2), *TO_STANDUP, *again, "--json")
    assert ended.code == 0
    reasons = {outcome["to"]: outcome["reason"] for outcome in ended.json["outcomes"]}
    assert reasons == {"***5300": "joined", "***5301": "not reached"}
    assert emulator.ring_counts == {"+15558675300": 1, "+15558675301": 2}


async def test_json_lines_and_rooms(shell: "Shell", emulator: Emulator, tmp_path: Path) -> None:
    """A JSON Lines file is dialled too, and spread over conferences."""
    file = tmp_path / "people.jsonl"
    file.write_text("".join(json.dumps({"to": f"+1555867530{n}"}) + "\n" for n in range(3)))
    ended = await shell.run("dial", str(file), *TO_STANDUP, "--room-size", "2")
    assert ended.code == 0
    assert {room.friendly_name for room in emulator.conferences} == {"standup-1", "standup-2"}


async def test_wrong_credentials_and_dead_hosts_end_it_at_once(
    shell: "Shell", emulator: Emulator, tmp_path: Path
) -> None:
    """A mistake that makes every call impossible is printed before the first one is tried."""
    file = people(tmp_path, 3)
    refused = await shell.run("dial", file, *TO_STANDUP, TWILIO_AUTH_TOKEN="wrong")
    assert (refused.code, emulator.count("create")) == (3, 0)
    await emulator.stop_listening()
    unreachable = await shell.run("dial", file, *TO_STANDUP)
    assert unreachable.code == 4


async def test_ctrl_c_stops_and_the_printed_command_goes_on(
    shell: "Shell", emulator: Emulator, tmp_path: Path
) -> None:
    """Ctrl-C ends it with 130 and the command that calls the rest, each of them once."""
    command = ("dial", people(tmp_path, 60), *TO_STANDUP[:4], "--cps", "10")
    process = await shell.start(*command)
    while len(emulator.starts) < 3:  # noqa: ASYNC110 -- another process has to get there
        await asyncio.sleep(0.02)
    process.send_signal(signal.SIGINT)
    stopped = await shell.end(process)
    assert stopped.code == 130
    called = len(emulator.starts)
    assert 3 <= called < 60
    printed = stopped.err.splitlines()[-1].strip()
    assert stopped.out.splitlines()[-1] == f"{called} placed, {60 - called} left"
    assert printed == f"conference-async campaign resume {command[1]}.standup.ledger"
    assert CALLER not in stopped.err
    resumed = await shell.run(*shlex.split(printed)[1:])
    assert (resumed.code, resumed.out.splitlines()[-1]) == (0, "60 placed")
    assert set(emulator.ring_counts.values()) == {1}
    assert len(emulator.ring_counts) == 60


async def test_a_service_out_of_reach_is_said_once(
    shell: "Shell", emulator: Emulator, tmp_path: Path
) -> None:
    """A run that stands still says why, and when it goes on; everybody is called once."""
    command = ("dial", people(tmp_path, 20), *TO_STANDUP[:4], "--cps", "10")
    async with shell.begun(*command) as running:
        while len(emulator.starts) < 3:  # noqa: ASYNC110 -- another thread has to get there
            await asyncio.sleep(0.02)
        await emulator.stop_listening()
        said = await running.stderr.readuntil(b"is tried again until Ctrl-C\n")
        await emulator.start_listening()
        ended = await running.end()
    assert b"cannot be reached" in said
    assert (ended.code, ended.out.splitlines()[-1]) == (0, "20 placed")
    assert ended.err.count("the service answers again") == 1
    assert "cannot be reached" not in ended.err
    assert b"answers again" not in said
    assert set(emulator.ring_counts.values()) == {1}


@pytest.mark.parametrize(
    ("ledger", "says"),
    [
        ("/tmp/my people/a.ledger", "  conference-async campaign resume '/tmp/my people/a.ledger'"),
        ("/tmp/+15558675310.ledger", "run the same command again"),
        ("/tmp/\u202e.ledger", "run the same command again"),
        ("postgresql://bob:p@ss/w@db/calls", "run the same command again"),
    ],
)
def test_what_goes_on_holds_no_secret(ledger: str, says: str) -> None:
    """The line can be pasted into a shell; a number or a password is not in it."""
    assert says in how_to_go_on(ledger)
    assert "p@ss" not in how_to_go_on(ledger)
    assert "5310" not in how_to_go_on(ledger)


@pytest.mark.parametrize(
    ("dsn", "says"),
    [
        ("postgresql://host/calls", "--watch 'postgresql://host/calls#to%20all'"),
        ("postgresql://bob@host/calls", "--watch 'postgresql://bob@host/calls#to%20all'"),
        ("postgresql://bob:p%40ss@h:1/calls", "--watch 'postgresql://bob@h:1/calls#to%20all'"),
        ("postgresql:///calls?host=/tmp", "--watch 'postgresql:///calls?host=/tmp#to%20all'"),
        ("postgresql://host/calls?password=p%40ss", None),
        ("postgresql://host/+15558675310", None),
    ],
)
def test_what_watches_holds_no_secret(dsn: str, says: str | None) -> None:
    """The line can be pasted into a shell; a number or a password is not in it."""
    told = how_to_watch(dsn, "to all")
    assert (told is None) == (says is None)
    assert says is None or says in str(told)
    assert "ss@" not in str(told)
    decide = how_to_decide(dsn, "to all")
    assert ("campaign cancel" in decide) == (says is not None)
    assert "ss@" not in decide


async def test_ctrl_c_twice_does_not_wait(
    shell: "Shell", emulator: Emulator, tmp_path: Path
) -> None:
    """A second Ctrl-C ends the command at once, and creates in flight are kept as unknown."""
    emulator.faults.add(Fault.STALL, times=100)
    ledger = tmp_path / "my.ledger"
    command = ("dial", people(tmp_path, 3), *TO_STANDUP, "--ledger", str(ledger), "--json")
    async with shell.begun(*command) as running:
        while len(emulator.starts) < 3:  # noqa: ASYNC110 -- another thread has to get there
            await asyncio.sleep(0.02)
        running.interrupt()
        assert b"Ctrl-C again" in await running.stderr.readline()
        running.interrupt()
        ended = await running.end()
    assert ended.code == 130
    assert ended.json["counts"]["unknown"] == 3
    emulator.faults.clear()
    status = await shell.run("campaign", "status", str(ledger), "--json")
    assert status.json["unknown"] == 3
    reconciled = await shell.run("campaign", "reconcile", str(ledger), "--json")
    assert reconciled.code == 0
    assert reconciled.json["counts"]["placed"] == 3
    assert set(emulator.ring_counts.values()) == {1}
