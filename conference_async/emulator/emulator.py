"""The emulator, as tests hold it."""

import asyncio
import random
from collections import deque
from types import TracebackType
from typing import Self

import attrs

from conference_async.emulator.announcer import Announcer
from conference_async.emulator.call_log import CallLog
from conference_async.emulator.callbacks import Callbacks
from conference_async.emulator.clock import Clock
from conference_async.emulator.conferences import Conferences
from conference_async.emulator.directory import Directory
from conference_async.emulator.faults import Faults
from conference_async.emulator.page import Overview, Site
from conference_async.emulator.participants import Participants
from conference_async.emulator.parties import Account, Call, Room
from conference_async.emulator.reception import Reception
from conference_async.emulator.recorder import Recorder, Request
from conference_async.emulator.scripts import Script, Scripts
from conference_async.emulator.server import Server
from conference_async.emulator.settings import Settings, or_new_account_sid, or_new_token
from conference_async.emulator.sids import SidMint
from conference_async.emulator.switchboard import Switchboard


@attrs.define(kw_only=True, eq=False)
class Emulator(Settings):
    """A local server that behaves like the API, counts what it dials, and can be made to fail.

    Everything it does by itself (pace, ringing, delays) follows the running loop's clock.

    Example::

        async with Emulator(cps=5, answer_after=1) as emulator:
            emulator.script("5555", Script(outcome="busy"))
            ...  # point a client at emulator.base_url, emulator.account_sid, emulator.auth_token
            assert emulator.rings("+15558675310") == 1
    """

    faults: Faults = attrs.field(init=False, repr=False)
    """What goes wrong, and when."""
    callbacks: Callbacks = attrs.field(init=False, repr=False)
    """What was told to the application's URLs, and how they are delivered."""
    _clock: Clock = attrs.field(init=False, repr=False, factory=Clock)
    _recorder: Recorder = attrs.field(init=False, repr=False, factory=Recorder)
    _scripts: Scripts = attrs.field(init=False, repr=False, factory=Scripts)
    _directory: Directory = attrs.field(init=False, repr=False)
    _switchboard: Switchboard = attrs.field(init=False, repr=False)
    _reception: Reception = attrs.field(init=False, repr=False)
    _site: Site = attrs.field(init=False, repr=False)
    _server: Server | None = attrs.field(init=False, repr=False, default=None)

    def __attrs_post_init__(self) -> None:
        clock, recorder = self._clock, self._recorder
        randomness = random.Random(self.seed)  # noqa: S311 - repeatable faults, not secrets
        mint = SidMint(randomness)
        self._directory = Directory(
            Account(
                sid=self.account_sid,
                auth_token=self.auth_token,
                cps=self.cps,
                keep_ended=self.keep_ended,
            )
        )
        self.faults = Faults(randomness)
        self.callbacks = Callbacks(randomness, clock)
        announcer = Announcer(self.callbacks, clock=clock, mint=mint)
        self._switchboard = switchboard = Switchboard(
            self, clock=clock, mint=mint, scripts=self._scripts, announcer=announcer
        )
        participants = Participants(
            switchboard, announcer=announcer, clock=clock, mint=mint, recorder=recorder
        )
        conferences = Conferences(switchboard, announcer=announcer, mint=mint)
        calls = CallLog(switchboard, mint=mint)
        self._reception = Reception(
            self,
            clock=clock,
            randomness=randomness,
            directory=self._directory,
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
        self._site = Site(
            self,
            overview=Overview(
                self,
                clock=clock,
                directory=self._directory,
                faults=self.faults,
                recorder=recorder,
            ),
            faults=self.faults,
            drive={
                "answer": self.answer,
                "hang_up": self.hang_up,
                "busy": self.busy,
                "no_answer": self.no_answer,
                "fail": self.fail,
            },
        )

    async def __aenter__(self) -> Self:
        self._clock.start()
        await self.start_listening()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop listening, stop every call where it stands, drop callbacks under way."""
        await self.stop_listening()
        for room in self.conferences:
            for call in room.participants:
                call.stop_timer()
        await self.callbacks.aclose()

    async def start_listening(self) -> None:
        """Listen, on the same port as before; what it knows is kept."""
        if self._server is None:
            server = Server(self._reception, self._site, lambda: self.latency)
            self.port = await server.listen(self.host, self.port, self.ssl_context)
            self._server = server

    async def stop_listening(self) -> None:
        """Refuse connections and reset the open ones; calls go on."""
        if self._server is not None:
            server, self._server = self._server, None
            await server.aclose()

    async def restart(self, downtime: float = 0.0) -> None:
        """Be gone for `downtime` seconds, and back on the same port."""
        await self.stop_listening()
        await asyncio.sleep(downtime)
        await self.start_listening()

    @property
    def base_url(self) -> str:
        """Where it listens, as ``http://127.0.0.1:PORT``."""
        scheme = "https" if self.ssl_context else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"

    @property
    def accounts(self) -> list[Account]:
        """All accounts, the main one first."""
        return list(self._directory.accounts.values())

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
        """
        account = Account(
            sid=or_new_account_sid(account_sid),
            auth_token=or_new_token(auth_token),
            cps=cps,
            parent=parent,
            keep_ended=self.keep_ended,
        )
        return self._directory.add(account)

    def add_api_key(self, account: Account | None = None) -> tuple[str, str]:
        """Make an API key of `account` (the main one if None); return its SID and secret."""
        return self._directory.add_api_key(account or self._directory.main)

    def script(self, ending: str, script: Script) -> None:
        """Let calls to every ``To`` that ends with `ending` go by `script` from now on."""
        self._scripts.add(ending, script)

    def answer(self, call_sid: str) -> None:
        """Let this phone be picked up now, even if its call is still queued."""
        self._switchboard.answer(self.call(call_sid))

    def hang_up(self, call_sid: str) -> None:
        """Let this person hang up; before the answer, that declines the call."""
        call = self.call(call_sid)
        self._end(call, "completed" if call.answered_at is not None else "busy")

    def busy(self, call_sid: str) -> None:
        """Let this call end busy."""
        self._end(self.call(call_sid), "busy")

    def no_answer(self, call_sid: str) -> None:
        """Let this call end without an answer."""
        self._end(self.call(call_sid), "no-answer")

    def fail(self, call_sid: str) -> None:
        """Let this call fail."""
        self._end(self.call(call_sid), "failed")

    def call(self, call_sid: str) -> Call:
        """Return a call, live or over.

        Raises:
            KeyError: There is no such call.
        """
        for account in self.accounts:
            if call_sid in account.calls:
                return account.calls[call_sid]
        raise KeyError(call_sid)

    @property
    def conferences(self) -> list[Room]:
        """All conferences, live and over, oldest first within an account."""
        return [room for account in self.accounts for room in account.rooms.values()]

    def participants(self, conference: str) -> list[Call]:
        """Return the live participants of a conference, by SID or by the name of a live one."""
        return [
            call
            for room in self.conferences
            if room.sid == conference or (room.live and room.friendly_name == conference)
            for call in room.participants
        ]

    @property
    def requests(self) -> deque[Request]:
        """The latest 20,000 requests; the newest is last."""
        return self._recorder.requests

    def count(self, kind: str | None = None) -> int:
        """Return how many requests of a kind came, or of all kinds."""
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

    def _end(self, call: Call, call_status: str) -> None:
        if call.ended is None:
            self._switchboard.end(call, call_status)
