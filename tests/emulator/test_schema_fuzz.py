"""Requests made up from the API's own parameters, right and wrong, by property-based testing."""

import asyncio
import os
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conference_async.emulator.api import parameters

VALUES = (
    *("true", "false", "GET", "POST", "1", "5", "250", "2000", "start end", "ringing", "Enable"),
    *("in-progress", "completed", "2026-11-22", "http://example.com/x", "http://127.0.0.1:1/x"),
    *("+15558675310", "+15017122661", "sip:a@example.com", "client:bob", "record-from-start"),
    *("both", "mono", "small", "us1", "trim-silence", "alice", "a b", ";,:@&=", "PA", "é☎", ""),
)
RULES = {
    "create": parameters.CREATE,
    "list": parameters.LIST,
    "update": parameters.UPDATE,
    "conferences.list": parameters.LIST_CONFERENCES,
    "conferences.update": parameters.UPDATE_CONFERENCE,
    "calls.list": parameters.LIST_CALLS,
    "calls.update": parameters.UPDATE_CALL,
    "fetch": {},
    "delete": {},
}
PATHS = {
    "create": ("POST", "/Conferences/{room}/Participants"),
    "list": ("GET", "/Conferences/{room}/Participants"),
    "fetch": ("GET", "/Conferences/{room}/Participants/{call}"),
    "update": ("POST", "/Conferences/{room}/Participants/{call}"),
    "delete": ("DELETE", "/Conferences/{room}/Participants/{call}"),
    "conferences.list": ("GET", "/Conferences"),
    "conferences.update": ("POST", "/Conferences/{room}"),
    "calls.list": ("GET", "/Calls"),
    "calls.update": ("POST", "/Calls/{call}"),
}
PAGING = ("Page", "PageSize", "PageToken", "FriendlyName", "To", "From")

value = st.sampled_from(VALUES) | st.text(max_size=140)
number = st.integers(min_value=0, max_value=5)


@st.composite
def asked(draw: st.DrawFn) -> tuple[str, dict[str, list[str]], str, int, str]:
    """Draw an operation, its parameters, a label, which participant it is about, and a suffix."""
    kind = draw(st.sampled_from(sorted(PATHS)))
    names = st.sampled_from(sorted({*RULES[kind], *PAGING}))
    form = draw(st.dictionaries(names, st.lists(value, min_size=1, max_size=2), max_size=4))
    if kind == "create" and draw(st.booleans()):
        form |= {"From": ["+15017122661"], "To": ["+15558675310"]}
    suffix = draw(st.sampled_from((".json", ".json", "")))
    return kind, form, draw(value), draw(number), suffix


async def check(api: Any, one: tuple[str, dict[str, list[str]], str, int, str]) -> None:
    """Send one request and look at its answer."""
    kind, form, name, place, suffix = one
    live = [call for room in api.emulator.conferences for call in room.participants]
    call = live[-1 - place] if place < len(live) else None
    room = call.room.sid if call else name
    method, template = PATHS[kind]
    path = template.format(
        room=quote(room, safe=""), call=quote(call.sid if call else name, safe="")
    )
    parameters_ = urlencode(form, doseq=True)
    async with asyncio.timeout(5):
        if method == "GET":
            answer = await api.ask(method, f"{path}{suffix}?{parameters_}")
        else:
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = await api.ask(method, path + suffix, data=parameters_, headers=headers)

    assert answer.status in {200, 201, 204, 400, 404, 405, 422}
    assert answer.headers["Twilio-Request-Id"].startswith("RQ")
    if answer.status == 204:
        assert answer.text == ""
    elif "json" in answer.headers["Content-Type"]:
        told = answer.json
        assert answer.status < 400 or told["status"] == answer.status
        assert answer.status < 400 or told["message"]
    else:
        assert answer.text.startswith("<?xml")


@pytest.mark.sized
@pytest.mark.timeout(300)
@settings(max_examples=int(os.environ.get("CONFERENCE_ASYNC_TEST_REQUESTS", "50")))
@given(one=asked())
async def test_every_request_has_a_proper_answer(
    api: Any, one: tuple[str, dict[str, list[str]], str, int, str]
) -> None:
    """An answer in time, in its format, with a status the API has; errors say which they are."""
    await check(api, one)
    for room in api.emulator.conferences[:-3]:
        for call in room.participants:
            api.emulator.hang_up(call.sid)
