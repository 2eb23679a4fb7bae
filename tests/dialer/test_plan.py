"""Plans made of files and iterables; nothing here sends anything."""

import asyncio
import json
import os
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Unpack

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conference_async import ConferenceError, Plan, Preview
from conference_async.dialer import FileOptions, Target
from conference_async.errors import ConfigurationError, InvalidParameter
from conference_async.models import NewParticipant
from tests.conftest import UNMEASURED

OURS = "+15017122661"


def someone(number: int) -> NewParticipant:
    """Return a request for one of ten thousand made-up numbers."""
    return NewParticipant(from_=OURS, to=f"+1555867{number:04d}")


def planned(path: Path, **options: Unpack[FileOptions]) -> Plan:
    """Return a plan of a CSV file that calls into the stand-up."""
    merged: FileOptions = {"conference": "standup", "from_": OURS, **options}
    return Plan.from_csv(path, **merged)


def csv(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    """Write a CSV file."""
    path = tmp_path / "people.csv"
    path.write_bytes(text.encode(encoding))
    return path


async def targets(plan: Plan) -> list[Target]:
    """Return all targets of a plan."""
    return [target async for batch in plan.batches() for target in batch]


async def reasons(path: Path) -> dict[int, str]:
    """Return what is wrong with which line."""
    return {problem.row: problem.reason for problem in (await planned(path).preview()).problems}


async def test_the_target_column_alone_suffices(tmp_path: Path) -> None:
    """Caller and conference come from the plan where the rows name none."""
    plan = planned(csv(tmp_path, "to\n+15558675310\n\n+15558675311\n"))

    first, second = await targets(plan)

    assert first.new == NewParticipant(from_=OURS, to="+15558675310")
    assert (first.conference, first.row, first.key) == ("standup", 2, "standup/15558675310")
    assert (second.to, second.row) == ("+15558675311", 4)
    assert "8675310" not in repr(first)
    assert repr(plan) == "<Plan 'people.csv to standup'>"


async def test_a_row_that_is_like_the_one_before_is_checked_all_the_same(tmp_path: Path) -> None:
    """Who is called differs, and 1 is no true where a flag is asked for, whatever came before."""
    path = csv(tmp_path, f"to,from\nclient:bob,client:me\nclient:{'b' * 257},client:me\n")
    assert await reasons(path) == {
        3: "to: must name a client by at most 256 characters (the service's error 21211)"
    }

    path = tmp_path / "people.jsonl"
    rows = [
        {"to": f"+1555867531{row}", "early_media": early, "priority": row}
        for row, early in enumerate([True, 1])
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    preview = await Plan.from_jsonl(path, conference="standup", from_=OURS).preview()
    assert [(each.row, each.reason) for each in preview.problems] == [
        (2, "early_media: must be the bool True or False, not int")
    ]


async def test_every_parameter_can_be_a_column(tmp_path: Path) -> None:
    """Headings are ours or the service's; cells become what the parameter wants."""
    path = csv(
        tmp_path,
        "From,To,StatusCallback,status_callback_event,EarlyMedia,time limit,"
        "Beep,label,id,time_zone\n"
        "client:alice,sip:bob@example.com,https://example.com/events,"
        '"ringing, answered",no,600,onEnter,bob,7,Europe/Dublin\n',
    )

    (target,) = await targets(Plan.from_csv(path, conference="standup"))

    assert target.new == NewParticipant(
        from_="client:alice",
        to="sip:bob@example.com",
        status_callback="https://example.com/events",
        status_callback_event=("ringing", "answered"),
        early_media=False,
        time_limit=600,
        beep="onEnter",
        label="bob",
    )
    assert (target.key, target.time_zone) == ("#7", "Europe/Dublin")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
async def test_files_of_every_spreadsheet_are_read(
    tmp_path: Path, delimiter: str, encoding: str
) -> None:
    """Delimiter and encoding are found out, and a guess is said."""
    text = "to,call_reason\r\n+15558675310,Café\r\n".replace(",", delimiter)
    plan = planned(csv(tmp_path, text, encoding))

    (target,) = await targets(plan)

    assert target.new.call_reason == "Café"
    guessed = ("people.csv is not UTF-8, and was read as cp1252",)
    assert (await plan.preview()).notes == (guessed if encoding == "cp1252" else ())


async def test_all_bad_rows_are_reported_at_once(tmp_path: Path) -> None:
    """Each with its line and a reason, and none shows a number."""
    path = csv(
        tmp_path,
        "to,muted,timeout,wait_url,time_zone,label\n"
        "+15558675310,maybe,,,,\n"
        "+15558675311,,soon,,,\n"
        "+15558675312,,900,,,\n"
        "+15558675313,,,/music,,\n"
        "+15558675314,,,,Dublin,\n"
        ",yes,,,,\n"
        "+15558675315,,,,,,one,more\n"
        '"+15558675316"x,,,,,\n'
        "+15558675317,,,,,bob\n"
        "+15558675318,,,,,bob\n"
        f"+15558675319,,{'1' * 5000},,,\n",
    )

    problems = await reasons(path)

    assert problems.keys() == {2, 3, 4, 5, 6, 7, 8, 9, 11, 12}
    assert problems[2] == "muted: must be true or false, yes or no, 1 or 0"
    assert problems[3] == problems[12] == "timeout: must be a whole number"
    assert problems[4].startswith("timeout: must be an int from 5 to 600")
    assert problems[5].startswith("wait_url: must be an absolute URL")
    assert problems[6] == "time_zone: 'Dublin' is no time zone; write it as Europe/Dublin"
    assert problems[7].startswith("to: must be given")
    assert problems[8] == "has 8 cells for 6 columns"
    assert problems[9].startswith("broken quotes")
    assert problems[11] == "label: 'bob' is that of an earlier row"


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("15558675310", "a spreadsheet may have eaten it"),
        ("5558675310", "a spreadsheet may have eaten it"),
        ("1.55587E+10", "a spreadsheet turned this number into a decimal"),
        ("15558675310.0", "a spreadsheet turned this number into a decimal"),
        ("+1555867", "too few or too many digits"),
        ("+999155586753", "is no phone number"),
        ("+1 555 867 5310 ext. 5", "has an extension"),
        ("Alice", "is no phone number"),
        ("911", "no +"),
        ("mailto:alice@example.com", "must be a phone number, or begin with sip:"),
    ],
)
async def test_what_cannot_be_dialled_says_why(tmp_path: Path, written: str, reason: str) -> None:
    """The plus that spreadsheets eat is never guessed: a guess would ring a stranger."""
    problems = await reasons(csv(tmp_path, f"to\n{written}\n"))

    assert reason in problems[2]
    assert "8675310" not in problems[2]


