"""What a machine asks a worker."""

import gzip
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from conference_async import ConferenceClient, Credentials
from conference_async.cli.measuring import measures
from conference_async.cli.probes import probes
from conference_async.emulator import Emulator
from conference_async.errors import ConfigurationError


async def well() -> None:
    """Have nothing to say."""


async def unwell() -> str:
    """Say why not."""
    return "the server is gone, +15558675310"


async def asked(port: int, path: str) -> tuple[int, str]:
    """Return the status and the text of an answer."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}") as answer,
    ):
        return answer.status, await answer.text()


@pytest.mark.parametrize(("why_not", "ready"), [(well, (200, "ready\n")), (unwell, (503, "***"))])
async def test_a_worker_lives_and_is_ready(
    why_not: Callable[[], Awaitable[str | None]], ready: tuple[int, str]
) -> None:
    """One that is not ready lives all the same, and says why, with numbers masked."""
    async with probes("127.0.0.1", 0, why_not=why_not, measured=None) as port:
        assert await asked(port, "/live") == (200, "live\n")
        status, text = await asked(port, "/ready")
        assert status == ready[0]
        assert ready[1] in text
        assert "8675" not in text
        status, text = await asked(port, "/metrics")
        assert (status, "conference-async[prometheus]" in text) == (404, True)
        with pytest.raises(ConfigurationError, match=f"port {port}: Address already in use"):
            async with probes("127.0.0.1", port, why_not=well, measured=None):
                pass


async def test_prometheus_reads_what_a_client_does(emulator: Emulator) -> None:
    """As it reads every OpenTelemetry program; no label and no number is in it."""
    measured = measures(scraped=True)
    async with (
        ConferenceClient(
            Credentials(emulator.account_sid, emulator.auth_token),
            base_url=emulator.base_url,
            telemetry=measured.telemetry,
        ) as client,
        probes("127.0.0.1", 0, why_not=well, measured=measured.exposed) as port,
    ):
        await client.conferences("standup").participants.create(
            from_="+15017122661", to="+15558675310", label="alice"
        )
        status, text = await asked(port, "/metrics")
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.get(
                f"http://127.0.0.1:{port}/metrics", headers={"Accept-Encoding": "gzip"}
            ) as packed,
        ):
            content = await packed.read()

    assert status == 200
    assert "conference_async_line_waiting" in gzip.decompress(content).decode()
    for name in (
        "http_client_request_duration_seconds_count",
        "conference_async_create_wait_seconds_sum",
        "conference_async_line_waiting",
        "process_resident_memory_bytes",
    ):
        assert f"\n{name}" in text
    assert "alice" not in text
    assert "8675310" not in text
