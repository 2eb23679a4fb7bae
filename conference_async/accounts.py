"""The limits of this process: one per account, whoever asks for it."""

import logging
import weakref

from conference_async.limits import CreateLimit, check_cps

_log = logging.getLogger("conference_async.limits")


class AccountLimits:
    """One `CreateLimit` per account and host, shared by every client of this process.

    Limits are kept for the life of the process, since the account's last start must be known
    however short-lived its clients are. While clients that are open at the same time were given
    different rates, the lowest holds.
    """

    def __init__(self) -> None:
        self._limits: dict[tuple[str, str], CreateLimit] = {}
        self._claims: dict[tuple[str, str], weakref.WeakKeyDictionary[object, float]] = {}

    def claim(self, account: tuple[str, str], cps: float, owner: object) -> CreateLimit:
        """Return the account's limit, held to `cps` at most for as long as `owner` lives."""
        claims = self._claims.setdefault(account, weakref.WeakKeyDictionary())
        claims[owner] = check_cps(cps)
        lowest = min(claims.values())
        if lowest != max(claims.values()):
            _log.warning(
                "clients of account %s were given different rates; the lowest, %g CPS, holds",
                account[0],
                lowest,
            )
        limit = self._limits.setdefault(account, CreateLimit(lowest))
        limit.cps = lowest
        return limit

    def release(self, account: tuple[str, str], owner: object) -> None:
        """Forget what `owner` asked for."""
        if claims := self._claims.get(account):
            claims.pop(owner, None)
            if claims:
                self._limits[account].cps = min(claims.values())


ACCOUNT_LIMITS = AccountLimits()
"""The limits of this process."""