async def test_duplicates_are_found_by_number(tmp_path: Path) -> None:
    """However it is spelt; the same number in another conference, or a new id for it, too."""
    path = csv(
        tmp_path,
        "to,conference,id\n"
        "+15558675310,,1\n"
        "+1 555-867-5310,,2\n"
        "+15558675311,,1\n"
        "+15558675310,retro,3\n",
    )
    plan = planned(path)

    preview = await plan.preview()

    assert (preview.rows, preview.good, preview.bad, preview.duplicates) == (4, 2, 0, 2)
    assert [problem.row for problem in preview.repeats] == [3, 4]
    assert [target.row for target in await targets(plan)] == [2, 5]
    assert preview.rooms == 2


async def test_targets_are_spread_over_rooms() -> None:
    """A room holds as many as asked, and a target's key does not depend on its room."""
    people = [someone(number) for number in (1, 2, 2, 3, 4, 5)]
    plan = Plan.from_participants(people, conference="standup", room_size=2)

    found = await targets(plan)

    assert [target.conference for target in found] == [
        "standup-1",
        "standup-1",
        "standup-2",
        "standup-2",
        "standup-3",
    ]  # fmt: skip -- one line per room says nothing more
    assert found[4].key == "standup/15558670005"
    assert (await plan.preview()).rooms == 3
    assert (await plan.preview()).eta(cps=2) == 2


async def test_a_caller_is_read_like_a_number(tmp_path: Path) -> None:
    """A column of callers has the same blanks and invisible marks as one of numbers."""
    path = csv(
        tmp_path, "to,from\n+15558675310,+1 501 712-2661\n+15558675311,\u202a+15017122661\u202c\n"
    )
    plan = planned(path, skip_bad_rows=True)

    (target,) = await targets(plan)

    assert target.new.from_ == OURS
    assert (await plan.preview()).problems[0].reason.startswith("from_: holds <U+202A>, <U+202C>")


