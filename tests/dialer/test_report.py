"""What a report shows, to whom, and in which form."""

import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conference_async.dialer import Campaign, Ledger, Outcome, Report, State
from conference_async.errors import ConfigurationError
from conference_async.models import Participant

NOW = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
PLACED = Participant(status="queued", call_sid=f"CA{'1' * 32}", conference_sid=f"CF{'2' * 32}")


def read(path: Path) -> str:
    """Return what a file holds."""
    return path.read_text("utf-8")


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """Return the ledger of a campaign with one target of each kind."""
    async with Ledger(tmp_path / "campaign.db") as ledger:
        await ledger.begin(Campaign(name="standup", account_sid="AC1"))
        targets = [
            Outcome(target="standup/15558675310", to="+15558675310", conference="standup"),
            Outcome(target="#7", to="client:bob", conference="=standup"),
        ]
        await ledger.enrol(targets)
        sending = [target.claimed("t", "p1", NOW) for target in targets]
        for before, after in zip(targets, sending, strict=True):
            await ledger.swap(before, after)
        await ledger.swap(sending[0], sending[0].placed(PLACED, NOW))
        await ledger.swap(sending[1], sending[1].refused("-1: +15558675311 said no", NOW))
        yield ledger


async def text(lines: AsyncIterator[str]) -> str:
    """Return a whole report."""
    return "".join([line async for line in lines])


async def test_a_report_counts(ledger: Ledger) -> None:
    """Every state, those without targets too."""
    assert await Report(ledger).counts() == {
        **dict.fromkeys(State, 0),
        State.PLACED: 1,
        State.REFUSED: 1,
    }


async def test_a_csv_report_is_masked_and_harmless(ledger: Ledger) -> None:
    """No number can be read, and no cell is a formula."""
    rows = list(csv.DictReader(io.StringIO(await text(Report(ledger).csv()))))

    assert rows[0] == {
        "target": "standup/***5310",
        "to": "***5310",
        "conference": "standup",
        "state": "placed",
        "attempts": "1",
        "call_sid": PLACED.call_sid,
        "conference_sid": PLACED.conference_sid,
        "label": "p1",
        "sent_at": "2026-01-31 12:30:00+00:00",
        "ended_at": "2026-01-31 12:30:00+00:00",
        "reason": "",
    }
    assert rows[1]["conference"] == "'=standup"
    assert rows[1]["reason"] == "'-1: ***5311 said no"
    assert rows[1]["to"] == "client:***"


async def test_numbers_are_shown_on_request(ledger: Ledger) -> None:
    """And are no formulas either."""
    rows = list(csv.DictReader(io.StringIO(await text(Report(ledger, show_numbers=True).csv()))))

    assert (rows[0]["target"], rows[0]["to"]) == ("standup/15558675310", "'+15558675310")


async def test_a_json_report_is_one_document(ledger: Ledger) -> None:
    """With the campaign, the counts and the targets; an empty ledger has none."""
    report = json.loads(await text(Report(ledger).json()))

    assert report["campaign"] == "standup"
    assert report["counts"]["placed"] == 1
    assert [target["to"] for target in report["targets"]] == ["***5310", "client:***"]
    assert report["targets"][0]["attempts"] == 1
    assert json.loads(await text(Report(Ledger()).json()))["targets"] == []


async def test_a_report_of_some_states(ledger: Ledger) -> None:
    """Those who need a person's attention, say."""
    rows = [row async for row in Report(ledger).rows(State.REFUSED)]

    assert [row["target"] for row in rows] == ["#7"]


@pytest.mark.parametrize("name", ["report.csv", "report.JSON"])
async def test_a_report_is_saved_for_its_owner(ledger: Ledger, tmp_path: Path, name: str) -> None:
    """Whole, in the form that the name says, and private."""
    report, path = Report(ledger), tmp_path / name

    await report.save(path)

    form = report.csv if name.endswith("csv") else report.json
    assert read(path).splitlines() == (await text(form())).splitlines()
    assert path.stat().st_mode & 0o077 == 0


async def test_a_long_report_is_saved_in_pieces(tmp_path: Path) -> None:
    """Nothing is lost between them."""
    async with Ledger() as ledger:
        await ledger.begin(Campaign(name="standup", account_sid="AC1"))
        await ledger.enrol(
            [Outcome(target=f"#{n}", to="client:bob", conference="standup") for n in range(1300)]
        )
        await Report(ledger).save(tmp_path / "report.csv")

    assert len(read(tmp_path / "report.csv").splitlines()) == 1301


async def test_what_cannot_be_saved_is_an_error_of_ours(ledger: Ledger, tmp_path: Path) -> None:
    """Neither an unknown form nor a missing folder is a bare OSError."""
    with pytest.raises(ConfigurationError, match=r"as \.csv or \.json, not report\.xlsx"):
        await Report(ledger).save(tmp_path / "report.xlsx")
    with pytest.raises(ConfigurationError, match=r"cannot write report\.csv: No such file"):
        await Report(ledger).save(tmp_path / "nowhere" / "report.csv")
