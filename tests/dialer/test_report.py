"""Reports: the fields shown, the masks on them, and the forms."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest

from conference_async import Ledger, Outcome, Report, State
from conference_async.dialer import Campaign
from conference_async.dialer.ledger.private_file import PrivateFile
from conference_async.errors import ConfigurationError
from conference_async.models import Participant

NOW = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
PLACED = Participant(status="queued", call_sid=f"CA{'1' * 32}", conference_sid=f"CF{'2' * 32}")


def read(path: Path) -> str:
    """Return what a file holds."""
    return path.read_text("utf-8")


def names(folder: Path) -> list[str]:
    """Return what is in a folder, but for what SQLite keeps beside an open file."""
    return sorted(
        path.name
        for path in folder.iterdir()
        if not path.name.endswith(("-wal", "-shm", "-journal"))
    )


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
        "row": "",
        "id": "",
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


async def test_a_report_is_joined_to_its_file_and_says_what_it_lacks(ledger: Ledger) -> None:
    """By line, identifier and label, whatever became of a row; masked unless asked for."""
    targets = [
        Outcome(
            target=f"#{order}",
            to="+15558675312",
            conference="standup",
            row=line,
            id=order,
            own_label=label,
        )
        for line, order, label in ((2, "15558675312", "carol"), (3, "order 7", None))
    ]
    await ledger.end()
    await ledger.begin(Campaign(name="standup", account_sid="AC1", total=10))
    await ledger.enrol([attrs.evolve(targets[0], row=8, own_label="dan"), targets[1]])
    await ledger.enrol(targets)  # the file was edited
    await ledger.swap(targets[0], targets[0].skipped("no", NOW))

    document = await text((report := Report(ledger)).json())

    found = json.loads(document)
    joined = [(each["row"], each["id"], each["label"]) for each in found["targets"]]
    assert joined == [
        (None, None, "p1"),
        (None, None, "p1"),
        (2, "***5312", "carol"),
        (3, "order 7", None),
    ]
    assert found["missing"] == report.missing == 6
    assert sum(found["counts"].values()) == 10
    assert found["counts"]["planned"] == 7
    whole = [row["id"] async for row in Report(ledger, show_numbers=True).rows(State.SKIPPED)]
    assert whole == ["15558675312"]


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


async def test_a_report_replaces_one_that_others_could_read(ledger: Ledger, tmp_path: Path) -> None:
    """Its mode is not taken over, a reader of the old one sees nothing new, a link stays one."""
    (old := tmp_path / "old.csv").write_text("old")
    old.chmod(0o644)
    (link := tmp_path / "report.csv").symlink_to(old)

    with old.open() as reader:
        await Report(ledger, show_numbers=True).save(link)
        assert reader.read() == "old"

    assert old.stat().st_mode & 0o777 == 0o600
    assert link.is_symlink()
    assert "+15558675310" in read(old)


async def test_a_report_that_fails_leaves_the_old_one(ledger: Ledger, tmp_path: Path) -> None:
    """Nothing half written stays behind, neither on an error nor when it is cancelled."""
    (path := tmp_path / "report.csv").write_text("old")
    report = Report(ledger)
    saving = asyncio.create_task(report.save(path))
    await asyncio.sleep(0)
    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving
    path.unlink()
    path.mkdir()
    with pytest.raises(ConfigurationError, match="cannot write report\\.csv"):
        await report.save(path)

    assert names(tmp_path) == ["campaign.db", "campaign.db.lock", "report.csv"]


def test_a_discarded_file_stays_discarded(tmp_path: Path) -> None:
    """A thread that writes after nobody waited for it any more makes no file."""
    file = PrivateFile(tmp_path / "report.csv")
    file.write(["one"])
    file.discard()
    file.write(["two"])
    file.keep()

    assert list(tmp_path.iterdir()) == []


async def test_a_report_moves_no_cursor_and_computes_nothing(tmp_path: Path) -> None:
    """The service's words are spelled out, and harmless in a spreadsheet of any country."""
    said = {
        "\x1b[2Jbad\x9b\u202e\x7f": r"\x1b[2Jbad\x9b<U+202E>\x7f",
        "=1+1": "'=1+1",
        " @SUM(A1)": "' @SUM(A1)",
        "\uff1dA1": "'\uff1dA1",
        "\uff0bA1": "'\uff0bA1",
        "\uff0dA1": "'\uff0dA1",
        "\uff20A1": "'\uff20A1",
        "no;=1+1": "no;'=1+1",
        "\t=1": r"\t=1",
        "two\nlines": r"two\nlines",
    }
    async with Ledger(tmp_path / "campaign.db") as ledger:
        await ledger.begin(Campaign(name="standup", account_sid="AC1"))
        for number, words in enumerate(said):
            target = Outcome(target=f"#{number}", to="client:bob", conference="standup")
            await ledger.enrol([target])
            sending = target.claimed("t", f"p{number}", NOW)
            await ledger.swap(target, sending)
            await ledger.swap(sending, sending.refused(words, NOW))

        table, document = await text(Report(ledger).csv()), await text(Report(ledger).json())

    assert [row["reason"] for row in csv.DictReader(io.StringIO(table))] == list(said.values())
    assert [target["reason"] for target in json.loads(document)["targets"]] == list(said)
    assert all(line.isprintable() for line in [*table.splitlines(), *document.splitlines()])


async def test_what_cannot_be_saved_is_an_error_of_ours(ledger: Ledger, tmp_path: Path) -> None:
    """Neither an unknown form nor a missing folder is a bare OSError."""
    with pytest.raises(ConfigurationError, match=r"as \.csv or \.json, not report\.xlsx"):
        await Report(ledger).save(tmp_path / "report.xlsx")
    with pytest.raises(ConfigurationError, match=r"cannot write report\.csv: No such file"):
        await Report(ledger).save(tmp_path / "nowhere" / "report.csv")
    with pytest.raises(ConfigurationError, match="embedded null"):
        await Report(ledger).save(tmp_path / "re\x00port.csv")