async def test_a_preview_counts_whom_the_rules_withhold(tmp_path: Path) -> None:
    """By the reason, without which they would count as called; the plan's own count stays."""
    plan = planned(csv(tmp_path, "to\n" + "".join(f"+1555867{n:04d}\n" for n in range(5))))

    async def why_not(targets: Sequence[Target]) -> list[str | None]:
        return ["it is odd" if int(target.to[-1]) % 2 else None for target in targets]

    asked = await plan.preview(why_not)

    assert (asked.good, asked.to_call, asked.withheld) == (5, 3, {"it is odd": 2})
    assert asked.eta(cps=1) == 2
    assert (await plan.preview()).withheld == {}
    assert await plan.check() == 5


async def test_a_crowded_room_is_noted(tmp_path: Path) -> None:
    """A conference holds 250 at once, which a person should know before dialling."""
    plan = Plan.from_participants([someone(n) for n in range(251)], conference="standup")

    assert "251 targets go to one conference" in (await plan.preview()).notes[0]


async def test_rooms_of_rows_and_rooms_by_size_exclude_each_other(tmp_path: Path) -> None:
    """A row with a conference of its own is bad in a plan that numbers its rooms."""
    path = csv(tmp_path, "to,conference\n+15558675310,retro\n")
    plan = planned(path, room_size=5)

    assert "cannot go with rooms of 5" in (await plan.preview()).problems[0].reason


async def test_a_row_needs_a_conference(tmp_path: Path) -> None:
    """A row is a problem if neither it nor the plan names a conference."""
    plan = planned(csv(tmp_path, "to\n+15558675310\n"), conference=None)

    assert "conference: must be given" in (await plan.preview()).problems[0].reason


@pytest.mark.parametrize("size", [0, 251])
def test_a_room_has_bounds(size: int) -> None:
    """The service's conferences hold at most 250."""
    with pytest.raises(ConfigurationError, match="1 to 250"):
        Plan.from_participants([], conference="standup", room_size=size)


def test_rooms_are_numbered_by_name() -> None:
    """The SID of one conference cannot become several."""
    with pytest.raises(ConfigurationError, match="friendly name"):
        Plan.from_participants([], conference=f"CF{'0' * 32}", room_size=5)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("+15558675310\n", r"none is called 'to'; the first line has '\*\*\*5310'\. Say"),
        ("Name;Telefon\n", "the first line has 'Name', 'Telefon'"),
        ("\u202ato\n", r"the first line has '<U\+202A>to'"),
        (",".join(f"c{n}" for n in range(12)), "'c9', …"),
        ("", "the file is empty"),
        ("sep=;\n\n", "the file is empty"),
        ("to,To\n", "two columns are 'to'"),
        ("to,machine_detecton\n", "did you mean 'machine_detection'"),
    ],
)
async def test_headings_are_checked(tmp_path: Path, text: str, error: str) -> None:
    """A misspelt parameter must not be ignored."""
    with pytest.raises(InvalidParameter, match=error):
        await planned(csv(tmp_path, text)).preview()


async def test_headings_of_other_names(tmp_path: Path) -> None:
    """A person's own headings are named once, and then go before those of ours."""
    path = csv(tmp_path, "Telefon ;to;Wer\n+15558675310;+15558675311;alice\n")
    plan = planned(path, columns={"telefon": "to", "Wer": "Label"})

    (target,) = await targets(plan)

    assert (target.to, target.new.label) == ("+15558675310", "alice")
    assert (await plan.preview()).notes == ("columns that are no parameters are ignored: to",)
    lines = tmp_path / "people.jsonl"
    lines.write_text('{"Telefon": "+15558675310", "to": 1}\n')
    of_lines = Plan.from_jsonl(lines, conference="standup", from_=OURS, columns={"Telefon": "to"})
    assert [target.to for target in await targets(of_lines)] == ["+15558675310"]


