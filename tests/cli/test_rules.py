"""Contact rules as options, and why a number is not called."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Shell

Files: TypeAlias = Callable[[], list[str]]

COMMAND = ("--conference", "standup", "--from", "+15017122661", "--cps", "30", "--emulator")
ALICE, BOB = "+12125550101", "+12125550102"
ALWAYS = ("--hours", "mon-fri 00:00-23:59", "--hours", "sat-sun 00:00-23:59")


@pytest.fixture
def people(tmp_path: Path) -> str:
    """Return a file of two people, one of whom is to be called in days to come."""
    file = tmp_path / "people.csv"
    file.write_text(f"to,not_before,id\n{ALICE},,a\n{BOB},2099-12-24T09:00+01:00,b\n")
    return str(file)


async def test_whom_one_campaign_called_another_does_not(
    bare_shell: "Shell", tmp_path: Path, people: str
) -> None:
    """The plan says so, the report, and explain, for a number in any spelling."""
    journal, ledgers = str(tmp_path / "calls.db"), [str(tmp_path / f"{n}.ledger") for n in range(2)]
    rules = (*ALWAYS, "--limit", "1/7d", "--gap", "4h", "--journal", journal, "--purpose", "news")
    ran = [
        await bare_shell.run("dial", people, *COMMAND, *rules, "--ledger", ledger)
        for ledger in ledgers
    ]
    ended = ran[1]

    assert [each.code for each in ran] == [1, 1]
    assert "not now      1: no more than 1 call in 7 days" in ended.out
    assert "not now      1: it is not to be called" in ended.out
    first = await bare_shell.run("campaign", "explain", ledgers[0], ALICE)
    assert "why\tit was called" in first.out
    assert ALICE not in first.out
    second = await bare_shell.run("campaign", "explain", ledgers[1], "+1 (212) 555-0101", "--json")
    assert second.json["why"].startswith("no more than 1 call in 7 days until ")
    assert second.json["state"] == "skipped"
    (call,) = second.json["contacts"]
    assert (call["campaign"], call["purpose"]) == ("people.csv to standup", "news")
    later = await bare_shell.run("campaign", "explain", ledgers[1], BOB)
    assert "why\tit is not to be called until 24 Dec 08:00 UTC" in later.out
    nobody = await bare_shell.run("campaign", "explain", ledgers[1], "+12125550199")
    assert nobody.code == 2
    assert "nobody in this campaign has that number" in nobody.err
    missing = await bare_shell.run("campaign", "explain", f"{ledgers[1]}.none", ALICE)
    assert "there is no ledger" in missing.err


async def test_rules_with_a_name_say_where_they_are_from(
    bare_shell: "Shell", tmp_path: Path, people: str
) -> None:
    """And that they are no advice; a zone that is assumed is said."""
    ended = await bare_shell.run(
        *("dial", people, *COMMAND, "--preset", "us-debt", "--journal", str(tmp_path / "calls.db")),
        *("--assume-zone", "America/Denver", "--dry-run"),
    )
    assert ended.code == 0
    assert "US debt collection: 8 to 21 h local, 7 in 7 days, by 12 CFR 1006" in ended.out
    assert "no legal advice" in ended.out
    assert "are taken to be in America/Denver" in ended.out


async def test_holidays_are_read_from_a_file(
    bare_shell: "Shell", tmp_path: Path, people: str
) -> None:
    """With comments; a line that is no day is named."""
    days = tmp_path / "days.txt"
    days.write_text("# Christmas\n\n2026-12-25  # Friday\n")
    command = ("dial", people, *COMMAND, *ALWAYS, "--dry-run", "--holidays", str(days))
    assert (await bare_shell.run(*command)).code == 0
    days.write_text("2026-12-25\n25.12.2026\n")
    ended = await bare_shell.run(*command)
    assert ended.code == 2
    assert "days.txt, line 2: must be a day, such as 2026-12-25" in ended.err


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (("--limit", "3"), "--limit needs a time such as 30m, 4h or 7d"),
        (("--limit", "x/7d"), "--limit must be like 7/7d or 3/24h:sales"),
        (("--limit", "1/400d"), "of at most 366 days"),
        (("--gap", "4"), "--gap needs a time such as 30m, 4h or 7d"),
        (("--limit", "1/1d"), "a journal that campaigns share"),
        (("--preset", "de"), "there are rules for us, us-debt, fr, not for 'de'"),
        (("--hours", "mun 09:00-10:00"), "days must be some of mon, tue"),
        (("--assume-zone", "Mars"), "'Mars' is no time zone"),
    ],
)
async def test_rules_that_are_none(
    bare_shell: "Shell", people: str, files: Files, rule: tuple[str, ...], words: str
) -> None:
    """A mistake is one line with code 2, nobody is called, and nothing is left behind."""
    ended = await bare_shell.run("dial", people, *COMMAND, *rule)
    assert ended.code == 2
    assert words in ended.err
    assert files() == ["people.csv"]
