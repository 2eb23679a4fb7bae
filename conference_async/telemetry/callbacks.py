"""Callbacks as spans that are linked to the create that caused them."""

from collections.abc import Callable
from enum import Enum
from http import HTTPStatus

from opentelemetry import context, metrics, trace

from conference_async.telemetry.conventions import (
    CALL_SID,
    CALL_STATUS,
    CONFERENCE_SID,
    ERROR_TYPE,
    EVENT,
    STATUS_CODE,
    Value,
    allowed,
    sid,
)
from conference_async.telemetry.origins import Origins


class Callback:
    """One callback, from its arrival until it is answered."""

    def __init__(
        self,
        tracer: trace.Tracer,
        counter: metrics.Counter,
        origins: Origins,
        at: Callable[[], int],
    ) -> None:
        self._counter = counter
        self._at = at
        self._origins = origins
        self._kind = ""
        self._span = tracer.start_span("callback", kind=trace.SpanKind.CONSUMER, start_time=at())
        self._token = context.attach(trace.set_span_in_context(self._span))

    def is_of(self, event: object) -> None:
        """Take note of the event that it reports, which is believed by now."""
        self._kind = str(getattr(event, "kind", ""))
        call_sid = sid(getattr(event, "call_sid", None))
        status = getattr(event, "call_status", None) or getattr(event, "status", None)
        extra: dict[str, str] = getattr(event, "extra", {})
        origin = self._origins.find(call_sid, extra.get("traceparent"))
        if origin is not None:
            self._span.add_link(origin)
        if self._kind:
            self._span.update_name(f"callback {self._kind}")
        known: dict[str, Value | None] = {
            EVENT: self._kind or None,
            CALL_SID: call_sid,
            CONFERENCE_SID: sid(getattr(event, "conference_sid", None)),
            CALL_STATUS: str(status.value) if isinstance(status, Enum) else None,
        }
        self._span.set_attributes(allowed(known))

    def answered(self, status: int) -> None:
        """End it with the status that it was answered with."""
        context.detach(self._token)
        failed = status >= HTTPStatus.BAD_REQUEST
        told: dict[str, Value | None] = {
            STATUS_CODE: int(status),
            ERROR_TYPE: str(int(status)) if failed else None,
        }
        self._span.set_attributes(allowed(told))
        if failed:
            self._span.set_status(trace.StatusCode.ERROR)
        self._span.end(self._at())
        self._counter.add(1, allowed({EVENT: self._kind or None, **told}))
