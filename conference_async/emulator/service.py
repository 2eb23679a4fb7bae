"""The emulated service: its accounts and calls, driven and looked at without a socket."""

import random
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import get_args

import attrs

from conference_async.emulator.api.accounts import Accounts
from conference_async.emulator.api.call_log import CallLog
from conference_async.emulator.api.conferences import Conferences
from conference_async.emulator.api.dispatch import Dispatcher
from conference_async.emulator.api.oauth import OAuthApps
from conference_async.emulator.api.participants import Participants
from conference_async.emulator.callbacks.delivery import DELIVERY, Callbacks
from conference_async.emulator.callbacks.events import Events
from conference_async.emulator.calls.life import Life
from conference_async.emulator.calls.pace import reserve_start
from conference_async.emulator.calls.scripts import Script, Scripts
from conference_async.emulator.clock import Clock
from conference_async.emulator.faults import Faults
from conference_async.emulator.recorder import Recorder, Request
from conference_async.emulator.replies import ApiError
from conference_async.emulator.routing import Kind
from conference_async.emulator.settings import (
    CHANGEABLE,
    Settings,
    or_new_account_sid,
    or_new_token,
)
from conference_async.emulator.sids import SidMint
from conference_async.emulator.state import Account

_MOST_ELSEWHERE = 100_000
_KINDS: tuple[str, ...] = get_args(Kind)


@attrs.frozen(kw_only=True)
class _State:
    """What an emulator was like when it was opened."""

    accounts: frozenset[str]
    scripts: Mapping[str, Script]
    values: Sequence[tuple[object, str, object]]
    """Of each thing that may be set, whose it is, its name and its value."""


