"""The emulator that tests use: the emulated service, and the sockets it is reached by."""

import asyncio
import logging
import secrets
from types import TracebackType
from typing import Self

import attrs

from conference_async.emulator.control import Control, Guard, Overview
from conference_async.emulator.page import Site
from conference_async.emulator.phones import Phones
from conference_async.emulator.server import Server

_LOG = logging.getLogger("conference_async.emulator")


@attrs.define(kw_only=True, eq=False)
class Emulator(Phones):
    """A local server that behaves like the API, counts what it dials, and can be made to fail.

    Everything it does by itself (pace, ringing, delays) follows the running loop's clock. It is
    opened once, by ``async with``, and belongs to the loop that runs then.

    Example::

        async with Emulator(cps=5, answer_after=1) as emulator:
            emulator.script("5555", Script(outcome="busy"))
            ...  # point a client at emulator.base_url, emulator.account_sid, emulator.auth_token
            assert emulator.rings("+15558675310") == 1
    """

    _site: Site = attrs.field(init=False, repr=False)
    _control: Control = attrs.field(init=False, repr=False)
    _server: Server | None = attrs.field(init=False, repr=False, default=None)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        guard = Guard(self)
        self._site = Site(guard)
        self._control = Control(
            self,
            guard=guard,
            overview=Overview(
                self,
                clock=self._clock,
                accounts=self._accounts,
                faults=self.faults,
                recorder=self._recorder,
            ),
            clock=self._clock,
            restart=self.restart,
        )

    async def __aenter__(self) -> Self:
        if self._clock.loop is not None:
            raise RuntimeError("an emulator is opened once; make another one")
        self._clock.start()
        self._remember()
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
        await self._control.aclose()
        await self.stop_listening()
        for room in self.conferences:
            for call in room.participants:
                call.stop_timer()
        await self.callbacks.aclose()
        self._clock.stop()

    async def start_listening(self) -> None:
        """Listen, on the same port as before; what it knows is kept.

        Raises:
            RuntimeError: It is not open, or another loop runs it.
            OSError: The address cannot be listened on.
        """
        self._clock.check()
        if self._server is not None:
            return
        if self.beyond_loopback:
            self.control_token: str | None = self.control_token or secrets.token_urlsafe(16)
            _LOG.warning(
                "listening on %s, where other machines reach it; the page and /control/ ask for "
                "the emulator's control_token",
                self.host,
            )
        self._server = server = Server(
            self._dispatcher,
            site=self._site,
            control=self._control,
            clock=self._clock,
            latency=lambda: self.latency,
        )
        try:
            self.port: int = await server.listen(self.host, self.port, self.ssl_context)
        except BaseException:
            self._server = None
            raise

    async def stop_listening(self) -> None:
        """Refuse connections and reset the open ones; calls go on."""
        if self._server is not None:
            server, self._server = self._server, None
            await server.aclose()

    async def restart(self, downtime: float = 0.0) -> None:
        """Be unreachable for `downtime` seconds, 0 or more, and listen on the same port again.

        Raises:
            ValueError: The downtime is negative.
        """
        if not downtime >= 0:
            raise ValueError(f"downtime must be at least 0, not {downtime}")
        await self.stop_listening()
        await asyncio.sleep(downtime)
        await self.start_listening()

    @property
    def base_url(self) -> str:
        """The address at which it listens, as ``http://127.0.0.1:PORT``.

        Raises:
            RuntimeError: Its port is not known before it is opened.
        """
        if self.port == 0:
            raise RuntimeError("the emulator has no port before `async with` opens it")
        scheme = "https" if self.ssl_context else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"
