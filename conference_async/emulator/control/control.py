"""The operations of the control API, each a method of the emulator's."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from importlib.resources import files
from typing import Any

import attrs

from conference_async.emulator.api.dispatch import Incoming
from conference_async.emulator.bounds import seconds
from conference_async.emulator.calls.directory import NoSuchCall
from conference_async.emulator.calls.scripts import Script
from conference_async.emulator.clock import Clock
from conference_async.emulator.control import shown
from conference_async.emulator.control.answers import HEADERS, NOTHING, Refusal, answer
from conference_async.emulator.control.asked import Asked, read_body, read_query
from conference_async.emulator.control.guard import Guard
from conference_async.emulator.control.listing import Listing
from conference_async.emulator.control.overview import Overview
from conference_async.emulator.control.routes import ROOT, ROUTES, route
from conference_async.emulator.faults import Fault
from conference_async.emulator.phones import CannotJoin, Phones
from conference_async.emulator.replies import Reply
from conference_async.emulator.state import Account

_DOCUMENT = Reply(
    body=files("conference_async.emulator.control").joinpath("openapi.json").read_bytes(),
    headers=HEADERS,
)
_SCRIPT = tuple(field.name for field in attrs.fields(Script))
_FAULT = ("fault", "on", "times", "after", "to", "label", "probability", "seconds", "retry_after")
_DIAL_IN = (
    *("conference", "from", "to", "label", "muted", "start_conference_on_enter"),
    *("end_conference_on_exit", "conference_status_callback", "conference_status_callback_event"),
    "account_sid",
)
_LONGEST_WAIT = 60.0
_SOON = 0.05


@attrs.frozen
class _Wait:
    """Seconds of real time, which the caller of an operation waits."""

    timeout: float = attrs.field(default=5.0, validator=seconds)
    downtime: float = attrs.field(default=0.0, validator=seconds)


class Control:
    """Answers requests below ``/control``; they are not recorded, delayed or spoiled.

    Args:
        phones: The emulator.
        guard: Says who may use it.
        overview: What the page shows.
        clock: The emulator's clock.
        restart: Takes the emulator away for so many seconds.
    """

    def __init__(
        self,
        phones: Phones,
        *,
        guard: Guard,
        overview: Overview,
        clock: Clock,
        restart: Callable[[float], Awaitable[None]],
    ) -> None:
        self._phones = phones
        self._guard = guard
        self._listing = Listing(phones, overview=overview, clock=clock)
        self._restart = restart
        self._restarting: asyncio.Task[None] | None = None
        self._operations: dict[str, Callable[[Asked], Reply | Awaitable[Reply]]] = {
            name: getattr(self._listing, name, None) or getattr(self, f"_{name}")
            for operations in ROUTES.values()
            for name in operations.values()
        }

    def serves(self, incoming: Incoming) -> bool:
        """Return whether this is a request of the control API."""
        return incoming.target.partition("?")[0].startswith(f"{ROOT}/")

    async def answer(self, incoming: Incoming) -> Reply:
        """Answer one request."""
        path, _, query = incoming.target.partition("?")
        try:
            self._guard.admit(incoming)
            found = route(incoming.method, path)
            asked = Asked(names=found.names, query=read_query(query), body=read_body(incoming.body))
            reply = self._operations[found.operation](asked)
            return reply if isinstance(reply, Reply) else await reply
        except Refusal as refusal:
            return refusal.reply()
        except NoSuchCall as missing:
            return Refusal(404, str(missing)).reply()
        except CannotJoin as clash:
            return Refusal(409, str(clash)).reply()
        except (ValueError, TypeError) as wrong:  # as the emulator's methods refuse what is odd
            return Refusal(400, str(wrong)).reply()

    async def aclose(self) -> None:
        """Give up a restart that is under way."""
        if self._restarting is not None:
            self._restarting.cancel()
            await asyncio.gather(self._restarting, return_exceptions=True)

    def _describe(self, asked: Asked) -> Reply:
        asked.only()
        return _DOCUMENT

    def _change_settings(self, asked: Asked) -> Reply:
        self._set(self._phones, self._listing.settings(), asked)
        return self._listing.show_settings(_NOTHING_ASKED)

    def _change_clock(self, asked: Asked) -> Reply:
        asked.only(body=("frozen",))
        frozen = asked.given("frozen")
        if not isinstance(frozen, bool):
            raise TypeError("frozen must be true or false")
        (self._phones.freeze if frozen else self._phones.unfreeze)()
        return self._listing.show_clock(_NOTHING_ASKED)

    def _advance(self, asked: Asked) -> Reply:
        asked.only(body=("seconds",))
        self._phones.advance(asked.given("seconds"))
        return self._listing.show_clock(_NOTHING_ASKED)

    def _add_account(self, asked: Asked) -> Reply:
        asked.only(body=("account_sid", "auth_token", "cps", "parent"))
        options = dict(asked.body)
        if options.get("parent") is not None:
            options["parent"] = self._account(options["parent"])
        account = self._phones.add_account(**options)
        return answer({**shown.account(account), "auth_token": account.auth_token}, status=201)

    def _change_account(self, asked: Asked) -> Reply:
        account = self._account(asked.names["account_sid"])
        self._set(account, {"cps": account.cps}, asked)
        return answer(shown.account(account))

    def _add_api_key(self, asked: Asked) -> Reply:
        asked.only()
        sid, secret = self._phones.add_api_key(self._account(asked.names["account_sid"]))
        return answer({"key_sid": sid, "key_secret": secret}, status=201)

    def _add_oauth_app(self, asked: Asked) -> Reply:
        asked.only()
        client_id, secret = self._phones.add_oauth_app(self._account(asked.names["account_sid"]))
        return answer({"client_id": client_id, "client_secret": secret}, status=201)

    def _rotate_auth_token(self, asked: Asked) -> Reply:
        asked.only(body=("auth_token", "grace"))
        account = self._account(asked.names["account_sid"])
        return answer({"auth_token": self._phones.rotate_auth_token(**asked.body, account=account)})

    def _delete_api_key(self, asked: Asked) -> Reply:
        asked.only()
        self._phones.delete_api_key(asked.names["key_sid"])
        return NOTHING

    def _rotate_client_secret(self, asked: Asked) -> Reply:
        asked.only(body=("grace",))
        secret = self._phones.rotate_client_secret(asked.names["client_id"], **asked.body)
        return answer({"client_secret": secret})

    def _call_elsewhere(self, asked: Asked) -> Reply:
        asked.only(body=("count",))
        account = self._account(asked.names["account_sid"])
        self._phones.call_elsewhere(**asked.body, account=account)
        return answer(shown.account(account))

    def _add_script(self, asked: Asked) -> Reply:
        asked.only(body=("ending", *_SCRIPT))
        ending = asked.given("ending")
        script = Script(**{name: asked.body[name] for name in asked.body if name != "ending"})
        self._phones.script(ending, script)
        return answer(shown.script(ending, script), status=201)

    def _forget_scripts(self, asked: Asked) -> Reply:
        asked.only()
        self._phones.forget_scripts()
        return NOTHING

    def _dial_in(self, asked: Asked) -> Reply:
        asked.only(body=_DIAL_IN)
        options = dict(asked.body)
        conference, caller = asked.given("conference"), asked.given("from")
        del options["conference"], options["from"]
        if (sid := options.pop("account_sid", None)) is not None:
            options["account"] = self._account(sid)
        call = self._phones.dial_in(conference, caller, **options)
        return answer(shown.call(call), status=201)

    def _answer(self, asked: Asked) -> Reply:
        return self._drive(asked, self._phones.answer)

    def _hang_up(self, asked: Asked) -> Reply:
        return self._drive(asked, self._phones.hang_up)

    def _busy(self, asked: Asked) -> Reply:
        return self._drive(asked, self._phones.busy)

    def _no_answer(self, asked: Asked) -> Reply:
        return self._drive(asked, self._phones.no_answer)

    def _fail(self, asked: Asked) -> Reply:
        return self._drive(asked, self._phones.fail)

    def _speak(self, asked: Asked) -> Reply:
        return self._drive(asked, self._phones.speak, takes=("seconds",))

    def _detect(self, asked: Asked) -> Reply:
        asked.given("answered_by")
        return self._drive(asked, self._phones.detect, takes=("answered_by",))

    def _change_callbacks(self, asked: Asked) -> Reply:
        self._set(self._phones.callbacks, self._listing.delivery(), asked)
        return answer(self._listing.delivery())

    async def _settle_callbacks(self, asked: Asked) -> Reply:
        asked.only(body=("timeout",))
        wait = min(_Wait(**asked.body).timeout, _LONGEST_WAIT)
        try:
            async with asyncio.timeout(wait):
                await self._phones.callbacks.settled()
        except TimeoutError:
            return answer({"settled": False})
        return answer({"settled": True})

    def _add_fault(self, asked: Asked) -> Reply:
        asked.only(body=_FAULT)
        options = dict(asked.body)
        try:
            options["fault"] = Fault(asked.given("fault"))
        except ValueError:
            words = ", ".join(fault.value for fault in Fault)
            raise Refusal(400, f"fault must be one of {words}") from None
        self._phones.faults.add(**options)
        return answer(shown.rule(self._phones.faults.rules[-1]), status=201)

    def _clear_faults(self, asked: Asked) -> Reply:
        asked.only()
        self._phones.faults.clear()
        return NOTHING

    async def _reset(self, asked: Asked) -> Reply:
        asked.only()
        await self._phones.reset()
        return NOTHING

    def _restart_soon(self, asked: Asked) -> Reply:
        asked.only(body=("downtime",))
        if self._restarting is not None and not self._restarting.done():
            raise Refusal(409, "It is restarting already")
        downtime = _Wait(**asked.body).downtime
        self._restarting = asyncio.create_task(self._go_away(downtime))
        return answer({"downtime": downtime}, status=202)

    async def _go_away(self, downtime: float) -> None:
        await asyncio.sleep(_SOON)  # the answer goes out before
        await self._restart(downtime)

    def _drive(
        self, asked: Asked, act: Callable[..., None], *, takes: Collection[str] = ()
    ) -> Reply:
        asked.only(body=takes)
        who = self._phones.call(asked.names["call"])
        act(who.sid, **asked.body)
        return answer(shown.call(who))

    def _set(self, owner: object, known: Collection[str], asked: Asked) -> None:
        """Set all that a body gives, or nothing of it."""
        asked.only(body=known)
        before = {name: getattr(owner, name) for name in asked.body}
        try:
            for name, value in asked.body.items():
                setattr(owner, name, value)
        except (ValueError, TypeError):
            for name, value in before.items():
                setattr(owner, name, value)
            raise

    def _account(self, sid: Any) -> Account:  # noqa: ANN401 - JSON
        for account in self._phones.accounts:
            if account.sid == sid:
                return account
        raise Refusal(404, "There is no such account; GET /control/accounts lists them")


_NOTHING_ASKED = Asked(names={}, query={}, body={})
