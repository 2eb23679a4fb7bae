"""The calls that all campaigns made to a number: asked before, and written down with, each call."""

from collections.abc import Collection
from datetime import datetime

import attrs

from conference_async.dialer.ledger.outcome import Outcome
from conference_async.dialer.rules.wishes import Callee, Wishes
from conference_async.journal.contacts import Contact, ContactStore, hash_of


class CalledTooOften(Exception):
    """Another campaign, or another process, was the last that the limits allow."""


@attrs.frozen(kw_only=True)
class Contacting:
    """Keeps a campaign to the limits of its contact rules.

    A call is written down before its row is claimed, and forgotten when it was certainly not made:
    whatever dies at whatever moment, a call that was made has been counted.
    """

    store: ContactStore
    """What all campaigns share."""

    account_sid: str
    """The account that calls."""

    campaign: str
    """The campaign's name."""

    wishes: Wishes
    """Its wishes."""

    async def known(self, callees: Collection[Callee]) -> dict[str, list[Contact]]:
        """Return the calls that were made to some, by their addresses.

        Raises:
            LedgerError: The store cannot be read.
        """
        addresses = {hash_of(self.account_sid, each.to): each.to for each in callees}
        found: dict[str, list[Contact]] = {}
        for contact in await self.store.contacts(self.account_sid, list(addresses)):
            found.setdefault(addresses[contact.number_hash], []).append(contact)
        return found

    async def claim(self, planned: Outcome, now: datetime) -> Contact:
        """Write a call down that is about to be made, and return what was written.

        Args:
            planned: The row before it is claimed.
            now: The time of day.

        Raises:
            CalledTooOften: The limits do not allow it any more.
            LedgerError: The store cannot be written to.
        """
        purpose = self.wishes.purpose_of(planned)
        limits = self.wishes.contact.limits_for(purpose)
        contact = Contact(
            account_sid=self.account_sid,
            number_hash=hash_of(self.account_sid, planned.to),
            campaign=self.campaign,
            purpose=purpose,
        )
        if not await self.store.claim_contact(contact, limits, now):
            raise CalledTooOften("it was called as often as the contact rules allow")
        return contact

    async def forget(self, contact: Contact) -> None:
        """Forget a call that was not made after all.

        Raises:
            LedgerError: The store cannot be written to.
        """
        await self.store.forget_contact(contact)
