"""What nobody has confirmed of the service: each has a setting that changes what is answered."""

import asyncio
import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from conference_async.emulator import Emulator, Script
from conference_async.emulator.unconfirmed import Unconfirmed
from conference_async.webhooks import sign

pytestmark = pytest.mark.looptime

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "emulator.md"


def test_the_table_has_every_setting() -> None:
    """With its default, in the order in which they are written down, and no other."""
    table = PAGE.read_text().partition("## What nobody has confirmed")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| `?([^`|]*)`? \|", table, re.MULTILINE)
    fields = {field.name: getattr(Emulator(), field.name) for field in attrs.fields(Unconfirmed)}

    own = {name: default for name, default in rows if name in fields}
    assert own == {name: repr(default).replace("'", '"') for name, default in fields.items()}
    assert [name for name, _ in rows if name not in fields] == ["visibility_lag"]


async def test_a_code_has_another_status(api: Any) -> None:
    """The error's body says so too, and JSON's text for the code is understood."""
    api.emulator.error_statuses = {"16024": 422, 16022: 404}
    label = await api.create(Label="a/b")
    gone = await api.create("CF" + "0" * 32)

    assert (label.status, label.json["status"], label.code) == (422, 422, 16024)
    assert (gone.status, gone.code) == (404, 16022)


async def test_every_429_says_when(open_api: Any) -> None:
    """Only where the setting has seconds."""
    async with open_api(max_concurrent_requests=0) as api:
        assert "Retry-After" not in (await api.get("/Calls.json")).headers
        api.emulator.retry_after = 1.5
        assert (await api.get("/Calls.json")).headers["Retry-After"] == "1.5"


@pytest.mark.parametrize(("shared", "queue_time"), [(True, "4000"), (False, "0")])
async def test_calls_made_elsewhere_share_the_pace(
    open_api: Any, *, shared: bool, queue_time: str
) -> None:
    """Two of them take two starts at one call in two seconds, or none."""
    async with open_api(cps=0.5, calls_share_pace=shared) as api:
        api.emulator.call_elsewhere(2)
        assert (await api.create()).json["queue_time"] == queue_time
        assert api.emulator.ring_counts == {"+15558675310": 1}
        with pytest.raises(ValueError, match="count must be"):
            api.emulator.call_elsewhere(0)


async def test_a_queue_is_full_of_calls_made_elsewhere(open_api: Any) -> None:
    """Nothing more of the account's is placed, here or there."""
    async with open_api(cps=0.01) as api:
        with pytest.raises(ValueError, match="queue is full"):
            api.emulator.call_elsewhere(100_000)
        assert (await api.create()).code == 22005


async def test_labels_ignore_case(api: Any) -> None:
    """Told apart as they are sent, unless the setting says otherwise."""
    await api.create(Label="alice")
    assert (await api.create(Label="Alice")).status == 201
    api.emulator.labels_ignore_case = True
    assert (await api.create(Label="ALICE")).code == 16026


async def test_a_label_is_in_use_for_a_while(api: Any) -> None:
    """Free at once, or only so many seconds after whoever had it has left."""
    await api.create(Label="host")
    for seconds, code in ((0.0, None), (5.0, 16026)):
        api.emulator.label_reuse_after = seconds
        await api.create(Label="alice")
        api.emulator.hang_up("alice")
        again = await api.create(Label="alice")
        assert again.json.get("code") == code
        if code is None:
            api.emulator.hang_up("alice")
    await asyncio.sleep(5)
    assert (await api.create(Label="alice")).status == 201


async def test_two_creates_of_a_label_race(api: Any) -> None:
    """The second is not noticed at once; either of the two may leave first."""
    api.emulator.label_race = 1.0
    one, two = [(await api.create(Label="alice")).json["call_sid"] for _ in range(2)]
    await asyncio.sleep(1)
    assert (await api.create(Label="alice")).code == 16026
    api.emulator.hang_up(one)
    assert (await api.create(Label="alice")).code == 16026
    api.emulator.hang_up(two)
    assert (await api.create(Label="alice")).status == 201


async def test_a_name_may_look_like_a_sid(api: Any) -> None:
    """Refused as an unknown conference, or a name like any other; one that is over stays over."""
    name = "CF" + "0" * 32
    assert (await api.create(name)).code == 16022
    api.emulator.sid_like_names = True
    made = (await api.create(name)).json
    assert api.emulator.conferences[0].friendly_name == name
    api.emulator.hang_up(made["call_sid"])
    assert (await api.create(made["conference_sid"])).code == 16022


async def test_a_key_repeats_an_answer(api: Any) -> None:
    """Ignored, or the phone rings once and both are answered alike."""
    path = "/Conferences/standup/Participants.json"

    async def create(key: str) -> Any:
        data = {"From": "+15017122661", "To": "+15558675310"}
        answer = await api.ask("POST", path, data=data, headers={"Idempotency-Key": key})
        return answer.json["call_sid"]

    assert await create("a") != await create("a")
    api.emulator.idempotency_keys = True
    assert await create("a") == await create("a") != await create("b")
    assert api.emulator.rings("+15558675310") == 4
    await api.emulator.reset()
    assert api.emulator.accounts[0].answers_by_key == {}


async def test_callbacks_say_less_of_detection(api: Any, listener: Any) -> None:
    """How long it took, and in a call's progress what it was, may be missing."""
    api.emulator.answer_after = 0
    api.emulator.script("", Script(answered_by="fax"))
    asked = {"MachineDetection": "Enable", "AmdStatusCallback": listener.url}
    progress = {"StatusCallback": listener.url, "StatusCallbackEvent": "answered"}
    for told in (True, False):
        api.emulator.amd_duration = api.emulator.progress_has_answered_by = told
        await api.create(**asked, **progress)
        await asyncio.sleep(1)
        await api.emulator.callbacks.settled()
        *_, one, two = (body for *_, body, _ in listener.heard)
        assert {"MachineDetectionDuration" in body for body in (one, two)} == {told, False}
        assert sum("AnsweredBy" in body for body in (one, two)) == 1 + told


async def test_some_updates_are_refused_together(api: Any) -> None:
    """Alone each passes; together they are a 400 without a code, and nothing changes."""
    api.emulator.refused_updates = [["Hold", "AnnounceUrl"]]
    path = api.at(await api.create())
    both = {"Hold": "true", "AnnounceUrl": "http://example.com/a"}
    assert (await api.post(path, {"AnnounceUrl": "http://example.com/a"})).status == 200
    refused = await api.post(path, both)
    assert (refused.status, "code" in refused.json) == (400, False)
    assert (await api.get(path)).json["hold"] is False


async def test_lists_begin_with_the_newest(api: Any) -> None:
    """Pages follow one another forward and back in either order."""
    api.emulator.newest_first = True
    made = [await api.create(Label=str(n)) for n in range(5)]
    await api.create("other")
    path = f"/Conferences/{made[0].json['conference_sid']}/Participants.json"
    first = (await api.get(path, PageSize="2")).json
    second = (await api.ask("GET", first["next_page_uri"])).json
    back = (await api.ask("GET", second["previous_page_uri"])).json
    rooms = (await api.get("/Conferences.json", Status="init")).json["conferences"]

    pages = [[one["label"] for one in page["participants"]] for page in (first, second, back)]
    assert pages == [["4", "3"], ["2", "1"], ["4", "3"]]
    assert [room["friendly_name"] for room in rooms] == ["other", "standup"]


@pytest.mark.parametrize("whose", ["own", "parent"])
async def test_a_token_signs_for_a_subaccount(open_api: Any, listener: Any, whose: Any) -> None:
    """Its own or its parent's; the main account's own in either case."""
    async with open_api(pace=False, subaccount_callbacks=whose) as api:
        main = api.emulator.accounts[0]
        child = api.emulator.add_account(parent=main)
        for account in (main, child):
            api.account_sid = account.sid
            await api.create(StatusCallback=listener.url, StatusCallbackEvent="initiated")
        await asyncio.sleep(0.1)
        await api.emulator.callbacks.settled()
        signers = {main.auth_token: "parent", child.auth_token: "own"}
        signed = [
            next(
                signers[token]
                for token in signers
                if sign(listener.url, body, token) == headers["X-Twilio-Signature"]
            )
            for *_, body, headers in listener.heard
        ]

    assert signed == ["parent", whose]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("error_statuses", {16026: 200}),
        ("error_statuses", {"x": 400}),
        ("error_statuses", {1: 400}),
        ("error_statuses", [16026]),
        ("error_statuses", {16026: "409"}),
        ("retry_after", -1),
        ("calls_share_pace", "yes"),
        ("label_reuse_after", None),
        ("refused_updates", [["Hold"]]),
        ("refused_updates", "Hold"),
        ("refused_updates", [["Hold", 1]]),
        ("subaccount_callbacks", "theirs"),
    ],
)
def test_an_odd_answer_is_refused_by_name(name: str, value: Any) -> None:
    """When it is made and when it is changed."""
    with pytest.raises((ValueError, TypeError), match=name):
        Emulator(**{name: value})
    with pytest.raises((ValueError, TypeError), match=name):
        setattr(Emulator(), name, value)