async def test_headings_that_stand_for_nothing_are_mistakes(tmp_path: Path) -> None:
    """A column named wrongly, twice, or not in the file is an error that lists what is there."""
    with pytest.raises(ConfigurationError, match="'lable' is no parameter; did you mean 'label'"):
        planned(tmp_path, columns={"Wer": "lable"})
    with pytest.raises(ConfigurationError, match="two headings are to be 'to'"):
        planned(tmp_path, columns={"Telefon": "to", "Mobil": "to"})
    with pytest.raises(InvalidParameter, match="no 'telefon'; the first line has 'Tel', 'to'"):
        await planned(csv(tmp_path, "Tel,to\n"), columns={"Telefon": "to"}).preview()


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\r\nto;label\r\n+15558675310;a,b\r\n",
        '\ufeff\n"sep=;"\nto;label\n+15558675310;a,b\n',
        "SEP=|\nto|label\n+15558675310|a,b\n",
    ],
)
async def test_a_line_that_names_the_separator_is_no_heading(tmp_path: Path, text: str) -> None:
    """Spreadsheets write one so that the file opens rightly; lines keep their numbers."""
    (target,) = await targets(planned(csv(tmp_path, text)))

    assert target.new.label == "a,b"
    assert target.row == text.count("\n")


async def test_empty_cells_at_the_end_are_no_cells(tmp_path: Path) -> None:
    """A spreadsheet fills rows up, and leaves lines of blanks at the end."""
    path = csv(tmp_path, "to;label\n+15558675310;a;;\n ; ;;\n")

    assert [target.row for target in await targets(planned(path))] == [2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"default_region": "Germany"}, "two letters"),
        ({"default_regoin": "DE"}, "default_regoin is no option of a plan"),
        ({"room_size": 2.5}, "room_size must be 1 to 250"),
        ({"room_size": "many"}, "room_size must be 1 to 250"),
    ],
)
def test_options_are_checked_before_a_file_is_read(options: FileOptions, words: str) -> None:
    """A mistake in them is not that of every row."""
    with pytest.raises(ConfigurationError, match=words):
        planned(Path("people.csv"), **options)


async def test_requests_may_leave_out_their_country() -> None:
    """With a region their numbers are completed, and a wrong one is a bad row."""
    people = [NewParticipant(from_=OURS, to=to) for to in ("5558675310", "8675310")]
    plan = Plan.from_participants(people, conference="standup", default_region="US")

    preview = await plan.preview()

    assert (preview.good, [problem.row for problem in preview.problems]) == (1, [2])
    (alone,) = await targets(
        Plan.from_participants(people[:1], conference="standup", default_region="US")
    )
    assert (alone.to, alone.new.to, alone.key) == (
        "+15558675310",
        "+15558675310",
        "standup/15558675310",
    )


async def test_other_columns_are_ignored_and_noted(tmp_path: Path) -> None:
    """A list of people has columns of its own, and a person sees which were not used."""
    plan = planned(csv(tmp_path, "\nto,shoe size,\n+15558675310,44,\n"))

    preview = await plan.preview()

    assert preview.good == 1
    assert preview.notes == ("columns that are no parameters are ignored: shoe size",)


async def test_an_unknown_default_is_a_mistake_of_the_caller() -> None:
    """It is refused when the plan is made."""
    with pytest.raises(ConfigurationError, match="shoe_size is no parameter"):
        planned(Path("people.csv"), defaults={"shoe_size": 44})


async def test_what_cannot_be_read_is_an_error_of_ours(tmp_path: Path) -> None:
    """No bare OSError or UnicodeError reaches the caller."""
    with pytest.raises(ConfigurationError, match="No such file"):
        await planned(tmp_path / "nobody.csv").preview()
    (tmp_path / "noise.csv").write_bytes(b"to\n\x81\xff\n")
    with pytest.raises(ConfigurationError, match="it is not text"):
        await planned(tmp_path / "noise.csv").preview()
    (tmp_path / "people.xlsx").write_bytes(b"PK\x03\x04and so on")
    with pytest.raises(ConfigurationError, match="is a workbook: save it as CSV"):
        await planned(tmp_path / "people.xlsx").preview()
    with pytest.raises(ConfigurationError, match=r"cannot read .*embedded null"):
        await planned(Path("people\x00.csv")).preview()


