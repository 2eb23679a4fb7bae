"""The emulator judged from outside: the service's own Python library drives it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conference_async.emulator import Emulator, Script

rest = pytest.importorskip("twilio.rest", reason="the official library is not installed")
OFFICIAL = pytest.importorskip("twilio.http.async_http_client")
REFUSED = pytest.importorskip("twilio.base.exceptions").TwilioRestException

OURS, THEIRS = "+15017122661", "+15558675310"
LABELS = ["alice", "a b", "50%", "é☎", "agent#2", "a?b", ";,:@&=", "a\nb", "a+b", "%2B", "a.json"]


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """Return an emulator that starts calls at once and never answers by itself."""
    async with Emulator(pace=False, answer_after=None) as emulator:
        yield emulator


def official(emulator: Emulator, user: str = "", password: str = "", **options: Any) -> Any:
    """Return an official client that talks to the emulator instead of the service."""
    credentials = user or emulator.account_sid, password or emulator.auth_token
    client = rest.Client(*credentials, **options)
    client.api.base_url = emulator.base_url
    return client


async def threaded(work: Callable[[], Any]) -> Any:
    """Run a blocking scenario beside the emulator's loop."""
    return await asyncio.to_thread(work)


async def test_a_participant_lives_through_the_official_library(emulator: Emulator) -> None:
    """Create, fetch, update, list, delete: every property arrives as the library expects it."""
    client = official(emulator)

    def scenario() -> Any:
        conferences = client.conferences
        made = conferences("standup").participants.create(
            from_=OURS,
            to=THEIRS,
            label="alice",
            early_media=True,
            status_callback_event=["ringing", "answered"],
            wait_url="",
        )
        room = conferences(made.conference_sid)
        fetched = room.participants("alice").fetch()
        held = room.participants("alice").update(hold=True, hold_url="http://example.com/music")
        listed = room.participants.list(hold=True)
        unheld = room.participants.list(hold=False)
        gone = room.participants(made.call_sid).delete()
        return made, fetched, held, listed, unheld, gone

    made, fetched, held, listed, unheld, gone = await threaded(scenario)

    assert (made.status, made.label, made.queue_time) == ("queued", "alice", "0")
    assert (made.muted, made.hold, made.coaching) == (False, False, False)
    assert (fetched.call_sid, fetched.status, fetched.queue_time) == (
        made.call_sid,
        "ringing",
        None,
    )
    assert fetched.date_created.tzinfo is not None
    assert (held.hold, [one.call_sid for one in listed], unheld) == (True, [made.call_sid], [])
    assert gone is True
    assert emulator.requests[0].form["StatusCallbackEvent"] == ["ringing", "answered"]
    assert emulator.requests[0].form["WaitUrl"] == [""]


async def test_labels_arrive_as_they_were_sent(emulator: Emulator) -> None:
    """Any legal label comes back unchanged."""
    participants = official(emulator).conferences("standup").participants

    def scenario() -> list[str]:
        return [participants.create(from_=OURS, to=THEIRS, label=one).label for one in LABELS]

    assert await threaded(scenario) == LABELS


async def test_errors_arrive_as_the_library_expects_them(emulator: Emulator) -> None:
    """Status, code and message of each refusal are where the library looks for them."""
    client = official(emulator)

    def refusal(work: Callable[[], Any]) -> tuple[int, int]:
        with pytest.raises(REFUSED) as refused:
            work()
        assert refused.value.msg
        return refused.value.status, refused.value.code

    def scenario() -> list[tuple[int, int]]:
        room = client.conferences("standup").participants
        made = room.create(from_=OURS, to=THEIRS, label="alice")
        there = client.conferences(made.conference_sid)
        there.participants("alice").delete()
        return [
            refusal(lambda: there.participants("alice").fetch()),
            refusal(lambda: room("alice").fetch()),
            refusal(lambda: room.create(from_=OURS, to="nobody")),
            refusal(lambda: room.create(from_=OURS, to=THEIRS, label="a/b")),
            refusal(lambda: there.participants.create(from_=OURS, to=THEIRS)),
            refusal(official(emulator, password="wrong").conferences("CF" + "0" * 32).fetch),
            refusal(client.recordings("RE" + "0" * 32).fetch),
        ]

    assert await threaded(scenario) == [
        (404, 20404),
        (405, 20004),
        (400, 21211),
        (400, 16024),
        (400, 16022),
        (401, 20003),
        (404, 20404),
    ]


