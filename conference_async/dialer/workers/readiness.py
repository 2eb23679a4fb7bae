"""Whether a worker could call somebody now, as far as its database goes."""

import asyncio

from conference_async.errors import ConferenceError
from conference_async.postgres.session import Session

ANSWER_WITHIN = 2.0
"""Seconds that the database may take."""


async def asked(session: Session) -> str | None:
    """Ask a database; return why a worker cannot use it, in a line, or None if it can."""
    from conference_async.dialer.workers.queue_schema import check_queue

    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            await session.run(check_queue, patience=0)
    except TimeoutError:
        return f"the database has not answered for {ANSWER_WITHIN:g} seconds"
    except ConferenceError as error:
        return str(error)
    return None