async def test_json_lines_are_rows(tmp_path: Path) -> None:
    """Values keep their types; names are those of the columns, and `extra` may be given."""
    lines: list[object] = [
        {"to": "+15558675310", "Muted": True, "label": None, "extra": {"New": "1"}, "shoe": 44},
        {
            "to": "+15558675311",
            "timeout": "30",
            "status_callback_event": ["ringing"],
            "status_callback": "https://example.com/events",
        },
        {"to": 15558675312},
        [],
        {"to": "client:\ud800"},
        {"to": "client:alice", "id": "\ud800"},
    ]  # fmt: skip -- a row per line
    path = tmp_path / "people.jsonl"
    odd = ["{", "[" * 100_000, '{"to": ' + "1" * 5000 + "}", '{"to": "client:a", "to": "client:b"}']
    odd.append('{"to": "client:a", "To": "client:b"}')
    path.write_text("\n".join([*map(json.dumps, lines), "", *odd]))
    plan = Plan.from_jsonl(path, conference="standup", from_=OURS, skip_bad_rows=True)

    first, second = await targets(plan)
    preview = await plan.preview()

    assert first.new.muted is True
    assert first.new.extra == {"New": "1"}
    assert (second.new.timeout, second.new.status_callback_event) == (30, ("ringing",))
    problems = {problem.row: problem.reason for problem in preview.problems}
    assert problems.keys() == {3, 4, 5, 6, 8, 9, 10, 11, 12}
    assert problems[8] == problems[9] == "is no JSON"
    assert problems[10] == "holds a number of too many digits"
    assert problems[11] == problems[12] == "line: names 'to' twice"
    assert preview.notes == ("names that are no parameters are ignored: shoe",)


async def test_names_that_are_ignored_are_listed_up_to_a_point(tmp_path: Path) -> None:
    """A file cannot make the note endless, and one without them has none."""
    path = tmp_path / "people.jsonl"
    row = {"to": "client:alice"}
    path.write_text("\n".join(json.dumps(row | {f"shoe {n}": 44}) for n in range(100)))
    plan = Plan.from_jsonl(path, conference="standup", from_=OURS)
    assert (await plan.preview()).notes[0].count("shoe") == 10

    path.write_text(json.dumps(row))
    plan = Plan.from_jsonl(path, conference="standup", from_=OURS)
    assert (await plan.preview()).notes == ()


async def test_bad_rows_stop_a_plan_before_its_first_call(tmp_path: Path) -> None:
    """Unless they are to be skipped; the error lists them."""
    rows = "".join(f"{number}\n" for number in range(12))
    path = csv(tmp_path, f"to\n+15558675310\n{rows}")

    with pytest.raises(InvalidParameter, match=r"12 bad rows.*\n  row 3: .*\n(.*\n)+  and 2 more"):
        await planned(path).check()
    with pytest.raises(InvalidParameter, match="1 bad row, so nobody was called"):
        await targets(planned(path))
    assert await planned(path, skip_bad_rows=True).check() == 1


async def test_a_source_that_is_read_once_cannot_be_previewed() -> None:
    """A generator or a queue is run as it is."""

    async def queue() -> AsyncIterator[NewParticipant]:
        for number in range(3):
            yield someone(number)

    plan = Plan.from_participants(queue(), conference="standup")

    with pytest.raises(ConfigurationError, match="only once"):
        await plan.preview()
    assert await plan.check() is None
    assert [target.row for target in await targets(plan)] == [1, 2, 3]
    assert not Plan.from_participants(iter([]), conference="standup").rereadable


async def test_an_iterable_holds_requests() -> None:
    """Anything else in it is a mistake of the caller."""
    people: Iterator[NewParticipant] = iter(["+15558675310"])  # type: ignore[list-item]  # the mistake

    with pytest.raises(InvalidParameter, match="item 1 is a str"):
        await targets(Plan.from_participants(people, conference="standup"))


def test_one_request_is_no_plan() -> None:
    """It is said when the plan is made, not when it is run."""
    alone: Any = someone(1)
    with pytest.raises(ConfigurationError, match="such as a list, not a NewParticipant"):
        Plan.from_participants(alone, conference="standup")


async def test_a_preview_is_read_once(tmp_path: Path) -> None:
    """Asking again costs nothing, even where the file is gone."""
    path = csv(tmp_path, "to\n+15558675310\n")
    plan = planned(path)
    first = await plan.preview()
    path.unlink()

    assert await plan.preview() is first
    assert first == Preview(
        rows=1, good=1, bad=0, problems=(), duplicates=0, repeats=(), rooms=1, notes=()
    )