async def test_the_official_library_pages_forward_and_back(emulator: Emulator) -> None:
    """Filters stay in the links, and pages survive a participant's leaving between them."""
    client = official(emulator)

    def scenario() -> Any:
        made = [
            client.conferences("standup").participants.create(
                from_=OURS, to=THEIRS, label=str(place), muted=place % 2 == 0
            )
            for place in range(9)
        ]
        participants = client.conferences(made[0].conference_sid).participants
        first = participants.page(muted=True, page_size=2)
        seen = [one.label for one in first]
        participants("2").delete()
        second = first.next_page()
        seen += [one.label for one in second]
        return seen, [one.label for one in second.previous_page()], participants.list(page_size=4)

    seen, back, everybody = await threaded(scenario)

    assert seen == ["0", "2", "4", "6"]
    assert back == ["0"]
    assert len(everybody) == 8


async def test_calls_conferences_and_accounts_answer_the_official_library(
    emulator: Emulator,
) -> None:
    """The official library finds the call log, ends calls, and reads conferences and accounts."""
    emulator.script("0001", Script(after=0.0))
    client = official(emulator)
    child = emulator.add_account(parent=emulator.accounts[0])
    since = datetime.now(UTC) - timedelta(minutes=1)

    def dial(to: str, name: str) -> Any:
        return client.conferences(name).participants.create(from_=OURS, to=to)

    def scenario() -> dict[str, Any]:
        ringing, talking = dial(THEIRS, "a"), dial("+15550000001", "b")
        while client.calls(talking.call_sid).fetch().status != "in-progress":
            pass
        seen = {
            "listed": [one.sid for one in client.calls.list(to=THEIRS, start_time_after=since)],
            "canceled": client.calls(ringing.call_sid).update(status="canceled").status,
            "not canceled": client.calls(talking.call_sid).update(status="canceled").status,
            "completed": client.calls(talking.call_sid).update(status="completed").status,
            "ended": [one.friendly_name for one in client.conferences.list(status="completed")],
            "account": client.api.accounts(child.sid).fetch().owner_account_sid,
        }
        live = dial(THEIRS, "c")
        seen["closed"] = client.conferences(live.conference_sid).update(status="completed").status
        with pytest.raises(REFUSED) as refused:
            client.calls(live.call_sid).update(status="completed")
        seen["over"] = refused.value.code
        seen["call"] = ringing.call_sid
        return seen

    seen = await threaded(scenario)

    assert seen == {
        "listed": [seen["call"]],
        "canceled": "canceled",
        "not canceled": "in-progress",
        "completed": "completed",
        "ended": ["a", "b"],
        "account": emulator.account_sid,
        "closed": "completed",
        "over": 21220,
        "call": seen["call"],
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the library's affair
async def test_the_official_asyncio_client_with_an_api_key(emulator: Emulator) -> None:
    """A subaccount's participants are reached with an API key, awaited."""
    child = emulator.add_account(cps=2)
    key, secret = emulator.add_api_key(child)
    http = OFFICIAL.AsyncTwilioHttpClient()
    client = official(emulator, key, secret, account_sid=child.sid, http_client=http)
    async with http:
        participants = client.conferences("standup").participants
        made = await participants.create_async(from_=OURS, to=THEIRS, label="a b")
        room = client.conferences(made.conference_sid).participants
        streamed = [one.label async for one in await room.stream_async()]
        muted = await room(made.call_sid).update_async(muted=True)
        assert await room(made.call_sid).delete_async()

    assert (made.account_sid, streamed, muted.muted) == (child.sid, ["a b"], True)


async def test_the_library_gets_tokens(emulator: Emulator) -> None:
    """And reads from each when it ends: one token for several requests."""
    credential = pytest.importorskip("twilio.credential.client_credential_provider")
    manager = pytest.importorskip("twilio.http.client_token_manager")
    client_id, secret = emulator.add_oauth_app()

    def scenario() -> list[str]:
        tokens = manager.ClientTokenManager("client_credentials", client_id, secret)
        tokens.client = official(emulator)
        tokens.client.oauth.base_url = emulator.base_url
        provider = credential.ClientCredentialProvider(client_id, secret, token_manager=tokens)
        client = rest.Client(account_sid=emulator.account_sid, credential_provider=provider)
        client.api.base_url = emulator.base_url
        participants = client.conferences("standup").participants
        return [participants.create(from_=OURS, to=THEIRS).status for _ in range(3)]

    assert await threaded(scenario) == ["queued"] * 3
    assert emulator.count("token") == 1