@attrs.define(kw_only=True, eq=False)
class Service(Settings):
    """Everything of an `Emulator` but its sockets."""

    faults: Faults = attrs.field(init=False, repr=False)
    """The rules by which requests go wrong."""
    callbacks: Callbacks = attrs.field(init=False, repr=False)
    """Callbacks to the application's URLs: those sent, and how they are delivered."""
    _clock: Clock = attrs.field(init=False, repr=False, factory=Clock)
    _recorder: Recorder = attrs.field(init=False, repr=False, factory=Recorder)
    _scripts: Scripts = attrs.field(init=False, repr=False, factory=Scripts)
    _accounts: Accounts = attrs.field(init=False, repr=False)
    _events: Events = attrs.field(init=False, repr=False)
    _life: Life = attrs.field(init=False, repr=False)
    _participants: Participants = attrs.field(init=False, repr=False)
    _dispatcher: Dispatcher = attrs.field(init=False, repr=False)
    _at_opening: "_State | None" = attrs.field(init=False, repr=False, default=None)

    def __attrs_post_init__(self) -> None:
        clock, recorder = self._clock, self._recorder
        randomness = random.Random(self.seed)  # noqa: S311 - repeatable faults, not secrets
        mint = SidMint(randomness)
        self._accounts = Accounts(
            Account(
                sid=self.account_sid,
                auth_token=self.auth_token,
                cps=self.cps,
                keep_ended=self.keep_ended,
            ),
            apps=OAuthApps(self, clock),
            clock=clock,
        )
        self.faults = Faults(randomness)
        self.callbacks = Callbacks(randomness=randomness, clock=clock)
        self._events = events = Events(self.callbacks, self, clock=clock)
        self._life = life = Life(self, clock=clock, mint=mint, scripts=self._scripts, events=events)
        self._participants = participants = Participants(
            life, self, events=events, clock=clock, mint=mint, recorder=recorder
        )
        conferences = Conferences(life, self, events=events, mint=mint)
        calls = CallLog(life, self, mint=mint)
        self._dispatcher = Dispatcher(
            self,
            clock=clock,
            randomness=randomness,
            accounts=self._accounts,
            faults=self.faults,
            recorder=recorder,
            operations={
                "create": participants.create,
                "fetch": participants.fetch,
                "list": participants.list,
                "update": participants.update,
                "delete": participants.delete,
                "conferences.list": conferences.list,
                "conferences.fetch": conferences.fetch,
                "conferences.update": conferences.update,
                "calls.list": calls.list,
                "calls.fetch": calls.fetch,
                "calls.update": calls.update,
                "accounts.fetch": calls.account,
            },
        )

    @property
    def now(self) -> datetime:
        """The date that it writes, in UTC and whole seconds: it goes on with the loop's clock."""
        return self._clock.now()

    @property
    def frozen(self) -> bool:
        """Whether time stands still; see `freeze`."""
        return self._clock.frozen

    def freeze(self) -> None:
        """Let time stand still for calls, delays and dates: only `advance` moves it on.

        Raises:
            RuntimeError: The emulator is closed, or another loop or thread runs it.
        """
        self._clock.check()
        self._clock.freeze()

    def unfreeze(self) -> None:
        """Let time go on by itself from where it stands; see `freeze` for the error."""
        self._clock.check()
        self._clock.unfreeze()

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass at once.

        What is due in them happens in its order, each at its own instant: calls start, ring, are
        answered, end. Callbacks go out afterwards; where your application must answer one before
        the next thing happens, advance in steps.

        Args:
            seconds: How many, 0 or more and finite.

        Raises:
            ValueError: They are negative or endless.
            TypeError: They are not a number.
            RuntimeError: The emulator is closed, or another loop or thread runs it.
        """
        self._clock.check()
        self._clock.advance(seconds)

    async def reset(self) -> None:
        """Be as it was opened: no calls, conferences, requests, rings, callbacks and faults.

        Settings, scripts and the way callbacks are delivered are as they were then, accounts and
        keys added since are gone, and time goes on by itself. Its address stays, and so do the
        SIDs: none is given twice.

        Raises:
            RuntimeError: The emulator is closed, or another loop or thread runs it.
        """
        self._clock.check()
        self._clock.forget()
        self._clock.unfreeze()
        await self.callbacks.abandon()
        self.callbacks.sent.clear()
        self.faults.clear()
        self._recorder.forget()
        if (state := self._at_opening) is not None:
            self._accounts.forget(but=state.accounts)
            self._scripts.replace(state.scripts)
            for owner, name, value in state.values:
                setattr(owner, name, value)

    @property
    def accounts(self) -> list[Account]:
        """All accounts, the main one first."""
        return list(self._accounts.by_sid.values())

    def add_account(
        self,
        account_sid: str | None = None,
        auth_token: str | None = None,
        *,
        cps: float = 1.0,
        parent: Account | None = None,
    ) -> Account:
        """Add an account with its own calls per second.

        Args:
            account_sid: ``AC…``; made up if None.
            auth_token: Made up if None.
            cps: Its calls per second.
            parent: The account it is a subaccount of, whose credentials may address it too.

        Raises:
            ValueError: The SID is no account's or taken, the token is not visible ASCII, the
                calls per second are not above 0, or the parent is not of this emulator.
        """
        if account_sid in self._accounts.by_sid:
            raise ValueError("there is such an account already")
        if parent is not None:
            self._check_account(parent)
        account = Account(
            sid=or_new_account_sid(account_sid),
            auth_token=or_new_token(auth_token),
            cps=cps,
            parent=parent,
            keep_ended=self.keep_ended,
        )
        return self._accounts.add(account)

    def add_api_key(self, account: Account | None = None) -> tuple[str, str]:
        """Make an API key of `account` (the main one if None); return its SID and secret.

        Raises:
            ValueError: The account is not one of this emulator.
        """
        if account is not None:
            self._check_account(account)
        return self._accounts.add_api_key(account or self._accounts.main)

    def delete_api_key(self, sid: str) -> None:
        """Let an API key sign nobody in any more.

        Raises:
            ValueError: There is no such key.
        """
        self._accounts.delete_api_key(sid)

    def add_oauth_app(self, account: Account | None = None) -> tuple[str, str]:
        """Make an OAuth app of `account` (the main one if None); return its client ID and secret.

        Its tokens are given at ``POST /v2/token`` and hold for `token_lifetime` seconds, in that
        account only.

        Raises:
            ValueError: The account is not one of this emulator.
        """
        if account is not None:
            self._check_account(account)
        return self._accounts.apps.add(account or self._accounts.main)

    def rotate_client_secret(self, client_id: str, *, grace: float = 0.0) -> str:
        """Give an OAuth app another secret, and return it.

        Args:
            client_id: The app.
            grace: Seconds for which the secret before holds too, 0 or more. With 0 the tokens
                given so far end as well, as the service says.

        Raises:
            ValueError: There is no such app, or the grace period is negative.
            RuntimeError: The emulator is closed, or another loop or thread runs it.
        """
        self._clock.check()
        return self._accounts.apps.rotate(client_id, _grace(grace))

    def rotate_auth_token(
        self, auth_token: str | None = None, *, account: Account | None = None, grace: float = 0.0
    ) -> str:
        """Give an account another auth token, which signs callbacks from now on; return it.

        Args:
            auth_token: The new one; made up if None.
            account: The account; the main one if None.
            grace: Seconds for which the token before signs in too, 0 or more.

        Raises:
            ValueError: The token is not visible ASCII, the account not one of this emulator, or
                the grace period negative.
            RuntimeError: The emulator is closed, or another loop or thread runs it.
        """
        self._clock.check()
        if account is not None:
            self._check_account(account)
        token, account = or_new_token(auth_token), account or self._accounts.main
        self._accounts.rotate_auth_token(account, token, _grace(grace))
        if account is self._accounts.main:
            self.auth_token: str = token
        return token

    def call_elsewhere(self, count: int = 1, *, account: Account | None = None) -> None:
        """Let an account place calls by the Calls resource, which take the next starts of its pace.

        Nobody rings; with ``calls_share_pace=False`` nothing happens at all.

        Args:
            count: How many, 1 to 100,000.
            account: The account, the main one if None.

        Raises:
            ValueError: The count is out of its bounds, the account not one of this emulator, or
                its queue is full.
            RuntimeError: The emulator is closed, or another loop or thread runs it.
        """
        if type(count) is not int or not 1 <= count <= _MOST_ELSEWHERE:
            raise ValueError(f"count must be a whole number from 1 to {_MOST_ELSEWHERE:,}")
        self._clock.check()
        if account is not None:
            self._check_account(account)
        if self.calls_share_pace and self.pace:
            for _ in range(count):
                try:
                    reserve_start(account or self._accounts.main, self._clock.time())
                except ApiError as full:
                    raise ValueError(full.message) from None

    @property
    def requests(self) -> deque[Request]:
        """The latest 20,000 requests; the newest is last."""
        return self._recorder.requests

    def count(self, kind: str | None = None) -> int:
        """Return how many requests of a kind came, or of all kinds.

        Raises:
            ValueError: There is no such kind.
        """
        if kind is not None and kind not in _KINDS:
            raise ValueError(f"a kind of request is one of {', '.join(_KINDS)}")
        kinds = self._recorder.kinds
        return kinds.total() if kind is None else kinds[kind]

    def rings(self, to: str) -> int:
        """Return how often a target was really dialled: its accepted creates, by raw ``To``."""
        return self._recorder.rings[to]

    @property
    def ring_counts(self) -> dict[str, int]:
        """How often each target was really dialled."""
        return dict(self._recorder.rings)

    @property
    def starts(self) -> list[float]:
        """Loop times of the latest million accepted creates, in order of arrival."""
        return list(self._recorder.starts)

    def _check_account(self, account: Account) -> None:
        if self._accounts.by_sid.get(account.sid) is not account:
            raise ValueError("the account is not one of this emulator")

    def _remember(self) -> None:
        """Note what `reset` brings back."""
        main = self._accounts.main
        self._at_opening = _State(
            accounts=self._accounts.sids,
            scripts=self._scripts.known,
            values=[
                *((self, name, getattr(self, name)) for name in CHANGEABLE),
                *((self.callbacks, name, getattr(self.callbacks, name)) for name in DELIVERY),
                (main, "cps", main.cps),
                (main, "auth_token", main.auth_token),
                (self, "auth_token", main.auth_token),
            ],
        )


def _grace(seconds: float) -> float:
    if not seconds >= 0:
        raise ValueError(f"grace must be at least 0 seconds, not {seconds}")
    return seconds
