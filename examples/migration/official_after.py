"""Two people, muted, listed and hung up on: with this library."""

import asyncio
import os

from conference_async import ConferenceClient, RequestRefused


async def main() -> None:
    """Do the same, at the account's pace, and never twice."""
    async with ConferenceClient(cps=float(os.environ.get("CPS", "1"))) as client:
        room = client.conferences("standup")  # the name will do
        for label, number in (("alice", "+15558675310"), ("bob", "+15558675311")):
            try:
                await room.participants.create(
                    from_=os.environ["FROM_NUMBER"], to=number, label=label, early_media=True
                )
            except RequestRefused as error:
                print(label, "was refused:", error.code)

        await room.participants("alice").mute()
        async for one in room.participants.stream():
            print(one.label, "muted" if one.muted else "not muted")
        await room.participants("bob").delete()
        await room.end()


if __name__ == "__main__":
    asyncio.run(main())
