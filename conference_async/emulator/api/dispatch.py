"""One request in, one answer out: admission, faults, the operation, the record."""

import random
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import attrs

from conference_async.emulator.api.accounts import Accounts
from conference_async.emulator.api.operations import Asked
from conference_async.emulator.clock import Clock, written
from conference_async.emulator.faults import Fault, Faults, Injection, Spoiled
from conference_async.emulator.forms import Form
from conference_async.emulator.recorder import KEPT_HEADERS, Recorder, Request
from conference_async.emulator.replies import ApiError, Reply, not_found
from conference_async.emulator.routing import Kind, Route, route
from conference_async.emulator.settings import Settings
from conference_async.emulator.state import Account

Operation = Callable[[Asked], Reply]

_HTML = b"<!DOCTYPE html><html><head><title>Service</title></head><body>Hello</body></html>"
_UNSPOILED = Spoiled()
_SILENT = frozenset({Fault.RESET_BEFORE, Fault.RESET_AFTER, Fault.STALL, Fault.STALL_BEFORE})


@attrs.frozen(kw_only=True)
class Incoming:
    """One request off the wire."""

    method: str
    """The HTTP method."""
    target: str
    """The raw path and query."""
    headers: Mapping[str, str]
    """The headers; names in any case."""
    body: bytes | None
    """The body, or None if it was too large or broken off."""


@attrs.frozen(kw_only=True)
class Answer:
    """The answer to a request, and how it goes out."""

    reply: Reply
    """The answer, whether or not it will be sent."""
    injection: Injection | None
    """The fault in sending it, if any."""
    account: Account
    """The account whose open requests it counts among."""
    headers: Mapping[str, str]
    """Headers of every answer."""


class Dispatcher:
    """Answers requests without waiting: what a request does, it does at once."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        randomness: random.Random,
        accounts: Accounts,
        faults: Faults,
        recorder: Recorder,
        operations: Mapping[Kind, Operation],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._randomness = randomness
        self._accounts = accounts
        self._faults = faults
        self._recorder = recorder
        self._operations = operations

    def receive(self, incoming: Incoming) -> Answer:
        """Answer one request; the caller owes a `done` when the answer has gone out."""
        path, _, query = incoming.target.partition("?")
        where = route(incoming.method, path)
        account = self._accounts.by_sid.get(where.account_sid, self._accounts.main)
        account.open_requests += 1
        (asked_for, form), problem = _decode(query, incoming)
        at = self._clock.time()
        arrived: dict[str, Any] = {
            "kind": where.kind,
            "method": incoming.method,
            "path": path,
            "query": asked_for.values,
            "form": _shown(where.kind, form),
            "headers": {
                name: incoming.headers[name] for name in KEPT_HEADERS if name in incoming.headers
            },
            "at": at,
        }
        spoiled = self._faults.take(Request(**arrived)) if self._faults.armed else _UNSPOILED
        injection = spoiled.injection
        asked = Asked(
            route=where,
            path=path,
            account=account,
            query=asked_for,
            form=form,
            problem=problem,
            at=at,
            hidden=max(spoiled.hidden, self._settings.visibility_lag),
            idempotency_key=incoming.headers.get("Idempotency-Key"),
        )
        reply = self._reply(incoming, asked, injection)
        silent = injection is not None and injection.fault in _SILENT
        self._recorder.received(
            Request(
                **arrived,
                status=None if silent else reply.status,
                fault=injection.fault.value if injection else None,
            )
        )
        return Answer(
            reply=reply, injection=injection, account=account, headers=self._headers(account)
        )

    def done(self, answer: Answer) -> None:
        """Count a request as no longer open."""
        answer.account.open_requests -= 1

    def _reply(self, incoming: Incoming, asked: Asked, injection: Injection | None) -> Reply:
        try:
            if injection and not injection.placed:
                return _instead(injection)
            reply = self._operate(incoming, asked)
            return _instead(injection, reply) if injection else reply
        except ApiError as error:
            error.status = self._settings.error_statuses.get(error.code or 0, error.status)
            headers = self._error_headers(error, asked.route, injection)
            return error.reply(xml=asked.route.xml, headers=headers)

    def _operate(self, incoming: Incoming, asked: Asked) -> Reply:
        where, most = asked.route, self._settings.max_concurrent_requests
        if most is not None and asked.account.open_requests > most:
            raise ApiError(20429, "Too Many Requests", status=429)
        if where.kind == "token":  # whose it is, its form says
            if asked.problem is not None:
                raise asked.problem
            return self._accounts.apps.give(asked)
        if not where.account_sid:
            raise not_found(asked.path)
        self._accounts.admit(incoming.headers.get("Authorization", ""), where.account_sid)
        if not where.allowed:
            raise asked.missing()
        if where.kind == "unknown":
            raise ApiError(20004, "Method not allowed", status=405)
        if asked.problem is not None:
            raise asked.problem
        return self._operations[where.kind](asked)

    def _error_headers(
        self, error: ApiError, where: Route, injection: Injection | None
    ) -> dict[str, str]:
        match error.status:
            case HTTPStatus.UNAUTHORIZED:
                return {"WWW-Authenticate": 'Basic realm="Twilio API"'}
            case HTTPStatus.METHOD_NOT_ALLOWED:
                return {"Allow": ", ".join(where.allowed)}
            case HTTPStatus.TOO_MANY_REQUESTS:
                own = injection.retry_after if injection else None
                after = self._settings.retry_after if own is None else own
                return {} if after is None else {"Retry-After": f"{after:g}"}
            case _:
                return {}

    def _headers(self, account: Account) -> dict[str, str]:
        return {
            "Date": written(self._clock.now(), gmt=True),
            "Twilio-Request-Id": f"RQ{self._randomness.getrandbits(128):032x}",
            "Twilio-Concurrent-Requests": str(account.open_requests),
            "Twilio-Request-Duration": f"{self._settings.latency:.3f}",
        }


def _shown(kind: Kind, form: Form) -> Mapping[str, list[str]]:
    """Return what is kept of a form: no secret that signs in."""
    if kind != "token":
        return form.values
    return {**form.values, "client_secret": ["***"]}


def _decode(query: str, incoming: Incoming) -> tuple[tuple[Form, Form], ApiError | None]:
    """Return the query and the form, empty if they cannot be decoded, and why they cannot."""
    nothing = Form({}), Form({})
    if incoming.body is None:
        return nothing, ApiError(None, "The body is too large or broken")
    content_type = incoming.headers.get("Content-Type", "")
    try:
        return (Form.parse(query), Form.parse_body(incoming.body, content_type)), None
    except ApiError as problem:
        return nothing, problem


def _instead(injection: Injection, otherwise: Reply | None = None) -> Reply:
    """Return the answer that a fault puts in place of the right one, or `otherwise`."""
    match injection.fault:
        case Fault.FAIL_500 | Fault.PLACE_THEN_500:
            raise ApiError(20500, "Internal Server Error", status=500)
        case Fault.FAIL_503:
            raise ApiError(20503, "Service Unavailable", status=503)
        case Fault.TOO_MANY:
            raise ApiError(20429, "Too Many Requests", status=429)
        case Fault.LABEL_CLASH:
            raise ApiError(16026, "Label is already used by another active participant")
        case Fault.HTML_200 | Fault.HTML_200_PLACED:
            return Reply(body=_HTML, content_type="text/html")
        case Fault.REDIRECT:
            return Reply(status=302, headers={"Location": "/elsewhere"})
        case _:
            return otherwise or Reply()
