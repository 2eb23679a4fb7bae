"""A spreadsheet as a person exports it: from file to report, without an edit of the file."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Shell

COMMAND = (
    *("--conference", "standup", "--from", "+15017122661", "--cps", "30", "--emulator"),
    *("--column", "to=Telefon", "--column", "id=Nr", "--default-region", "US"),
    *("--hours", "mon-sun 00:00-23:59", "--assume-zone", "America/New_York", "--limit", "3/7d"),
)
ROWS = (
    "Nr;Name;Telefon;Notiz",
    "1;Bärbel;(212) 555-0101;ruft gern zurück",
    '2;"Grün; Ute";+1 212 555 0102;"zwei\r\nZeilen"',
    "3;Émile;'2125550103;",
    "4;Jörg;2,12556E+09;Excel",
    "5;;;",
    "6;Zoë;212-555-0101;noch einmal",
    "7;Ann;12125550107;national mit 1",
    ";;;",
)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8-sig", "utf-16"])
async def test_from_a_spreadsheet_to_its_report(
    bare_shell: "Shell", tmp_path: Path, encoding: str
) -> None:
    """Semicolons, CRLF, a mark or none, German headings, notes, and what Excel left of a number."""
    file, report = tmp_path / "Kontakte.csv", tmp_path / "report.csv"
    content = ("sep=;\r\n" + "\r\n".join(ROWS) + "\r\n").encode(encoding)
    file.write_bytes(content)
    command = ("dial", str(file), *COMMAND, "--journal", str(tmp_path / "calls.db"))

    refused = await bare_shell.run(*command)
    ended = await bare_shell.run(
        *command, "--skip-bad-rows", "--show-numbers", "--report", str(report)
    )

    assert refused.code == 2
    assert "Nr" not in refused.err
    assert "a spreadsheet turned this number into a decimal" in refused.err
    assert ended.code == 0
    assert "duplicates   1" in ended.out
    assert file.read_bytes() == content
    with report.open() as lines:
        rows = [(row["id"], row["to"].lstrip("'"), row["state"]) for row in csv.DictReader(lines)]
    assert rows == [
        ("1", "+12125550101", "placed"),
        ("2", "+12125550102", "placed"),
        ("3", "+12125550103", "placed"),
        ("7", "+12125550107", "placed"),
    ]
