"""A campaign of workers, in the hands of somebody who is none: paused, resumed, cancelled, told."""

from types import TracebackType
from typing import Self

from conference_async.cluster.campaigns import Standing, stand, standing_of
from conference_async.cluster.ledgers import split_name
from conference_async.cluster.postgres_ledger import PostgresLedger
from conference_async.errors import LedgerError


class SharedCampaign:
    """One campaign that was submitted to workers; no account is needed to control it.

    Use it as ``async with SharedCampaign("postgresql://host/database#standup") as campaign``.

    Args:
        url: A connection URL, with the ledger's name behind ``#``. Without it, the only ledger of
            the database is meant.

    Raises:
        ConfigurationError: The extra ``cluster`` is not installed, or the URL is not one.
    """

    def __init__(self, url: str) -> None:
        dsn, name = split_name(url)
        self._ledger = PostgresLedger(dsn, name=name, shared=True)

    async def __aenter__(self) -> Self:
        await self._ledger.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._ledger.__aexit__(kind, error, traceback)

    async def standing(self) -> tuple[Standing, str | None] | None:
        """Return how it stands, and why if workers paused it; None if workers have no part in it.

        Raises:
            LedgerError: The server cannot be used, or has several ledgers and none was named.
        """
        name = await self._ledger.name()
        return None if name is None else await standing_of(self._ledger.session, name)

    async def pause(self) -> None:
        """Let no more of its calls start, on any machine, from the moment this returns.

        What is under way goes on.

        Raises:
            LedgerError: There is no such campaign, or the server cannot be used.
        """
        await self._stand(Standing.PAUSED)

    async def resume(self) -> None:
        """Go on with it after it was paused or cancelled, or has ended before everybody was called.

        An end that is over is forgotten: who is left is called, whatever the time.

        Raises:
            LedgerError: There is no such campaign, or the server cannot be used.
        """
        from conference_async.cluster.jobs import enqueue

        await enqueue(self._ledger.session.dsn, await self._stand(Standing.RUNNING))

    async def cancel(self) -> None:
        """Give it up: what is not called yet is ``skipped``; what is under way goes on.

        Raises:
            LedgerError: There is no such campaign, or the server cannot be used.
        """
        await self._stand(Standing.CANCELLED)

    async def call_again(
        self, call_sid: str, *, because: str, pause: float = 300.0, attempts: int = 3
    ) -> bool:
        """Let workers call somebody again whom a call did not reach.

        Workers do not follow the calls that they place; the callbacks of calls do, and whoever
        receives them says so here::

            if event.status in {"busy", "no-answer", "failed"}:
                await campaign.call_again(event.call_sid, because=event.status)

        Saying it twice does no harm.

        Args:
            call_sid: The call that is over.
            because: How it ended; kept in the ledger.
            pause: Seconds until then; after a pause of the campaign it may be less.
            attempts: Calls to one target at most, the first included.

        Returns:
            Whether they will; if not, it was called often enough, is not to be called (any more),
            or is none of the campaign's calls.

        Raises:
            LedgerError: The server cannot be used, or nothing was submitted to it.
        """
        from conference_async.cluster.redials import call_again

        ledger = PostgresLedger.on(self._ledger.session, await self._name())
        return await call_again(ledger, call_sid, because=because, pause=pause, attempts=attempts)

    async def _stand(self, standing: Standing) -> str:
        name = await self._name()
        await stand(self._ledger.session, name, standing)
        return name

    async def _name(self) -> str:
        name = await self._ledger.name()
        if name is None:
            raise LedgerError("nothing was submitted to this database")
        return name

    def __repr__(self) -> str:
        return f"<SharedCampaign on {self._ledger!r}>"
