"""The verdicts of the client and of the emulator on the same requests, side by side.

Both type the service's rules in by themselves. Requests are made from the vocabulary with one
field or filter bent; every difference of the two verdicts is one that the documentation lists, and
none is listed that is not there. ``CONFERENCE_ASYNC_TEST_REQUESTS=10000`` makes as many requests.
"""

import os
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote, urlencode

import attrs
import pytest

from conference_async import ConferenceChange, InvalidParameter, NewParticipant, ParticipantChange
from conference_async.models import ConferenceStatus, check_conference, vocabulary
from conference_async.wire import conferences_query, encode_form, participants_query

REQUESTS = int(os.environ.get("CONFERENCE_ASYNC_TEST_REQUESTS", "0"))
OURS, THEIRS = "+15017122661", "+15558675310"
HEX = "0123456789abcdef0123456789ABCDEF"
URL = "https://example.com/events"
WORDS = {
    "beep": "Beep",
    "conference_record": "ConferenceRecord",
    "conference_trim": "Trim",
    "jitter_buffer_size": "JitterBufferSize",
    "machine_detection": "MachineDetection",
    "recording_channels": "RecordingChannels",
    "recording_track": "RecordingTrack",
    "region": "Region",
    "trim": "Trim",
    "emergency_country": "EmergencyCountry",
}
EVENTS = {
    "status_callback_event": "CallEventName",
    "conference_status_callback_event": "ConferenceEventName",
    "recording_status_callback_event": "RecordingEventName",
    "conference_recording_status_callback_event": "ConferenceRecordingEventName",
}
BOUNDS = {
    "timeout": (5, 600),
    "max_participants": (2, 250),
    "time_limit": (1, None),
    "machine_detection_timeout": (1, None),
    "machine_detection_speech_threshold": (1000, 6000),
    "machine_detection_speech_end_threshold": (500, 5000),
    "machine_detection_silence_timeout": (2000, 10000),
}
FLAGS = ("record", "muted", "start_conference_on_enter", "end_conference_on_exit", "early_media")
NAMES_OF_FIELDS = sorted(
    {field.name for kind in (NewParticipant, ParticipantChange) for field in attrs.fields(kind)}
)
URLS = tuple(name for name in NAMES_OF_FIELDS if name.endswith(("_callback", "_url")))
METHODS = tuple(name for name in NAMES_OF_FIELDS if name.endswith("_method"))
TEXTS = {
    "call_reason": (1, None),
    "call_token": (1, None),
    "caller_display_name": (2, 255),
    "sip_auth_username": (1, 255),
    "sip_auth_password": (1, 255),
    "recording_configuration_id": (1, None),
    "emergency_caller_location": (1, 20),
    "emergency_name": (1, 20),
    "emergency_address": (1, 60),
    "emergency_zip_code": (1, 20),
    "emergency_city": (1, 20),
    "emergency_state": (1, 20),
}
POSITIONS = (
    *(
        "37.7879 -122.3974",
        "90 180",
        "-90.0 -180.00",
        "+1 +1",
        "0 0",
        "00.1 001.2",
        "91 0",
        "0 181",
    ),
    *(
        "90.1 0",
        "0 180.1",
        "37.7879,-122.3974",
        "37.7879  -122",
        "37.7879",
        "x y",
        "",
        "1. 2",
        "1e1 2",
    ),
    *(" 1 2", "1 2 ", f"1.{'0' * 145} 2", f"1.{'0' * 146} 2", f"1.{'0' * 147} 2", "٣ ٣"),
)
PASSPORTS = (
    *("eyJ.eyJ.sig", "a+b/c==", "a,b", "a,b,c,d,e", "a,b,c,d,e,f", "", ",", "a,", ",a", "a b"),
    *("é", "a\n", "a;b"),
)
BENT_URLS = (
    *("", " ", "example.com", "//example.com", "ftp://example.com/", "https://", "http:///x"),
    *("https://exa_mple.com/", "https://us_er@example.com/", "https://example.com:0/"),
    *("https://example.com:99999/", "https://example.com:x/", "https://exa mple.com/"),
    *("https://example.com/a b", "https://example.com/\n", "https://[::1]/", "https://[::1/"),
    *("https://exämple.com/☎", "HTTPS://EXAMPLE.COM", f"{URL}?a=b#rc=2", URL + "x" * 2000),
)
BENT_TEXTS = ("", " ", "a\nb", "a\x7fb", "a\x85b", "a\u2028b", "é☎", "a/b", "50%")
BENT_SIDS = ("", "{}", "{}" + "0" * 31, "{}" + "0" * 33, "{}" + "g" * 32, " {}" + "0" * 32)
TARGETS = (
    *("", " ", "5", "55", "911", "5550", "555010", "1555867", "+1555867", "+" + "1" * 15),
    *("+" + "1" * 16, "+1 555 867 5310", "+1(555)8675310", "1-555-867-5310", "++15558675310"),
    *(f"{THEIRS}?a=b", f"{THEIRS} ", "tel:+15558675310", "bob", "bob@company.com", "٣٣٣٣٣٣٣"),
    *("sip:bob@company.com", "sips:bob@company.com", "SIP:bob@company.com", "sip:company.com"),
    *("sip:@company.com", "sip:bob@", "sip:b b@company.com", "sip:a@b@company.com"),
    *("sip:bob@company.com:5060;transport=tls", "sip:bob@[::1]", "sip:bob@_x", "sip:bób@x.com"),
    *("sip:bob@company.com?a=b&c=d", "sip:bob@company.com?a b=c", "sip:bob@company.com?a%20b=c"),
    *("sip:bob@company.com?a=%0d%0a", "sip:bob@company.com?=b", "sip:bob@company.com?"),
    *(f"sip:bob@company.com?a={'b' * size}" for size in (1021, 1022, 1023)),
    *("client:bob", "CLIENT:bob", "Client:bob", "client:", "client:b b", "client:?a=b"),
    *("client:bob?a=b", "client:bob?a b", "client:é", "client:" + "b" * 256, "client:" + "b" * 257),
    *(f"app:AP{HEX}", f"APP:AP{HEX}", f"app:ap{HEX}", "app:AP", "app:", f"app:AP{HEX}?a=b"),
)
CALLERS = (
    *("", " ", "911", "5550", "client:bob", "client:", "CLIENT:bob", "bob", "bob smith", "bób"),
    *("bob@company.com", "sip:bob@company.com", "+1 501 712 2661", "a/b", "client:" + "b" * 257),
)
NAMES = (
    *("", " ", "standup 2", "a/b", "a%2Fb", "a?b", ".", "..", "é☎", "a\nb", "n" * 128, "n" * 129),
    *("AC" + "0" * 32, "CA" + "0" * 32, "cf" + "0" * 32, "CF" + "0" * 31, "CF" + "0" * 32),
    *("%", "%2", "50%", "a+b", "a#b", "a\\b", "#"),
)
DAY = date(2026, 11, 25)
DAYS = {
    "date_created": "DateCreated",
    "date_created_before": "DateCreated<",
    "date_created_after": "DateCreated>",
    "date_updated": "DateUpdated",
    "date_updated_before": "DateUpdated<",
    "date_updated_after": "DateUpdated>",
}
BENT_DAYS = (
    *(DAY, date(1, 1, 1), date(9999, 12, 31), datetime(2026, 11, 25, 12, tzinfo=UTC)),
    *(datetime(2026, 11, 25), "2026-11-25", "2026-11-25T12:00:00Z", "25.11.2026", "", 20261125),  # noqa: DTZ001 -- wrong on purpose
)
FILTERS = ("muted", "hold", "coaching")
PAGE_SIZES = (-1, 0, 1, 50, 1000, 1001, 10**12, True, 1.5, "50", "", "x")
LABELS = (*NAMES, f"CA{HEX}", f"ca{HEX}", "CA" + "g" * 32, "taken")


