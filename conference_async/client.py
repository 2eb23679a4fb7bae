"""The door to the service: one client per account."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, Self, cast

import attrs

import conference_async
from conference_async.bounds import check_count
from conference_async.conferences import Conferences
from conference_async.credentials import Credentials
from conference_async.errors import ConfigurationError, InvalidParameter, OutcomeUnknown
from conference_async.hosts import resolve_base_url, service_of
from conference_async.keywords import signature_with
from conference_async.looks import Look
from conference_async.models import Participant
from conference_async.pace.contract import Limit
from conference_async.pace.line import Priority
from conference_async.pace.local import ACCOUNT_LIMITS
from conference_async.participant_handle import ParticipantHandle, handle_of
from conference_async.room import Room
from conference_async.sending.attempts import AttemptEvent
from conference_async.sending.call_log import look_at_calls
from conference_async.sending.congestion import Congestion
from conference_async.sending.evidence import Search
from conference_async.sending.observing import Observer
from conference_async.sending.options import Options
from conference_async.sending.register import Register
from conference_async.sending.retry import RetryPolicy, RetryUnknown
from conference_async.sending.sender import Sender
from conference_async.sending.sought import Sought
from conference_async.sending.taken_lines import CountedLines
from conference_async.sending.transport import Session, Transport
from conference_async.wire import load_converter

if TYPE_CHECKING:
    from conference_async.sending.many import Finding

P = ParamSpec("P")


class _MakesView(Protocol[P]):
    def __call__(self, *args: P.args, **changes: P.kwargs) -> "ConferenceClient": ...


def _takes(options: Callable[P, Options]) -> Callable[[Callable[..., object]], _MakesView[P]]:
    def decorate(method: Callable[..., object]) -> _MakesView[P]:
        method.__dict__["__signature__"] = signature_with(method, options)
        return cast("_MakesView[P]", method)

    return decorate


class ConferenceClient:
    """Talks to one account's conferences.

    Use it as ``async with ConferenceClient(...) as client``, or call `aclose` yourself. It may be
    made before an event loop runs, and entered again under another one.

    Args:
        credentials: Who calls; read from the environment if not given, see
            `Credentials.from_env`. Those of `Credentials.oauth` and `Credentials.from_provider`
            change while the client runs.
        cps: The account's calls per second: creates start evenly spaced at this rate, however
            many clients of the account this process has. More than 0, at most 30. While open
            clients of one account were given different rates, the lowest holds.
        limit: Another limit to pace creates with: a shared one, or `Unpaced` for tests.
        session: An aiohttp session to borrow. It is never closed here. Its connector, proxy and
            traces are used; its own headers, cookies, ``auth`` and middlewares are not.
        base_url: Another host: an emulator, a recording proxy. ``CONFERENCE_ASYNC_BASE_URL`` in
            the environment does the same.
        region: The processing region (``ie1``) that the credentials belong to.
        edge: The edge location (``dublin``) that completes the region's host.
        proxy: The URL of an HTTP proxy, user and password included where it wants them.
        trust_env: Whether to take the proxy from the environment (``HTTPS_PROXY``, ``NO_PROXY``)
            as it is when the client is made; ``proxy`` goes before it.
        max_concurrency: How many requests may be under way at once, 1 or more. Fewer are used
            after the service answered 429.
        timeout: Seconds for one HTTP exchange, connecting included. How long a phone rings is
            the participant's own ``timeout``.
        deadline: Seconds for one whole call: waiting for a slot, attempts, pauses between them
            and reconciliation. None for no bound. A create whose slot cannot come in time fails
            at once.
        retry: How often and how soon to repeat what is safe to repeat. While the service cannot be
            reached, interactive calls without a deadline fail after as many tries of anybody's.
        retry_unknown: Whether a create whose outcome stays unknown is sent again, with the same
            label. ``"when-absent"``: only where the account's call log, read in full once it must
            show the call (`RetryPolicy.settled`), shows that nothing was placed. True: always.
            **That can ring a phone twice**: if the first call is already over, its label is free
            again.
        mint_labels: Whether a create without a label gets a random one. Without labels an
            unanswered create can be found in the call log only.
        priority: Interactive creates start before bulk ones.
        on_attempt: Called with an `AttemptEvent` after each attempt. It should be quick; an
            exception in it is logged and changes nothing.
        before_send: Awaited with label and attempt number when a create sets out to its slot, just
            before it is sent: the moment to write down that it is about to happen. An exception
            stops the create, and nothing is sent. However long it takes, it costs no pace, as
            long as `max_concurrency` creates may be under way meanwhile.
        journal: Where ``create(..., once="order-42")`` is remembered: a `Journal` or a
            `PostgresJournal`. It opens by itself, and is never closed here.
        telemetry: What watches the client, and the diallers and workers that use it: a
            `conference_async.telemetry.Telemetry`.

    Raises:
        ConfigurationError: Options are missing, out of bounds, or contradict each other.
    """

    def __init__(  # noqa: PLR0913 -- the contract: every setting is a keyword of its own
        self,
        credentials: Credentials | None = None,
        *,
        cps: float = 1.0,
        limit: Limit | None = None,
        session: Session | None = None,
        base_url: str | None = None,
        region: str | None = None,
        edge: str | None = None,
        proxy: str | None = None,
        trust_env: bool = False,
        max_concurrency: int = 50,
        timeout: float = 30.0,
        deadline: float | None = None,
        retry: RetryPolicy | None = None,
        retry_unknown: RetryUnknown = False,
        mint_labels: bool = True,
        priority: Priority = Priority.INTERACTIVE,
        on_attempt: Callable[[AttemptEvent], None] | None = None,
        before_send: Callable[[str | None, int], Awaitable[object]] | None = None,
        journal: "conference_async.JournalStore | None" = None,
        telemetry: Observer | None = None,
    ) -> None:
        load_converter()
        check_count("max_concurrency", max_concurrency)
        if session is not None and trust_env:
            raise ConfigurationError("trust_env belongs to the session that is borrowed")
        credentials = Credentials.from_env() if credentials is None else credentials
        if not isinstance(credentials, Credentials):
            raise ConfigurationError(
                "credentials must be Credentials(account_sid, auth_token), not "
                f"{type(credentials).__name__}"
            )
        if limit is not None and not callable(getattr(limit, "turn", None)):
            raise ConfigurationError(
                "limit must be a limit, such as SQLiteLimit('pace.db', cps=5), not "
                f"{type(limit).__name__}; cps= takes a number"
            )
        retry = RetryPolicy() if retry is None else retry
        options = Options(
            timeout=timeout,
            deadline=deadline,
            retry=retry,
            retry_unknown=retry_unknown,
            mint_labels=mint_labels,
            priority=priority,
            on_attempt=on_attempt,
            before_send=before_send,
            journal=journal,
            telemetry=telemetry,
        )
        if base_url is None:
            region, edge = region or credentials.region, edge or credentials.edge
        credentials.check_region(region)
        self.base_url: str = resolve_base_url(base_url, region=region, edge=edge)
        self._account = credentials.account_sid, service_of(self.base_url)
        self._cps = None if limit is not None else cps
        self._view_of: ConferenceClient | None = None
        fixed = credentials.source is None
        transport = Transport(
            base_url=self.base_url,
            authorization=credentials.authorization if fixed else None,
            session=session,
            proxy=proxy,
            trust_env=trust_env,
            connections=max_concurrency,
        )
        authorization = None
        if not fixed:
            from conference_async.sending.sources import authorization_of

            authorization = authorization_of(credentials, transport, region=region, timeout=timeout)
        self._sender = Sender(
            transport=transport,
            authorization=authorization,
            limit=limit if limit is not None else self._claim(cps),
            congestion=Congestion(max_concurrency, retry),
            account_sid=credentials.account_sid,
            register=Register.of(*self._account),
            options=options,
        )
        look = partial(look_at_calls, self._sender)
        self._sender.lines = CountedLines.of(self._sender.limit, look)
        self._conferences = Conferences(self._sender)

    def _claim(self, cps: float) -> Limit:
        return ACCOUNT_LIMITS.claim(self._account, cps, self)

    @property
    def account_sid(self) -> str:
        """The account that is dialled from."""
        return self._sender.account_sid

    @property
    def limit(self) -> Limit:
        """The limit that paces the creates."""
        return self._sender.limit

    @property
    def register(self) -> Register:
        """The creates of this process for the account, and what else remembers some."""
        return self._sender.register

    @property
    def options(self) -> Options:
        """The settings of this client or view."""
        return self._sender.options

    @property
    def conferences(self) -> Conferences:
        """The account's conferences: ``client.conferences("standup")`` for one of them."""
        return self._conferences

    def participant(self, participant: Participant) -> ParticipantHandle:
        """Return the handle of a participant who was created, fetched or listed; no I/O.

        It goes by the SIDs, so it means that very call, whoever has the label or name later.

        Raises:
            InvalidParameter: The participant says no conference, or neither Call SID nor label.
        """
        given: object = participant
        if not isinstance(given, Participant):
            problem = (
                "must be a Participant; a label or Call SID goes to "
                "client.conferences(...).participants(...)"
            )
            raise InvalidParameter("participant", problem)
        if not participant.conference_sid:
            raise InvalidParameter("participant", "has no conference_sid to find it by")
        room = Room(self._sender, participant.conference_sid)
        return handle_of(participant, room, ParticipantHandle)

    @_takes(Options)
    def with_options(  # the decorator types the keywords
        self,
        **changes: Any,  # noqa: ANN401 -- typed by the decorator
    ) -> "ConferenceClient":
        """Return a view with other options; it shares session, limit and concurrency.

        Cheap: make one per call if that reads well. A view need not be closed. The back-off
        after a 429 is everybody's, and so goes by the client's own `retry`.

        Args:
            **changes: ``timeout``, ``deadline``, ``retry``, ``retry_unknown``, ``mint_labels``,
                ``priority``, ``on_attempt``, ``before_send``, ``journal``, ``telemetry``: as for
                the client.

        Raises:
            ConfigurationError: A value is out of bounds, or there is no such option.
        """
        unknown = sorted(changes.keys() - {field.name for field in attrs.fields(Options)})
        if unknown:
            raise ConfigurationError(
                f"{unknown[0]} is not an option of a view; it belongs to ConferenceClient(...)"
            )
        view = object.__new__(ConferenceClient)
        view.__dict__.update(self.__dict__)
        view._view_of = self  # while it lives, the client's claim to its rate holds
        view._sender = self._sender.with_options(attrs.evolve(self.options, **changes))
        view._conferences = Conferences(view._sender)
        return view

    async def find_placed(
        self,
        conference: str,
        label: str | None,
        *,
        sent_at: datetime | None = None,
        ended_at: datetime | None = None,
        to: str | None = None,
        from_: str | None = None,
        wait: bool = False,
        looked: Callable[[Look], object] = lambda _: None,
    ) -> Participant | None:
        """Return the participant that a create placed, with ``reconciled=True``, or None.

        It is looked for by its label among the living and then, where both numbers and the time
        are known, in the account's call log, which keeps calls that are over. The log has no
        labels: exactly one call must have gone to that number from that caller at that time, and
        none of the other creates of this account that are known here may have placed it.

        None is no proof that nobody was called, unless the last look held ``absent``.

        Args:
            conference: A conference SID or friendly name.
            label: The label that the create carried, or None.
            sent_at: When it was sent, by a clock that is at most a minute from this machine's,
                aware of its time zone: whoever came five minutes later is not found. None takes
                anybody with that label, and asks no log.
            ended_at: When nothing of it was under way any more; `sent_at` and five minutes if not
                given.
            to: The number that it called.
            from_: The number that it called from.
            wait: Whether to look again until what was placed is visible (`RetryPolicy.settled`),
                and to wait out failures of the service.
            looked: Called with each look; what it raises is logged, and changes nothing.

        Raises:
            ConfigurationError: `looked` is async.
            InvalidParameter: A time has no time zone, or a name can be none.
            LabelInUse: The label belongs to somebody who came before `sent_at`, so that create
                placed nothing.
            ConferenceError: Without `wait`: a look failed, or all were not done within `deadline`.
        """
        sought = Sought.at(
            conference, label, sent_at=sent_at, ended_at=ended_at, to=to, from_=from_
        )
        search = Search(self._sender, sought, looked=looked)
        if not wait:
            return await search.once()
        deadline = self.options.deadline
        now = asyncio.get_running_loop().time()
        return await search.until_settled(None if deadline is None else now + deadline)

    async def find_many(self, creates: Sequence[Sought]) -> "list[Finding]":
        """Return what became of many creates, in their order, as `find_placed` does of one.

        It takes few requests: one list of participants for each conference, and one part of the
        call log for all from one caller at about the same time. It waits until what was placed is
        visible, and waits out failures of the service.
        """
        from conference_async.sending.many import find_many

        return await find_many(self._sender, creates)

    async def look_for(
        self,
        unknown: OutcomeUnknown,
        /,
        *,
        to: str | None = None,
        from_: str | None = None,
        looked: Callable[[Look], object] = lambda _: None,
    ) -> Participant | None:
        """Do what `OutcomeUnknown.reconcile` says, which is the way to ask for it."""
        if unknown.account_sid not in {None, self.account_sid}:
            raise ConfigurationError(
                f"the create was one of the account {unknown.account_sid}, and nothing of it can "
                f"be seen in {self.account_sid}; ask with a client of that account"
            )
        if unknown.sought is not None:
            return await Search(self._sender, cast("Sought", unknown.sought), looked=looked).once()
        if unknown.label is None and None in (to, from_, unknown.sent_at):
            raise ConfigurationError(
                "the create carried no label, so it can be looked up by to= and from_= only; "
                "leave mint_labels on, or give each participant a label"
            )
        return await self.find_placed(
            unknown.conference,
            unknown.label,
            sent_at=unknown.sent_at,
            to=to,
            from_=from_,
            looked=looked,
        )

    async def aclose(self) -> None:
        """Close the client's own connections; a borrowed session and a view's client stay open."""
        if self._view_of is None:
            ACCOUNT_LIMITS.release(self._account, self)
            await self._sender.aclose()

    async def __aenter__(self) -> Self:
        if self._view_of is None and self._sender.transport.closed:
            self._sender.reopen()
            if self._cps is not None:
                self._claim(self._cps)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        state = "closed" if self._sender.transport.closed else "open"
        return (
            f"<ConferenceClient {self.account_sid} at {self.base_url} cps={self.limit.cps:g} "
            f"{state}>"
        )
