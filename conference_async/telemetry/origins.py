"""Which create a callback goes back to: by what its URL carries, and by its call."""

from collections import OrderedDict
from urllib.parse import urlsplit, urlunsplit

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PARAMETER = "traceparent"
_MOST = 10_000
_PROPAGATOR = TraceContextTextMapPropagator()


class Origins:
    """The spans of the creates that placed the latest calls."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, trace.SpanContext] = OrderedDict()

    def remember(self, call_sid: str, origin: trace.SpanContext) -> None:
        """Note which span placed a call; the oldest of 10,000 is forgotten for it."""
        self._of[call_sid] = origin
        self._of.move_to_end(call_sid)
        if len(self._of) > _MOST:
            self._of.popitem(last=False)

    def find(self, call_sid: str | None, carried: str | None) -> trace.SpanContext | None:
        """Return the span that placed the call of a callback, if that is known here.

        Args:
            call_sid: The call, if the callback is of one.
            carried: What the URL of the callback carries. It makes the call known: events of its
                conference carry nothing, and may be heard in a process that has not placed it.
        """
        if carried is not None:
            context = _PROPAGATOR.extract({_PARAMETER: carried})
            origin = trace.get_current_span(context).get_span_context()
            if origin.is_valid:
                if call_sid is not None:
                    self.remember(call_sid, origin)
                return origin
        return None if call_sid is None else self._of.get(call_sid)


def carried(url: str) -> str:
    """Return a callback URL with the current span in its query, as W3C Trace Context writes it."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    if _PARAMETER not in carrier:
        return url
    parts = urlsplit(url)
    pair = f"{_PARAMETER}={carrier[_PARAMETER]}"
    return urlunsplit(parts._replace(query=f"{parts.query}&{pair}" if parts.query else pair))
