"""The account's calls per second."""

from conference_async.emulator.replies import ApiError
from conference_async.emulator.state import Account

_LONGEST_QUEUE = 24 * 3600.0


def reserve_start(account: Account, now: float) -> float:
    """Take the account's next free start and return its loop time.

    Calls start evenly: one every ``1/cps`` seconds, at once if the last start is that long ago.

    Raises:
        ApiError: 22005 if the start would be over 24 hours away; nothing is taken then.
    """
    start = max(now, account.next_start)
    if start - now > _LONGEST_QUEUE:
        raise ApiError(22005, "Call queue is full: the call could not start within 24 hours")
    account.next_start = start + 1 / account.cps
    return start
