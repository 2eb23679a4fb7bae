"""Attempts as OpenTelemetry spans and metrics."""

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from conference_async import ConferenceClient, ConnectionFailed, Credentials, RetryPolicy
from conference_async.emulator import Emulator, Fault
from conference_async.telemetry import AttemptTelemetry

FROM = "+15017122661"
TO = "+15558675310"


@pytest.mark.looptime
async def test_attempts_become_spans_and_measurements(
    client: ConferenceClient, emulator: Emulator
) -> None:
    """A refused attempt and its repetition are two spans of one trace, without numbers."""
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    telemetry = AttemptTelemetry(
        server_address="127.0.0.1",
        server_port=80,
        tracer_provider=tracers,
        meter_provider=MeterProvider([reader]),
    )
    view = client.with_options(on_attempt=telemetry)
    emulator.faults.add(Fault.TOO_MANY, retry_after=2)

    with tracers.get_tracer("app").start_as_current_span("stand-up"):
        alice = await view.conferences("standup").participants.create(from_=FROM, to=TO)
    await view.conferences(alice.conference_sid or "").participants.list()

    refused, placed, parent, listed = spans.get_finished_spans()
    assert refused.name.startswith("POST /2010-04-01/Accounts/{AccountSid}/Conferences/")
    assert refused.kind is SpanKind.CLIENT
    assert refused.status.status_code is StatusCode.ERROR
    assert dict(refused.attributes or {})["error.type"] == "429"
    assert dict(placed.attributes or {})["http.request.resend_count"] == 1
    assert dict(placed.attributes or {})["http.response.status_code"] == 201
    assert placed.parent is not None
    assert parent.context is not None
    assert placed.parent.span_id == parent.context.span_id
    assert listed.name.startswith("GET ")
    assert TO not in "".join(span.to_json() for span in spans.get_finished_spans())
    data = reader.get_metrics_data()
    assert data is not None
    names = {
        metric.name
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert names == {"http.client.request.duration", "conference_async.create.wait"}


async def test_a_failure_without_an_answer_has_an_error_type(emulator: Emulator) -> None:
    """No status, and still the span says what happened."""
    spans = InMemorySpanExporter()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    async with ConferenceClient(
        Credentials(emulator.account_sid, emulator.auth_token),
        base_url="http://127.0.0.1:9",
        on_attempt=AttemptTelemetry(tracer_provider=tracers),
        retry=RetryPolicy(attempts=1),
    ) as client:
        with pytest.raises(ConnectionFailed):
            await client.conferences("CF" + "0" * 32).fetch()

    (span,) = spans.get_finished_spans()
    assert dict(span.attributes or {})["error.type"] == "not sent"
    assert "http.response.status_code" not in dict(span.attributes or {})
