"""Commands about conferences and the people in them: one method of the library each."""

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated, TypeAlias

from cyclopts import Parameter

from conference_async.cli.account import FROM_ENVIRONMENT, Account
from conference_async.cli.output import CONFERENCES, PARTICIPANTS, PLAIN, Output
from conference_async.cli.problems import say
from conference_async.errors import ConfigurationError
from conference_async.models import (
    ConferenceFilters,
    HttpMethod,
    NewParticipant,
    Participant,
    ParticipantFilters,
)

if TYPE_CHECKING:
    from conference_async.participant_handle import ParticipantHandle
    from conference_async.sending.attempts import AttemptEvent

Room: TypeAlias = Annotated[str, Parameter(help="The conference: its SID (CF…) or friendly name.")]
Who: TypeAlias = Annotated[str, Parameter(help="The participant: a Call SID (CA…) or a label.")]
Url: TypeAlias = Annotated[
    str, Parameter(help="What plays: an MP3 or WAV file, or TwiML of Play, Say, Pause, Redirect.")
]
Method: TypeAlias = Annotated[HttpMethod | None, Parameter(help="How the service fetches the URL.")]
Most: TypeAlias = Annotated[int | None, Parameter(help="Stop after so many.")]


async def create(
    conference: Room,
    /,
    *,
    new: Annotated[NewParticipant, Parameter(name="*", negative_iterable=())],
    once: Annotated[str | None, Parameter(help="A key: the same one never dials twice.")] = None,
    journal: Annotated[
        str | None,
        Parameter(help="Where keys are remembered: a file, or postgresql://host/database."),
    ] = None,
    deadline: Annotated[
        float | None,
        Parameter(help="Seconds after which it ends, whatever is known then; none if not given."),
    ] = None,
    account: Account = FROM_ENVIRONMENT,
    output: Output = PLAIN,
) -> None:
    """Dial one phone, SIP endpoint, client or application into a conference.

    A conference that is named and not live is opened. Every parameter of the service is an option.
    With --once the participant of an earlier command with that key and journal is shown, and
    nobody is dialled; what that command left in doubt is looked up.
    """
    from conference_async.journal.place import journal_at

    if (once is None) != (journal is None):
        raise ConfigurationError("--once and --journal belong together")
    async with AsyncExitStack() as stack:
        keys = None if journal is None else journal_at(journal)
        if keys is not None:
            stack.push_async_callback(keys.aclose)
        client = await stack.enter_async_context(account.client(journal=keys))
        told = client.with_options(deadline=deadline, on_attempt=_say_if_sought)
        say(f"dialling through {client.base_url}")
        room = told.conferences(conference)
        placed = await room.participants.create(new, once=once)
        if placed.repeated:
            say("this key was dialled for before; nobody was dialled now")
        output.row(placed, PARTICIPANTS)


def _say_if_sought(event: "AttemptEvent") -> None:
    """Say that a create without a readable answer is looked for, which takes a while."""
    if event.kind == "create" and event.verdict == "reconcile":
        say("no readable answer; the call is looked for, which may take half a minute")


async def list_participants(
    conference: Room,
    /,
    *,
    filters: Annotated[ParticipantFilters | None, Parameter(name="*")] = None,
    limit: Most = None,
    account: Account = FROM_ENVIRONMENT,
    output: Output = PLAIN,
) -> None:
    """List the people in a conference."""
    async with account.conference(conference) as room:
        people = room.participants.stream(limit=limit, **(filters or ParticipantFilters()))
        await output.rows(people, PARTICIPANTS)


async def show(
    conference: Room,
    participant: Annotated[str | None, Parameter(help="A Call SID (CA…) or a label.")] = None,
    /,
    *,
    account: Account = FROM_ENVIRONMENT,
    output: Output = PLAIN,
) -> None:
    """Show everything the service says about a participant, or about the conference itself."""
    async with account.conference(conference) as room:
        if participant is None:
            output.whole(await room.fetch())
        else:
            output.whole(await room.participants(participant).fetch())


