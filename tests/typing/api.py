"""The public API as a user's type checker sees it; read by mypy and pyright, never executed."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, date, datetime
from typing import Unpack, assert_type

import aiohttp

from conference_async import (
    AttemptEvent,
    AttemptOutcome,
    Conference,
    ConferenceChange,
    ConferenceClient,
    ConferenceError,
    ConferenceFilters,
    ConferenceHandle,
    Conferences,
    ConferenceStatus,
    CreateLimit,
    Credentials,
    DeadlineExceeded,
    FanOut,
    InvalidParameter,
    Limit,
    LimitSnapshot,
    NewParticipant,
    OutcomeUnknown,
    Page,
    Participant,
    ParticipantChange,
    ParticipantFilters,
    ParticipantHandle,
    Participants,
    ParticipantStatus,
    PlacedParticipant,
    Priority,
    RequestRefused,
    RetryPolicy,
    Unpaced,
    Visitor,
)
from conference_async.pace import LiveLimit


async def as_in_the_first_example(credentials: Credentials) -> None:
    """Connect, create, stream, change, remove."""
    async with ConferenceClient(credentials, cps=5) as client:
        assert_type(client, ConferenceClient)
        standup = client.conferences("standup")
        assert_type(standup, ConferenceHandle)
        alice = await standup.participants.create(
            from_="+15017122661",
            to="+15558675310",
            label="alice",
            early_media=True,
            status_callback_event=["ringing"],
        )
        assert_type(alice, PlacedParticipant)
        once = await standup.participants.create(
            from_="+15017122661", to="+15558675310", once="order-42"
        )
        assert_type(once, PlacedParticipant)
        new = NewParticipant(from_="+15017122661", to="+15558675310")
        assert_type(await standup.participants.create(new, once="order-42"), PlacedParticipant)
        async with standup.participant(new, once="order-42") as visitor:
            assert_type(visitor, Visitor)
        room = client.conferences(alice.conference_sid)
        async for participant in room.participants.stream(muted=True):
            assert_type(participant, Participant)
        everyone = await room.participants.list(limit=20)
        assert_type(everyone, list[Participant])
        handle = room.participants("alice")
        assert_type(handle, ParticipantHandle)
        updated = await handle.update(hold=True, hold_url="https://example.com/music")
        assert_type(updated, PlacedParticipant)
        await handle.delete()


async def one_definition_serves_values_and_keywords(room: ConferenceHandle) -> None:
    """A value may be made once and used often."""
    new = NewParticipant(from_="+15017122661", to="+15558675310", extra={"NewName": "1"})
    assert_type(await room.participants.create(new), PlacedParticipant)
    change = ParticipantChange(muted=True)
    assert_type(await room.participants("alice").update(change), PlacedParticipant)
    end = ConferenceChange(status="completed")
    assert_type(await room.update(end), Conference)
    assert_type(await room.update(announce_url="https://example.com/bye.mp3"), Conference)
    assert_type(
        await room.participants.create(None, from_="+15017122661", to="+15558675310", once="a"),
        PlacedParticipant,
    )
    assert_type(await room.participants("alice").update(None, muted=True), PlacedParticipant)
    task = asyncio.create_task(room.participants.create(new))
    assert_type(await task, PlacedParticipant)
    both = await asyncio.gather(room.participants.create(new), room.participants.create(new))
    assert_type(both, tuple[PlacedParticipant, PlacedParticipant])


async def every_verb(alice: ParticipantHandle, agent: PlacedParticipant) -> None:
    """Each is answered with the participant."""
    assert_type(alice.key, str)
    assert_type(await alice.fetch(), PlacedParticipant)
    assert_type(await alice.mute(), PlacedParticipant)
    assert_type(await alice.unmute(), PlacedParticipant)
    assert_type(await alice.hold("https://example.com/music", method="GET"), PlacedParticipant)
    assert_type(await alice.unhold(), PlacedParticipant)
    assert_type(await alice.announce("https://example.com/hello", method="POST"), PlacedParticipant)
    assert_type(await alice.coach(agent.call_sid), PlacedParticipant)
    assert_type(await alice.coach("agent"), PlacedParticipant)
    assert_type(await alice.stop_coaching(), PlacedParticipant)


async def from_a_participant(client: ConferenceClient, listed: Participant) -> None:
    """To its handle in one step, listed or placed; and a report that raises, or is itself."""
    assert_type(client.participant(listed), ParticipantHandle)
    room = client.conferences("standup")
    done = (await room.participants.mute_all(except_=["lead"])).raise_if_failed()
    assert_type(done, FanOut)
    assert_type(done.not_found, tuple[str, ...])


async def lists(client: ConferenceClient, participants: Participants) -> None:
    """Streams, lists and pages of both resources."""
    stream = participants.stream(muted=None, hold=False, coaching=True, page_size=100, limit=5)
    assert_type(stream, AsyncGenerator[Participant, None])
    async for page in participants.pages(page_size=100):
        assert_type(page, Page[Participant])
        assert_type(page.next_page_uri, str | None)
    conferences = client.conferences
    assert_type(conferences, Conferences)
    async for conference in conferences.stream(status="completed", friendly_name="standup"):
        assert_type(conference, Conference)
    days = await conferences.list(
        date_created=date(2026, 11, 22), date_updated_after=datetime.now(UTC), limit=1
    )
    assert_type(days, list[Conference])
    async for conference_page in conferences.pages(status="init"):
        assert_type(conference_page, Page[Conference])


async def live(room: ConferenceHandle, **filters: Unpack[ParticipantFilters]) -> list[Participant]:
    """Filters can be handed on by a function of the user's, and kept in a variable."""
    done: ConferenceFilters = {"status": "completed"}
    assert_type(done.get("friendly_name"), str | None)
    return await room.participants.list(**filters)


