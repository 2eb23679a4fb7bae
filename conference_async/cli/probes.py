"""What a machine asks a worker: whether it lives, whether it is ready, what it has measured."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from conference_async.cli.problems import cannot_listen
from conference_async.privacy import mask

_AT_ONCE = 4096
"""Bytes that are compressed on the loop; more of them would hold it up."""

WhyNot = Callable[[], Awaitable[str | None]]
"""Returns why a worker cannot call anybody just now; None if it can."""


@asynccontextmanager
async def probes(
    host: str, port: int, *, why_not: WhyNot, measured: Callable[[], tuple[bytes, str]] | None
) -> AsyncGenerator[int, None]:
    """Answer ``/live``, ``/ready`` and, where something is measured, ``/metrics``.

    Args:
        host: The address to listen on.
        port: The port; 0 takes a free one.
        why_not: Asked for ``/ready``: 200 if it returns None, else 503 with the reason.
        measured: Returns what is measured, and the type of that text.

    Yields:
        The port.

    Raises:
        ConfigurationError: It cannot listen there.
    """

    async def live(_request: web.Request) -> web.Response:
        """Answer, which is all there is to show."""
        return web.Response(text="live\n")

    async def ready(_request: web.Request) -> web.Response:
        """Say whether it can call."""
        reason = await why_not()
        if reason is None:
            return web.Response(text="ready\n")
        return web.Response(status=503, text=f"{mask(reason)}\n")

    async def metrics(_request: web.Request) -> web.Response:
        """Give what was measured."""
        if measured is None:
            text = 'nothing is measured: pip install "conference-async[prometheus]"\n'
            return web.Response(status=404, text=text)
        content, kind = measured()
        answer = web.Response(
            body=content, headers={"Content-Type": kind}, zlib_executor_size=_AT_ONCE
        )
        answer.enable_compression()  # of many accounts it is more than a megabyte
        return answer

    app = web.Application()
    app.add_routes([web.get("/live", live), web.get("/ready", ready), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise cannot_listen(host, port, error) from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