CHANGES_ONLY = (
    "hold",
    "beep_on_exit",
    "hold_url",
    "hold_method",
    "announce_url",
    "announce_method",
)


def callers(field: str) -> list[dict[str, Any]]:
    """Return the other fields of creates in which a field means something, one for each target."""
    if field in ("from_", "caller_id"):
        return [{"to": to} for to in (THEIRS, "sip:bob@company.com", "client:bob", f"app:AP{HEX}")]
    if field.startswith("sip_"):
        return [{"to": "sip:bob@company.com"}]
    return [{}]


def literal(name: str) -> tuple[str, ...]:
    """Return the words of one vocabulary of the client."""
    words: tuple[str, ...] = get_args(getattr(vocabulary, name))
    return words


def bends() -> Iterator[tuple[str, object]]:
    """Yield every field with every value that it is bent to, right ones among them."""
    for name, words in WORDS.items():
        for word in (*literal(words), "", "x", *(f"{one} " for one in literal(words)[:1])):
            yield from ((name, spelled) for spelled in {word, word.upper(), word.lower()})
    for name, words in EVENTS.items():
        known = literal(words)
        yield from ((name, (word,)) for word in (*known, "x", known[0].upper()))
        yield from ((name, known), (name, ()), (name, known[:1] * 2), (name, " ".join(known[:2])))
    for name, (low, high) in BOUNDS.items():
        values = {low - 1, low, low + 1, 0, -1, 10**9, 10**12, high or low, (high or low) + 1}
        yield from ((name, value) for value in sorted(values))
        yield from ((name, value) for value in (str(low), f"{low}.0", "", "x", True, 0.5))
    for name in (*FLAGS, "coaching", "hold", "beep_on_exit", "beep", "conference_record"):
        yield from ((name, value) for value in (True, False, "true", "false", "True", "yes", "", 1))
    for name in URLS:
        yield from ((name, value) for value in (URL, *BENT_URLS))
    for name in METHODS:
        yield from ((name, value) for value in ("GET", "POST", "get", "PUT", ""))
    for name, (low, high) in TEXTS.items():
        longest = high or 300
        sizes = {low, 20, 21, 60, 61, 128, 255, 256, 257, longest}
        yield from ((name, "x" * size) for size in sorted(sizes))
        yield from ((name, value) for value in BENT_TEXTS)
    for name, prefix in (("byoc", "BY"), ("call_sid_to_coach", "CA")):
        yield from ((name, value.format(prefix)) for value in (*BENT_SIDS, "{}" + HEX))
        yield name, prefix.lower() + HEX
    yield from (("emergency_caller_position", value) for value in POSITIONS)
    yield from (("passports", value) for value in PASSPORTS)
    yield from (("to", value) for value in TARGETS)
    yield from ((name, value) for name in ("from_", "caller_id") for value in CALLERS)
    yield from (("conference", value) for value in NAMES if value)  # else it is another path
    yield from (("label", value) for value in LABELS)


