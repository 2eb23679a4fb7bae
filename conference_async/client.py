"""The door to the service: one client per account."""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, Self, cast

import attrs

from conference_async.accounts import ACCOUNT_LIMITS
from conference_async.conferences import Conferences
from conference_async.congestion import Congestion
from conference_async.credentials import Credentials, resolve_base_url
from conference_async.errors import ConfigurationError
from conference_async.limits import Limit
from conference_async.line import Priority
from conference_async.lookup import live_participant
from conference_async.models import Participant, check_conference, check_label
from conference_async.options import AttemptEvent, Options
from conference_async.retry import RetryPolicy
from conference_async.sender import Sender
from conference_async.transport import Transport

if TYPE_CHECKING:
    import aiohttp

P = ParamSpec("P")


class _MakesView(Protocol[P]):
    def __call__(self, *args: P.args, **changes: P.kwargs) -> "ConferenceClient": ...


def _typed_by(_options: Callable[P, Options]) -> Callable[[Callable[..., object]], _MakesView[P]]:
    return lambda method: cast("_MakesView[P]", method)


class ConferenceClient:
    """Talks to one account's conferences.

    Use it as ``async with ConferenceClient(...) as client``, or call `aclose` yourself. It may be
    made before an event loop runs, and entered again under another one.

    Args:
        credentials: Who calls; read from the environment if not given, see
            `Credentials.from_env`.
        cps: The account's calls per second: creates start evenly spaced at this rate, however
            many clients of the account this process has. More than 0, at most 30. While open
            clients of one account were given different rates, the lowest holds.
        limit: Another limit to pace creates with: a shared one, or `Unpaced` for tests.
        session: An aiohttp session to borrow. It is never closed here.
        base_url: Another host: an emulator, a recording proxy. ``CONFERENCE_ASYNC_BASE_URL`` in
            the environment does the same.
        region: The processing region (``ie1``) that the credentials belong to.
        edge: The edge location (``dublin``) that completes the region's host.
        proxy: The URL of an HTTP proxy, user and password included where it wants them.
        trust_env: Whether to take proxies from the environment (``HTTPS_PROXY``, ``NO_PROXY``).
        max_concurrency: How many requests may be under way at once, 1 or more. Fewer are used
            after the service answered 429.
        timeout: Seconds for one HTTP exchange, connecting included. How long a phone rings is
            the participant's own ``timeout``.
        deadline: Seconds for one whole call: waiting for a slot, attempts, pauses between them
            and reconciliation. None for no bound. A create whose slot cannot come in time fails
            at once.
        retry: How often and how soon to repeat what is safe to repeat.
        retry_unknown: Whether a create whose outcome stays unknown is sent again, with the same
            label. **It can ring a phone twice**: if the first call is already over, its label is
            free again.
        mint_labels: Whether a create without a label gets a random one. Without labels an
            unanswered create cannot be looked up.
        priority: Interactive creates start before bulk ones.
        on_attempt: Called with an `AttemptEvent` after each attempt. It should be quick; an
            exception in it is logged and changes nothing.
        before_send: Awaited with label and attempt number once a create has its slot, just before
            it is sent: the moment to write down that it is about to happen. An exception stops
            the create, and nothing is sent. If it takes more than a quarter of a second the
            create waits for another slot; it is awaited again if that takes ten seconds.

    Raises:
        ConfigurationError: Options are missing, out of bounds, or contradict each other.
    """

    def __init__(  # noqa: PLR0913 -- the contract: every setting is a keyword of its own
        self,
        credentials: Credentials | None = None,
        *,
        cps: float = 1.0,
        limit: Limit | None = None,
        session: "aiohttp.ClientSession | None" = None,
        base_url: str | None = None,
        region: str | None = None,
        edge: str | None = None,
        proxy: str | None = None,
        trust_env: bool = False,
        max_concurrency: int = 50,
        timeout: float = 30.0,
        deadline: float | None = None,
        retry: RetryPolicy | None = None,
        retry_unknown: bool = False,
        mint_labels: bool = True,
        priority: Priority = Priority.INTERACTIVE,
        on_attempt: Callable[[AttemptEvent], object] | None = None,
        before_send: Callable[[str | None, int], Awaitable[object]] | None = None,
    ) -> None:
        if max_concurrency < 1:
            raise ConfigurationError(f"max_concurrency must be 1 or more, not {max_concurrency!r}")
        if session is not None and trust_env:
            raise ConfigurationError("trust_env belongs to the session that is borrowed")
        credentials = credentials or Credentials.from_env()
        retry = retry or RetryPolicy()
        options = Options(
            timeout=timeout,
            deadline=deadline,
            retry=retry,
            retry_unknown=retry_unknown,
            mint_labels=mint_labels,
            priority=priority,
            on_attempt=on_attempt,
            before_send=before_send,
        )
        if base_url is None:
            region, edge = region or credentials.region, edge or credentials.edge
        self.base_url = resolve_base_url(base_url, region=region, edge=edge)
        self._cps = None if limit is not None else cps
        self._view_of: ConferenceClient | None = None
        self._sender = Sender(
            transport=Transport(
                base_url=self.base_url,
                credentials=credentials,
                session=session,
                proxy=proxy,
                trust_env=trust_env,
                connections=max_concurrency,
            ),
            limit=limit if limit is not None else self._claim(credentials.account_sid, cps),
            congestion=Congestion(max_concurrency, retry),
            account_sid=credentials.account_sid,
            options=options,
        )

    def _claim(self, account_sid: str, cps: float) -> Limit:
        return ACCOUNT_LIMITS.claim((account_sid, self.base_url), cps, self)

    @property
    def account_sid(self) -> str:
        """The account that is dialled from."""
        return self._sender.account_sid

    @property
    def limit(self) -> Limit:
        """What paces the creates."""
        return self._sender.limit

    @property
    def options(self) -> Options:
        """The settings of this client or view."""
        return self._sender.options

    @property
    def conferences(self) -> Conferences:
        """The account's conferences: ``client.conferences("standup")`` for one of them."""
        return Conferences(self._sender)

    @_typed_by(Options)
    def with_options(  # the decorator types the keywords
        self,
        **changes: Any,  # noqa: ANN401 -- typed by the decorator
    ) -> "ConferenceClient":
        """Return a view with other options; it shares session, limit and concurrency.

        Cheap: make one per call if that reads well. A view need not be closed. The back-off
        after a 429 is everybody's, and so goes by the client's own `retry`.

        Args:
            **changes: ``timeout``, ``deadline``, ``retry``, ``retry_unknown``, ``mint_labels``,
                ``priority``, ``on_attempt``, ``before_send``: as for the client.

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
        view._sender = attrs.evolve(self._sender, options=attrs.evolve(self.options, **changes))
        return view

    async def find_placed(self, conference: str, label: str) -> Participant | None:
        """Return the live participant with that label, with ``reconciled=True``, or None.

        None is no proof that nobody was called: the call may be over, or not visible yet.

        Args:
            conference: A conference SID or friendly name.
            label: The label that the create carried.
        """
        found = await live_participant(
            self._sender.request,
            self.account_sid,
            check_conference(conference),
            check_label(label),
        )
        return None if found is None else attrs.evolve(found.participant, reconciled=True)

    async def aclose(self) -> None:
        """Close the client's own connections; a borrowed session and a view's client stay open."""
        if self._view_of is None:
            ACCOUNT_LIMITS.release((self.account_sid, self.base_url), self)
            await self._sender.transport.aclose()

    async def __aenter__(self) -> Self:
        if self._view_of is None and self._sender.transport.closed:
            self._sender.transport.closed = False
            if self._cps is not None:
                self._claim(self.account_sid, self._cps)
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