Command: TypeAlias = Callable[..., Coroutine[None, None, None]]
"""The value that the command line acts on."""


def _of_one(verb: "Callable[[ParticipantHandle], Awaitable[Participant]]", meaning: str) -> Command:
    """Return the command of a verb that needs a participant and nothing else."""

    async def command(
        conference: Room,
        participant: Who,
        /,
        *,
        account: Account = FROM_ENVIRONMENT,
        output: Output = PLAIN,
    ) -> None:
        async with account.participant(conference, participant) as person:
            output.row(await verb(person), PARTICIPANTS)

    command.__doc__ = meaning
    return command


mute: Command = _of_one(lambda person: person.mute(), "Let nobody hear a participant.")
unmute: Command = _of_one(
    lambda person: person.unmute(), "Let the others hear a participant again."
)
unhold: Command = _of_one(
    lambda person: person.unhold(), "Let a participant rejoin the conference."
)


async def hold(
    conference: Room,
    participant: Who,
    /,
    *,
    url: Url | None = None,
    method: Method = None,
    account: Account = FROM_ENVIRONMENT,
    output: Output = PLAIN,
) -> None:
    """Put a participant on hold: they hear music, and nobody hears them."""
    async with account.participant(conference, participant) as person:
        output.row(await person.hold(url, method=method), PARTICIPANTS)


async def announce(
    conference: Room,
    url: Url,
    /,
    *,
    to: Annotated[str | None, Parameter(help="Only to this Call SID (CA…) or label.")] = None,
    method: Method = None,
    account: Account = FROM_ENVIRONMENT,
    output: Output = PLAIN,
) -> None:
    """Play something to everybody in a conference, or to one participant."""
    async with account.conference(conference) as room:
        if to is None:
            output.row(await room.announce(url, method=method), CONFERENCES)
        else:
            person = room.participants(to)
            output.row(await person.announce(url, method=method), PARTICIPANTS)


async def coach(
    conference: Room,
    participant: Who,
    coached: Annotated[str | None, Parameter(help="Whom: a Call SID (CA…) or a label.")] = None,
    /,
    *,
    stop: Annotated[
        bool, Parameter(help="Let everybody hear the coach again.", negative="")
    ] = False,
    account: Account = FROM_ENVIRONMENT,
    output: Output = PLAIN,
) -> None:
    """Let a participant hear everybody and be heard by one of them only."""
    if stop == (coached is not None):
        raise ConfigurationError("say whom to coach, or --stop")
    async with account.conference(conference) as room:
        person = room.participants(participant)
        if coached is None:
            output.row(await person.stop_coaching(), PARTICIPANTS)
            return
        output.row(await person.coach(coached), PARTICIPANTS)


async def remove(
    conference: Room,
    participant: Who,
    /,
    *,
    account: Account = FROM_ENVIRONMENT,
    output: Output = PLAIN,
) -> None:
    """Hang up on a participant."""
    async with account.participant(conference, participant) as person:
        await person.delete()
    output.done(f"removed {participant}", removed=participant)


async def end(
    conference: Room,
    /,
    *,
    account: Account = FROM_ENVIRONMENT,
    output: Output = PLAIN,
) -> None:
    """End a conference, and hang up on everybody in it."""
    async with account.conference(conference) as room:
        output.row(await room.end(), CONFERENCES)


async def list_conferences(
    *,
    filters: Annotated[ConferenceFilters | None, Parameter(name="*")] = None,
    limit: Most = None,
    account: Account = FROM_ENVIRONMENT,
    output: Output = PLAIN,
) -> None:
    """List the account's conferences; only those in progress, unless --status says otherwise."""
    async with account.client() as client:
        conferences = client.conferences.stream(limit=limit, **(filters or ConferenceFilters()))
        await output.rows(conferences, CONFERENCES)