async def test_reading_can_be_cancelled(tmp_path: Path) -> None:
    """The file is closed, whatever its thread was doing."""
    path = csv(tmp_path, "to\n" + "".join(f"+1555{n:07d}\n" for n in range(20_000)))
    task = asyncio.create_task(planned(path).preview())
    await asyncio.sleep(0.01)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


_ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
_NAMES = st.one_of(
    st.sampled_from([*(field.name for field in attrs.fields(NewParticipant)), "id", "conference"]),
    st.sampled_from(["to", "time_zone", "timeout", "extra", "label"]),
    st.text(max_size=8),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=st.lists(st.dictionaries(_NAMES, _ANYTHING, max_size=6), max_size=5))
def test_odd_rows_are_problems(rows: list[dict[str, object]], tmp_path: Path) -> None:
    """Every row, however odd, is a target or a problem that can be printed."""
    path = tmp_path / "people.jsonl"
    path.write_text("\n".join(map(json.dumps, [{"to": "client:alice"} | row for row in rows])))
    plan = Plan.from_jsonl(path, conference="standup", from_=OURS, skip_bad_rows=True)

    preview = asyncio.run(plan.preview())

    assert preview.rows == len(rows)
    assert all(problem.reason.isprintable() for problem in preview.problems)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.text(alphabet='to,;\t"\r\n+1\x00 =sep|\u202clabel5', max_size=60))
def test_odd_tables_are_problems(text: str, tmp_path: Path) -> None:
    """Every file of text, however odd, is rows or an error of ours."""
    path = csv(tmp_path, f"to,label\n{text}")
    try:
        preview = asyncio.run(planned(path).preview())
    except ConferenceError:
        return
    assert all(problem.reason.isprintable() for problem in preview.problems)


_MANY = """
    import asyncio, sys
    from conference_async import Plan

    async def main():
        with open(sys.argv[1], "w") as file:
            file.write("to\\n")
            file.writelines(f"+1555{number:07d}\\n" for number in range(int(sys.argv[2])))
        plan = Plan.from_csv(sys.argv[1], conference="standup", from_="+15017122661")
        preview = await plan.preview()
        streamed = 0
        async for batch in plan.batches():
            streamed += len(batch)
        # Not getrusage: its peak counts the parent's memory, which a child begins with.
        with open("/proc/self/status") as status:
            peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
        print(preview.good, streamed, peak)

    asyncio.run(main())
"""


@pytest.mark.sized
@pytest.mark.timeout(240)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux")
async def test_any_number_of_rows_needs_less_than_a_hundred_megabytes(tmp_path: Path) -> None:
    """They are planned and streamed, never held."""
    # Measuring the child's coverage would take five times as long, and memory too.
    rows = os.environ.get("CONFERENCE_ASYNC_TEST_ROWS", "50000")
    command = (sys.executable, "-c", textwrap.dedent(_MANY), str(tmp_path / "many.csv"), rows)
    child = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, env=UNMEASURED
    )
    output, _ = await child.communicate()

    good, streamed, kibibytes = map(int, output.split())
    assert good == streamed == int(rows)
    assert kibibytes * 1024 < 100_000_000


@pytest.mark.parametrize("make", [Plan.from_csv, Plan.from_jsonl])
async def test_a_file_without_lines_is_not_read_into_memory(
    make: Callable[..., Plan], tmp_path: Path
) -> None:
    """A film that was given by mistake ends at its first line, which may be all of it."""
    path = tmp_path / "film"
    with path.open("wb") as file:
        for _ in range(9):
            file.write(b"x" * (1 << 20))
    with pytest.raises(ConfigurationError, match="film has a line of 8 million characters or more"):
        await make(path, conference="standup", from_="+15017122661").preview()


async def test_a_pipe_is_no_file_that_can_be_read_twice(tmp_path: Path) -> None:
    """It is read once to be shown, and once more to be dialled; so it is not waited for."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(ConfigurationError, match="pipe is no file that can be read twice"):
        await Plan.from_csv(path, conference="standup", from_="+15017122661").preview()