def room_bends() -> Iterator[tuple[str, object]]:
    """Yield every field of a conference's change, bent."""
    yield from (("status", value) for value in ("completed", "Completed", "init", "", "x"))
    yield from (("announce_url", value) for value in (URL, *BENT_URLS))
    yield from (("announce_method", value) for value in ("GET", "POST", "get", "PUT", ""))


def filter_bends() -> Iterator[tuple[str, str, object]]:
    """Yield every list and filter of it, bent."""
    for listed in ("participants", "conferences"):
        yield from ((listed, "page_size", value) for value in PAGE_SIZES)
    for name in FILTERS:
        yield from (("participants", name, value) for value in (True, False, "true", "yes", "", 1))
    for word in (*ConferenceStatus, "In-Progress", "", "x"):
        yield "conferences", "status", word
    yield from (("conferences", "friendly_name", value) for value in NAMES)
    yield from (("conferences", name, value) for name in DAYS for value in BENT_DAYS)


def spelled(value: object) -> list[str]:
    """Return a value as it would go over the wire if nobody checked it."""
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return [str(item) for item in value] if isinstance(value, tuple) else [str(value)]


def wire_name(field: str) -> str:
    """Return a field's name as the page spells it."""
    if field in DAYS:
        return DAYS[field]
    return "".join(word.capitalize() for word in field.split("_"))


@attrs.frozen
class Case:
    """One request with one field bent, and what became of it on either side."""

    field: str
    value: Any
    refused: bool
    """Whether the client refuses it."""
    code: int | None
    """The client's code, if it has one."""
    emulated: int | None
    """The emulator's code; None if it accepts."""

    @property
    def agreed(self) -> bool:
        """Whether both accept, or both refuse, with the same code where the client has one."""
        same = self.code in (None, self.emulated)
        return same if self.refused and self.emulated else self.refused == bool(self.emulated)

    @property
    def text(self) -> str:
        """The value, where it is text; else nothing."""
        return self.value if isinstance(self.value, str) else ""


TYPES: dict[str, type] = {
    **dict.fromkeys((*FLAGS, *FILTERS, "beep_on_exit"), bool),
    **dict.fromkeys((*BOUNDS, "page_size"), int),
    **dict.fromkeys(DAYS, date),
}
SPELLED = (*WORDS, *METHODS, "status")
FREE = (*TEXTS, "label", "conference", "friendly_name")
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
ANY_SID = re.compile(r"[A-Z]{2}[0-9A-F]{32}", re.IGNORECASE)

