"""Two people, with a client as Stainless generates them."""

import asyncio
import os

from stainless_like import APIConnectionError, APIStatusError, AsyncTelephony


async def main() -> None:
    """Dial them; what got no answer is sent again, and rings again."""
    async with AsyncTelephony(max_retries=2, timeout=10) as client:
        for label, number in (("alice", "+15558675310"), ("bob", "+15558675311")):
            try:
                made = await client.with_options(max_retries=3).create_participant(
                    "standup", From=os.environ["FROM_NUMBER"], To=number
                )
            except APIStatusError as error:
                print(label, "was refused:", error.body["code"])
            except APIConnectionError:
                print(label, "may be ringing, or not")
            else:
                print(label, made["status"])


if __name__ == "__main__":
    asyncio.run(main())
