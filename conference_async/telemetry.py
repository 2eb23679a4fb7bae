"""Attempts as OpenTelemetry spans and metrics (extra ``otel``).

Names follow the stable semantic conventions for HTTP clients:
https://opentelemetry.io/docs/specs/semconv/http/
"""

import time

from opentelemetry import metrics, trace
from opentelemetry.util.types import AttributeValue

from conference_async import __version__
from conference_async.options import AttemptEvent

_ACCOUNT = "/2010-04-01/Accounts/{AccountSid}/Conferences"
_PARTICIPANTS = f"{_ACCOUNT}/{{ConferenceSid}}/Participants"
_ROUTES = {
    "create": ("POST", f"{_PARTICIPANTS}.json"),
    "list": ("GET", f"{_PARTICIPANTS}.json"),
    "fetch": ("GET", f"{_PARTICIPANTS}/{{CallSid}}.json"),
    "update": ("POST", f"{_PARTICIPANTS}/{{CallSid}}.json"),
    "delete": ("DELETE", f"{_PARTICIPANTS}/{{CallSid}}.json"),
    "conference.list": ("GET", f"{_ACCOUNT}.json"),
    "conference.fetch": ("GET", f"{_ACCOUNT}/{{Sid}}.json"),
    "conference.update": ("POST", f"{_ACCOUNT}/{{Sid}}.json"),
}
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_FIRST_ERROR = 400


class AttemptTelemetry:
    """An ``on_attempt`` that makes a client span of each attempt and measures it.

    Spans are children of the span that is current where the operation is awaited. Neither spans
    nor metrics carry a label, a phone number or a secret.

    Measured are ``http.client.request.duration`` and, for creates,
    ``conference_async.create.wait`` with ``conference_async.wait`` = ``queue`` or ``pace``; all
    in seconds.

    Args:
        server_address: The host that the client talks to.
        server_port: Its port.
        tracer_provider: Where spans go; the global provider if None.
        meter_provider: Where measurements go; the global provider if None.

    Example::

        client = ConferenceClient(cps=5, on_attempt=AttemptTelemetry())
    """

    def __init__(
        self,
        *,
        server_address: str = "api.twilio.com",
        server_port: int = 443,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._server: dict[str, AttributeValue] = {
            "server.address": server_address,
            "server.port": server_port,
        }
        self._tracer = trace.get_tracer("conference_async", __version__, tracer_provider)
        meter = metrics.get_meter("conference_async", __version__, meter_provider)
        self._duration = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._wait = meter.create_histogram(
            "conference_async.create.wait",
            unit="s",
            description="How long creates waited in line and for their slot.",
        )

    def __call__(self, event: AttemptEvent) -> None:
        """Record one attempt."""
        method, template = _ROUTES[event.kind]
        attributes: dict[str, AttributeValue] = {
            "http.request.method": method,
            "url.template": template,
            **self._server,
        }
        if event.status is not None:
            attributes["http.response.status_code"] = event.status
        failed = event.status is None or event.status >= _FIRST_ERROR
        if failed:
            attributes["error.type"] = str(event.status or event.outcome.value)
        self._duration.record(event.duration, attributes)
        if event.kind == "create":
            self._wait.record(event.queue_wait, {"conference_async.wait": "queue"})
            self._wait.record(event.pace_wait, {"conference_async.wait": "pace"})
        if event.number > 1:
            attributes["http.request.resend_count"] = event.number - 1
        attributes["conference_async.verdict"] = event.verdict
        if event.request_id is not None:
            attributes["conference_async.request_id"] = event.request_id
        ended = time.time_ns()
        span = self._tracer.start_span(
            f"{method} {template}",
            kind=trace.SpanKind.CLIENT,
            attributes=attributes,
            start_time=ended - int(event.duration * 1e9),
        )
        if failed:
            span.set_status(trace.StatusCode.ERROR, event.reason)
        span.end(ended)