async def one_conference(room: ConferenceHandle) -> None:
    """The types of a conference's handle."""
    assert_type(room.name, str)
    assert_type(await room.resolve(), str)
    assert_type(await room.fetch(), Conference)
    assert_type(await room.announce("https://example.com/hello"), Conference)
    assert_type(await room.end(), Conference)


def properties(participant: Participant, placed: PlacedParticipant, conference: Conference) -> None:
    """A status newer than the library is a plain string; whatever may be null is optional."""
    assert_type(participant.status, ParticipantStatus | str)
    assert_type(participant.call_sid, str | None)
    assert_type(placed.call_sid, str)
    assert_type(placed.conference_sid, str)
    assert_type(participant.date_created, datetime | None)
    assert_type(participant.queue_time, int | None)
    assert_type(participant.reconciled, bool)
    assert_type(conference.status, ConferenceStatus | str)


def every_setting(session: aiohttp.ClientSession) -> ConferenceClient:
    """All keywords of a client, and those of a view."""

    async def note(label: str | None, attempt: int) -> None:
        print(label, attempt)

    def tell(event: AttemptEvent) -> None:
        assert_type(event.outcome, AttemptOutcome)
        assert_type(event.status, int | None)

    client = ConferenceClient(
        Credentials.api_key("AC" + "0" * 32, "SK" + "0" * 32, "secret"),
        cps=30,
        session=session,
        base_url=None,
        region="ie1",
        edge="dublin",
        proxy="http://proxy:3128",
        trust_env=False,
        max_concurrency=10,
        timeout=10,
        deadline=None,
        retry=RetryPolicy(attempts=2, base=1, maximum=10, lookups=3),
        retry_unknown=False,
        mint_labels=True,
        priority=Priority.BULK,
        on_attempt=tell,
        before_send=note,
    )
    assert_type(client.limit, Limit)
    assert_type(client.limit.snapshot(), LimitSnapshot)
    assert_type(client.base_url, str)
    assert_type(client.account_sid, str)
    return client.with_options(
        timeout=5,
        deadline=2.5,
        retry=RetryPolicy(),
        retry_unknown=True,
        mint_labels=False,
        priority=Priority.INTERACTIVE,
        on_attempt=print,
        before_send=None,
    )


def limits_are_interchangeable() -> tuple[ConferenceClient, ...]:
    """Every limit fits the one protocol."""
    limits: list[Limit] = [CreateLimit(5), Unpaced()]
    counting: LiveLimit = CreateLimit(5, max_live=20, reserved=2)
    assert_type(counting.max_live, int | None)
    return tuple(ConferenceClient(Credentials.from_env(), limit=limit) for limit in limits)


async def errors(client: ConferenceClient) -> None:
    """Their attributes are typed, and they are the builtin errors they mean."""
    try:
        await client.conferences.list()
    except OutcomeUnknown as unknown:
        assert_type(await unknown.reconcile(client), Participant | None)
        assert_type(unknown.label, str | None)
    except RequestRefused as refused:
        assert_type(refused.code, int | None)
        assert_type(refused.details, dict[str, object])
    except ConferenceError as error:
        assert_type(error.request_id, str | None)
        assert_type(OutcomeUnknown.behind(error), OutcomeUnknown | None)
    value_error: ValueError = InvalidParameter("to", "is wrong")
    timeout_error: TimeoutError = DeadlineExceeded("too late", estimate=1.5)
    print(value_error, timeout_error)


def as_where_credentials_change() -> None:
    """A function that looks them up, an app, and a token of one's own."""

    async def fetch() -> Credentials:
        return Credentials.bearer("AC", "token", expires_at=datetime.now(UTC))

    assert_type(Credentials.from_provider(fetch, every=60), Credentials)
    assert_type(Credentials.oauth("AC", "OQ", "secret", oauth_url=None), Credentials)
