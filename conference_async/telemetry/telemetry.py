"""Logical calls, their attempts, their callbacks and their clients, as spans and metrics."""

import asyncio
import time
from collections.abc import Callable

from opentelemetry import context, metrics, trace

from conference_async._version import __version__
from conference_async.pace.contract import Limit
from conference_async.plain_functions import check_plain
from conference_async.sending.attempts import AttemptEvent
from conference_async.sending.observing import Exchange, Places, PutOff, Told
from conference_async.telemetry.callbacks import Callback
from conference_async.telemetry.conventions import (
    CALL_SID,
    CONFERENCE_SID,
    ERROR_CODE,
    ERROR_TYPE,
    METHOD,
    OPERATION,
    OUTCOME,
    PEER_ADDRESS,
    PEER_PORT,
    PROTOCOL_VERSION,
    REQUEST_ID,
    RESEND_COUNT,
    SCHEMA_URL,
    SECONDS,
    STATUS_CODE,
    URL_FULL,
    VERDICT,
    WAIT,
    WAITS,
    Value,
    allowed,
    attempt_name,
    error_type,
    outcome_of,
    redacted,
    server_of,
    sid,
    span_name,
)
from conference_async.telemetry.gauges import Gauges
from conference_async.telemetry.origins import Origins, carried

_SCOPE = "conference_async"
_FIRST_ERROR = 400
_A_SECOND = 1_000_000_000
_WORTH_A_SPAN = 0.001
"""Seconds that a wait has to take to be drawn."""