Rule = Callable[[Case], bool]
STRICTER: dict[str, Rule] = {
    "a bool, a number or a day given as text": lambda it: (
        it.field in TYPES and type(it.value) is not TYPES[it.field]
    ),
    "a word in another case": lambda it: it.field in SPELLED and it.text.lower() != it.text.upper(),
    "an empty list of events": lambda it: it.value == (),
    "empty text": lambda it: it.value == "" and it.field not in ("conference", "label"),
    "control characters in text": lambda it: (
        it.field in FREE and UNPRINTABLE.search(it.text) is not None
    ),
    "an emergency's text that the service would cut off": lambda it: (
        it.field.startswith("emergency_") and len(it.text) > 20
    ),
    "a name or label that would change the URL": lambda it: (
        (
            it.field in ("conference", "label")
            and (not it.text.strip() or it.text in (".", "..") or bool({*"/?"} & {*it.text}))
        )
        or (it.field == "conference" and "%2F" in it.text)
    ),
    "a name or label that is another SID": lambda it: (
        it.field in ("conference", "label") and ANY_SID.fullmatch(it.text) is not None
    ),
    "a filter that no name passes": lambda it: it.field == "friendly_name" and len(it.text) > 128,
    "an unlikely caller of a SIP address, client or application": lambda it: (
        it.field in ("from_", "caller_id") and bool(it.text)
    ),
}
"""What the client refuses though the page does not forbid it; by the first cell of its row."""
LEFT: dict[str, Rule] = {
    "a conference that is over, a label in use, nobody to coach": lambda it: (
        it.emulated in (16022, 16026, 16027, 16028)
    ),
    "the inside of a SIP address": lambda it: it.emulated in (21211, 21228, 21229),
}
"""What the client leaves to the service; by the first cell of its row."""


def reasons(case: Case) -> list[str]:
    """Return which rows of the table explain a difference."""
    if case.refused and case.emulated is not None:
        return []  # for nothing but its code
    rules = STRICTER if case.refused else LEFT
    return [reason for reason, explains in rules.items() if explains(case)]


class Judges:
    """The client's checks and an emulator, asked the same things."""

    def __init__(self, api: Any, agent: Any) -> None:
        self._api = api
        self._agent = agent["call_sid"]
        self._sid = agent["conference_sid"]

    async def create(self, field: str, value: object, base: dict[str, Any]) -> Case:
        """Compare one create; `base` has its other fields."""
        conference = str(value) if field == "conference" else "standup"
        fields = {"from_": OURS, "to": THEIRS, **base}
        if field != "conference":
            fields[field] = value
        if field == "coaching":
            fields["call_sid_to_coach"] = self._agent
        if field == "sip_auth_username":
            fields["sip_auth_password"] = "secret"
        body, error = None, None
        try:
            check_conference(conference)
            body = encode_form(NewParticipant(**fields))
        except InvalidParameter as refused:
            error = refused
        path = f"/Conferences/{quote(conference, safe='')}/Participants.json"
        answer = await self._post(path, fields, body)
        if answer.status == 201:
            self._api.emulator.hang_up(answer.json["call_sid"])
        return _case(field, value, error, answer)

    async def update(self, field: str, value: object) -> Case:
        """Compare one update of the agent."""
        fields: dict[str, Any] = {field: value}
        if field == "coaching":
            fields["call_sid_to_coach"] = "CA" + HEX
        body, error = None, None
        try:
            body = encode_form(ParticipantChange(**fields))
        except InvalidParameter as refused:
            error = refused
        path = f"/Conferences/{self._sid}/Participants/{self._agent}.json"
        return _case(field, value, error, await self._post(path, fields, body))

    async def change(self, field: str, value: object) -> Case:
        """Compare one change of a conference, which is opened for it."""
        opened = (await self._api.create("retro")).json
        fields: dict[str, Any] = {field: value}
        if field == "announce_method":
            fields["announce_url"] = URL
        body, error = None, None
        try:
            body = encode_form(ConferenceChange(**fields))
        except InvalidParameter as refused:
            error = refused
        answer = await self._post(f"/Conferences/{opened['conference_sid']}.json", fields, body)
        if answer.status >= 400 or answer.json["status"] != "completed":
            self._api.emulator.hang_up(opened["call_sid"])
        return _case(field, value, error, answer)

    async def list(self, listed: str, field: str, value: object) -> Case:
        """Compare one filter of a list."""
        lists: dict[str, tuple[str, Callable[..., str]]] = {
            "participants": (f"/Conferences/{self._sid}/Participants.json", participants_query),
            "conferences": ("/Conferences.json", conferences_query),
        }
        path, make_query = lists[listed]
        query, error = urlencode({wire_name(field): spelled(value)}, doseq=True), None
        given: dict[str, Any] = {field: value}
        try:
            query = make_query(**given)
        except InvalidParameter as refused:
            error = refused
        return _case(field, value, error, await self._api.ask("GET", f"{path}?{query}"))

    async def _post(self, path: str, fields: dict[str, Any], body: bytes | None) -> Any:
        """Send what the client sends, or what it would send without its checks."""
        unchecked = {wire_name(name): spelled(value) for name, value in fields.items()}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        data = urlencode(unchecked, doseq=True).encode() if body is None else body
        return await self._api.ask("POST", path, data=data, headers=headers)


