"""A list of people, as a campaign."""

import asyncio
import os

from conference_async import ConferenceClient, Dialer, Ledger, NewParticipant, Plan

PEOPLE = {"alice": "+15558675310", "bob": "+15558675311", "carol": "+15558675312"}


async def main() -> None:
    """Call everybody once; a second run goes on where the first one was interrupted."""
    plan = Plan.from_participants(
        [
            NewParticipant(from_=os.environ["FROM_NUMBER"], to=number, label=label)
            for label, number in PEOPLE.items()
        ],
        conference="all-hands",
    )
    cps = float(os.environ.get("CPS", "1"))
    async with ConferenceClient(cps=cps) as client, Ledger("calls.db") as ledger:
        async for outcome in Dialer(client, ledger=ledger).run(plan):
            print(outcome.label, outcome.state)


if __name__ == "__main__":
    asyncio.run(main())
