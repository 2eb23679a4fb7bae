"""Intents: creates that have a key of the caller's own, so that each rings once."""

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Collection, Iterable
from typing import Protocol, Self

import attrs

from conference_async.models import NewParticipant, PlacedParticipant
from conference_async.sending.claims import Entries
from conference_async.sending.entries import Entry, masked
from conference_async.sending.register import Remembered
from conference_async.wire import encode_form

_OF_ONE_CREATE = re.compile(rb"%26create%3D[0-9a-f]{8}-[0-9]+")
"""The mark by which waits tell the callbacks of creates apart: no wish of the caller's."""

LEASE = 15.0
"""Seconds for which a claim holds that is not renewed. After that its process is taken for dead."""


def _elapsed() -> float:
    # Stands still for nothing: neither while the process is stopped nor while the machine sleeps.
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()  # pragma: no cover -- other systems than Linux


elapsed: Callable[[], float] = _elapsed
"""Returns seconds of a clock that all processes of a machine share and that nobody sets."""


@attrs.frozen(kw_only=True)
class Intent(Entry):
    """What a journal knows of a key; one that is planned is not kept."""

    account_sid: str
    """The account that the key belongs to."""

    key: str = attrs.field(repr=masked)
    """The caller's name for the intent."""

    conference: str
    """The conference that it is called into, as it was addressed."""

    fingerprint: str = attrs.field(repr=False)
    """What tells another request from the same one: a hash of all that was asked for, which the
    key makes another one for each intent."""

    number_hash: int = attrs.field(repr=False)
    """What finds the creates to a number; several hundred numbers have the same."""

    participant: PlacedParticipant | None = None
    """The participant, once it is placed."""

    held: bool = attrs.field(default=False, eq=False)
    """Whether the process that claimed it is alive and at it; only the store knows."""

    @classmethod
    def of(cls, account_sid: str, key: str, conference: str, new: NewParticipant) -> Self:
        """Return an intent that nobody has claimed.

        Args:
            account_sid: The account.
            key: The caller's name for it.
            conference: A conference SID or a friendly name.
            new: Whom to dial.
        """
        pairs = sorted(_OF_ONE_CREATE.sub(b"", encode_form(new)).split(b"&"))
        body = b"\0".join([conference.encode(), *pairs])
        return cls(
            account_sid=account_sid,
            key=key,
            conference=conference,
            fingerprint=hmac.digest(f"{account_sid}\0{key}".encode(), body, "sha256").hex(),
            number_hash=number_hash_of(account_sid, new.to),
        )


class JournalStore(Entries[Intent], Protocol):
    """Makes intents last, in a file or a database: a `Journal`, a `PostgresJournal` or your own.

    Every method raises `LedgerError` where the store cannot do it. Operations take effect in the
    order they were asked for, also if the caller was cancelled while it waited.
    """

    async def swap(self, before: Intent, after: Intent) -> bool:
        """Replace `before` by `after`, durably; return whether `after` now stands.

        It does only if the key had the state and the token of `before`, or has those of `after`
        already: this write repeated. A key that is not there is planned, and one that becomes
        planned or refused is forgotten. What is ``sending`` is held for `LEASE` seconds from
        then on.
        """
        ...

    async def known(self, entry: Intent) -> Intent | None:
        """Return what is now known of the key; None if nothing, or nothing any more.

        Its `sent_at` is by this machine's clock, whichever machine wrote it; None where the
        clock has been set back since.
        """
        ...

    async def remembered(self, account_sid: str, numbers: Collection[str]) -> Iterable[Remembered]:
        """Return the creates to some numbers, so that a call of one is not taken for another's.

        Those that only may have called such a number can be among them.
        """
        ...


def number_hash_of(account_sid: str, number: str) -> int:
    """Return what finds the creates of an account to a number, and does not give it away."""
    return int.from_bytes(hashlib.sha256(f"{account_sid}\0{number}".encode()).digest()[:3])