class Telemetry:
    """Watches clients, their diallers and workers, and receivers, by OpenTelemetry.

    Spans: each logical call, below the span that is current where it is awaited; below that its
    waits in line and for its slot, each attempt (a client span by the conventions for HTTP), and
    what was asked to find out what became of it. A campaign has a span, each of its targets one
    below it; a target that a worker calls begins a trace. A callback's span is linked to the create
    that placed its call, to the end of the call, also in another process: a create's own callback
    URLs carry its ``traceparent``.

    Metrics: ``http.client.request.duration``, ``conference_async.create.wait`` (with
    ``conference_async.wait`` = ``queue`` or ``pace``), counters of operations and of callbacks by
    outcome, and gauges of the line, the pace, live calls, requests and targets in hand.

    Neither has a phone number, a label, a conference's name or a secret in it: there is a list of
    attributes that may be exported, and `url.full` is redacted.

    Args:
        tracer_provider: Where spans go; the global provider if None.
        meter_provider: Where measurements go; the global provider if None.
        carry: Whether the callback URLs of creates carry the create's trace context.
        now: The wall clock, in seconds since the epoch.

    Raises:
        ConfigurationError: The clock is async.

    Example::

        telemetry = Telemetry()
        client = ConferenceClient(cps=5, telemetry=telemetry)
        receiver = Receiver(keys, public_url=url, telemetry=telemetry)
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        carry: bool = True,
        now: Callable[[], float] = time.time,
    ) -> None:
        check_plain("now", now)
        self._tracer = trace.get_tracer(_SCOPE, __version__, tracer_provider, schema_url=SCHEMA_URL)
        meter = metrics.get_meter(_SCOPE, __version__, meter_provider, schema_url=SCHEMA_URL)
        self._duration = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._wait = meter.create_histogram(
            "conference_async.create.wait",
            unit="s",
            description="How long creates waited in line and for their slot.",
            explicit_bucket_boundaries_advisory=WAITS,
        )
        self._operations = meter.create_counter(
            "conference_async.operations",
            unit="{operation}",
            description="Logical calls, targets and campaigns, by how they ended.",
        )
        self._callbacks = meter.create_counter(
            "conference_async.callbacks",
            unit="{callback}",
            description="Callbacks of the service, by event and by how they were answered.",
        )
        self._gauges = Gauges(meter)
        self._origins = Origins()
        self._carry = carry
        self._now = now

    def watch(self, places: Places, limit: Limit, account_sid: str, base_url: str) -> None:
        """Observe a client; it tells so itself."""
        self._gauges.watch(places, limit, account_sid, base_url)

    def hold(self, account_sid: str, in_hand: Callable[[], int]) -> Callable[[], object]:
        """Observe how many targets a worker holds; it tells so itself. Return what ends it."""
        return self._gauges.hold(account_sid, in_hand)

    def begin(self, operation: str) -> Callable[[Told | BaseException], None]:
        """Begin the span of an operation, and make it current; return what ends it."""
        self._gauges.loop = asyncio.get_running_loop()
        span = self._tracer.start_span(
            span_name(operation), attributes={OPERATION: operation}, start_time=self._at()
        )
        token = context.attach(trace.set_span_in_context(span))

        def end(told: Told | BaseException) -> None:
            context.detach(token)
            self._end(span, operation, told)

        return end

    def _end(self, span: trace.Span, operation: str, told: Told | BaseException) -> None:
        counted: dict[str, Value | None] = {OPERATION: operation}
        if isinstance(told, BaseException):
            counted |= {OUTCOME: outcome_of(told)}
            if isinstance(told, Exception) and not isinstance(told, PutOff):
                counted |= {ERROR_TYPE: error_type(told)}
                code = getattr(told, "code", None)
                span.set_attributes(allowed({ERROR_CODE: code if isinstance(code, int) else None}))
                span.set_status(trace.StatusCode.ERROR)
        else:
            counted |= {OUTCOME: told.outcome}
            known = {CALL_SID: sid(told.call_sid), CONFERENCE_SID: sid(told.conference_sid)}
            span.set_attributes(allowed(known))
            if operation == "create" and told.call_sid:
                self._origins.remember(told.call_sid, span.get_span_context())
        span.set_attributes(allowed(counted))
        span.end(self._at())
        self._operations.add(1, allowed(counted))

    def attempted(self, event: AttemptEvent, exchange: Exchange) -> None:
        """Record an attempt of the operation whose span is current."""
        failed = event.status is None or event.status >= _FIRST_ERROR
        address, port = exchange.peer
        measured: dict[str, Value | None] = {
            METHOD: exchange.request.method,
            **server_of(exchange.base_url),
            STATUS_CODE: event.status,
            PROTOCOL_VERSION: exchange.version,
            ERROR_TYPE: _failure(event, exchange.cause) if failed else None,
        }
        self._duration.record(event.duration, allowed(measured))
        left = event.sent_at
        in_front = left - event.pace_wait
        self._waited("wait in line", in_front - event.queue_wait, in_front)
        self._waited("wait for slot", in_front, left)
        if event.kind == "create":
            self._wait.record(event.queue_wait, {WAIT: "queue"})
            self._wait.record(event.pace_wait, {WAIT: "pace"})
        span = self._tracer.start_span(
            attempt_name(event.kind, exchange.request.method),
            kind=trace.SpanKind.CLIENT,
            attributes=allowed(
                measured
                | {
                    URL_FULL: redacted(exchange.base_url, exchange.request.path),
                    PEER_ADDRESS: address,
                    PEER_PORT: port,
                    RESEND_COUNT: event.number - 1 or None,
                    OPERATION: event.kind,
                    VERDICT: event.verdict,
                    ERROR_CODE: event.code,
                    REQUEST_ID: sid(event.request_id),
                }
            ),
            start_time=self._at(left),
        )
        if failed:
            span.set_status(trace.StatusCode.ERROR)
        span.end(self._at(left + event.duration))

    def _waited(self, name: str, begun: float, ended: float) -> None:
        if ended - begun >= _WORTH_A_SPAN:
            self._tracer.start_span(name, start_time=self._at(begun)).end(self._at(ended))

    def carried(self, url: str) -> str:
        """Return a callback URL that carries the context of the current span."""
        return carried(url) if self._carry else url

    def callback(self) -> Callback:
        """Begin the span of a callback, and make it current; a receiver tells the rest."""
        return Callback(self._tracer, self._callbacks, self._origins, self._at)

    def _at(self, instant: float | None = None) -> int:
        """Return the time of day at an instant of the loop's clock, or now, as spans have it."""
        ago = 0.0 if instant is None else asyncio.get_running_loop().time() - instant
        return int((self._now() - ago) * _A_SECOND)


def _failure(event: AttemptEvent, cause: BaseException | None) -> str:
    if event.status is not None:
        return str(event.status)
    return event.outcome.value if cause is None else error_type(cause)