def _case(field: str, value: object, error: InvalidParameter | None, answer: Any) -> Case:
    return Case(
        field=field,
        value=value,
        refused=error is not None,
        code=error.code if error else None,
        emulated=answer.code if answer.status >= 400 else None,
    )


def bases(chance: random.Random) -> Iterator[dict[str, Any]]:
    """Yield the other fields of a create: none at first, then some right ones at random."""
    right: dict[str, Any] = {name: literal(words) for name, words in WORDS.items()}
    right |= {name: [literal(words)] for name, words in EVENTS.items()}
    right |= {name: [low, high or low] for name, (low, high) in BOUNDS.items()}
    right |= {name: [True, False] for name in FLAGS}
    right |= {name: [URL] for name in URLS if name not in CHANGES_ONLY}
    while True:
        names = chance.sample(sorted(right), 3)
        yield {name: chance.choice(right[name]) for name in names}


@pytest.fixture
async def judges(open_api: Any) -> AsyncIterator[Judges]:
    """Open an emulator with a conference, and somebody in it to be coached and changed."""
    async with open_api(pace=False, answer_after=None, seed=7, keep_ended=10) as api:
        agent = await api.create(Label="taken")
        api.emulator.answer(agent.json["call_sid"])  # or it would ring out on a busy machine
        yield Judges(api, agent.json)


@pytest.mark.sized
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::conference_async.ConferenceWarning")  # not about verdicts
async def test_client_and_emulator_differ_where_the_table_says(judges: Judges) -> None:
    """Every bend once, then as many at random; each difference has a row, each row a difference."""
    seen: Counter[str] = Counter()
    compared: list[Case] = []
    unexplained: list[Case] = []
    chance = random.Random(7)
    every, changes = list(bends()), {field.name for field in attrs.fields(ParticipantChange)}
    requests = [(field, value, base) for field, value in every for base in callers(field)]
    drawn = bases(chance)
    while len(requests) < REQUESTS:
        field, value = chance.choice(every)
        requests.append((field, value, {**next(drawn), **callers(field)[-1]}))

    for field, value, base in requests:
        cases = [await judges.create(field, value, base)] if field not in CHANGES_ONLY else []
        if field in changes:
            cases.append(await judges.update(field, value))
        compared += cases
    compared += [await judges.change(field, value) for field, value in room_bends()]
    compared += [await judges.list(*bend) for bend in filter_bends()]
    for case in compared:
        if not case.agreed:
            found = reasons(case)
            seen.update(found)
            unexplained += [] if found else [case]

    assert "\n".join(map(str, unexplained)) == ""
    assert [reason for reason in (*STRICTER, *LEFT) if not seen[reason]] == []


def test_the_table_has_a_row_for_every_reason() -> None:
    """The documentation lists the same reasons, in the same order, and no more."""
    page = Path(__file__).parents[2] / "docs" / "reference" / "emulator.md"
    table = (
        page.read_text().partition("## Stricter than the page, and why")[2].partition("\n## ")[0]
    )
    rows = [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()]

    assert [row for row in rows if row in STRICTER or row in LEFT] == [*STRICTER, *LEFT]
    assert (
        len([row for row in table.splitlines() if row.startswith("| ")])
        == len([*STRICTER, *LEFT]) + 3
    )
