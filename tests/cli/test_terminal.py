"""The command line as a person sees it at a terminal."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conference_async.emulator import Emulator, Fault

if TYPE_CHECKING:
    from tests.cli.conftest import Shell

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[[0-9;]*(3[0-7]|38;)[0-9;]*m")
CREATE = ("create", "standup", "--from", "+15017122661", "--to", "+15558675310")


async def test_a_demo_is_lively(bare_shell: "Shell") -> None:
    """A terminal shows a bar that moves, a table, and colours."""
    ended = await bare_shell.process_on_terminal("demo", "--cps", "30", columns=100)
    assert ended.code == 0
    plain = ESCAPE.sub("", ended.out)
    assert re.search(r"dialling ━+ +12/12 ", plain)
    assert re.search(r"Label +Call SID +State", plain)
    assert re.search(r"carol +CA[0-9a-f]{32} +connected, on hold", plain)
    assert COLOUR.search(ended.out)


async def test_no_color(bare_shell: "Shell") -> None:
    """NO_COLOR is respected."""
    ended = await bare_shell.terminal("demo", "--cps", "30", NO_COLOR="1")
    assert ended.code == 0
    assert COLOUR.search(ended.out) is None


@pytest.mark.parametrize("columns", [80, 200])
async def test_tables_fit(shell: "Shell", columns: int) -> None:
    """A long label is folded, a SID never, and its markup is only text."""
    label = "[bold]" + "long label " * 11
    created = await shell.terminal(*CREATE, "--label", label, columns=columns)
    assert created.code == 0
    assert "[bold]long label" in created.out
    for arguments in (["list", "standup"], ["show", "standup", label]):
        lines = ESCAPE.sub("", (await shell.terminal(*arguments, columns=columns)).out).splitlines()
        assert max(map(len, lines)) <= columns
        assert re.search(r"CA[0-9a-f]{32}\b", "\n".join(lines))


async def test_where_a_table_has_no_room_there_are_lines(shell: "Shell") -> None:
    """Instead of columns without a character in them: nothing is left out, nothing cut up."""
    created = await shell.terminal(*CREATE, "--label", "alice", columns=40)
    listed = await shell.terminal("list", "standup", columns=40)
    conferences = await shell.terminal("conferences", columns=40)

    assert re.search(r"^alice\tCA[0-9a-f]{32}\tqueued$", created.out, re.MULTILINE)
    assert re.search(r"^alice\tCA[0-9a-f]{32}\t\w+$", listed.out, re.MULTILINE)
    assert re.search(r"^standup\tCF[0-9a-f]{32}\t", conferences.out, re.MULTILINE)


async def test_80_columns_show_all_of_a_participant(shell: "Shell") -> None:
    """A label that the library made up stands on one line, and a long value is not cut off."""
    plain = ESCAPE.sub("", (await shell.terminal(*CREATE)).out)
    row = re.search(r"^(p[0-9a-f]{30}) +CA[0-9a-f]{32} +queued", plain, re.MULTILINE)
    assert row is not None
    shown = ESCAPE.sub("", (await shell.terminal("show", "standup", row[1])).out)
    assert ".json" in "".join(shown.split())


async def test_problems_are_told_above_the_bar(
    shell: "Shell", emulator: Emulator, tmp_path: Path
) -> None:
    """A refusal is printed above the bar, which goes on."""
    emulator.faults.add(Fault.LABEL_CLASH, to="+15558675311")
    people = tmp_path / "people.csv"
    people.write_text("to,label\n+15558675310,alice\n+15558675311,bob\n")
    to = ("--conference", "standup", "--from", "+15017122661", "--cps", "30")
    ended = await shell.terminal("dial", str(people), *to)
    assert ended.code == 1
    plain = ESCAPE.sub("", ended.out)
    assert "conference-async: ***5311 refused: " in plain
    assert re.search(r"2/2 .*1 placed, 1 refused|2/2 .*1 refused, 1 placed", plain)


async def test_lines_break_between_words(bare_shell: "Shell", tmp_path: Path) -> None:
    """The problems fit a terminal of 80 by 24, and the sum is on its last lines."""
    people = tmp_path / "people.csv"
    people.write_text("to\n+15558675310\n" + "15558675311\n" * 30)
    to = ("--conference", "standup", "--from", "+15017122661", "--skip-bad-rows", "--dry-run")
    ended = await bare_shell.terminal("dial", str(people), *to, "--emulator")
    lines = ESCAPE.sub("", ended.out).splitlines()
    assert ended.code == 0
    assert max(len(line) for line in lines if str(tmp_path) not in line) <= 80
    last = [line.split()[0] for line in lines[-6:] if not line.startswith(" ")]
    assert last == ["to", "conferences", "takes", "ledger"]


@pytest.mark.parametrize("form", [[], ["--json"]])
async def test_nothing_from_outside_moves_the_cursor(
    shell: "Shell", emulator: Emulator, tmp_path: Path, form: list[str]
) -> None:
    """Labels and names are shown with their escapes and marks spelled out, in JSON too."""
    label = "al\u202eice\u200b"
    assert (await shell.run(*CREATE, "--label", label, *form)).code == 0
    for arguments in (["list", "standup"], ["show", "standup", label]):
        ended = await shell.run(*arguments, *form)
        assert all(line.isprintable() for line in re.split(r"[\n\t]", ended.out))
        assert (r"al\u202eice\u200b" if form else "al<U+202E>ice<U+200B>") in ended.out
