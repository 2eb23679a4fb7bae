"""Two people, with this library."""

import asyncio
import os

from conference_async import ConferenceClient, NotSent, OutcomeUnknown, RequestRefused, RetryPolicy


async def main() -> None:
    """Dial them; what got no answer is looked for before anything is sent again."""
    cps = float(os.environ.get("CPS", "1"))
    async with ConferenceClient(cps=cps, retry=RetryPolicy(attempts=3), timeout=10) as client:
        room = client.with_options(retry=RetryPolicy(attempts=4)).conferences("standup")
        for label, number in (("alice", "+15558675310"), ("bob", "+15558675311")):
            try:
                made = await room.participants.create(
                    from_=os.environ["FROM_NUMBER"], to=number, label=label
                )
            except RequestRefused as error:
                print(label, "was refused:", error.code)
            except NotSent:
                print(label, "was not called: try again")
            except OutcomeUnknown:
                print(label, "may be ringing, or not")
            else:
                print(label, "found" if made.reconciled else made.status)


if __name__ == "__main__":
    asyncio.run(main())
