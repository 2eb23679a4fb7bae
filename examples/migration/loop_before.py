"""A list of people, with a loop of one's own."""

import asyncio
import os

import aiohttp

PEOPLE = {"alice": "+15558675310", "bob": "+15558675311", "carol": "+15558675312"}
SID, TOKEN = os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"]
BASE = os.environ.get("CONFERENCE_ASYNC_BASE_URL", "https://api.twilio.com")
URL = f"{BASE}/2010-04-01/Accounts/{SID}/Conferences/all-hands/Participants.json"
CPS = float(os.environ.get("CPS", "1"))


async def call(session: aiohttp.ClientSession, number: str) -> str:
    """Try three times, as one does."""
    form = {"From": os.environ["FROM_NUMBER"], "To": number}
    for attempt in range(3):
        try:
            async with session.post(URL, data=form) as response:
                if response.status == 429 or response.status >= 500:  # noqa: PLR2004 -- as written in haste
                    await asyncio.sleep(2**attempt / 10)
                    continue
                body = await response.json()
                return "called" if response.ok else f"refused: {body['code']}"
        except aiohttp.ClientError:  # it may be ringing by now, and rings again
            await asyncio.sleep(2**attempt / 10)
    return "failed"


async def main() -> None:
    """Call one after the other; a second run calls everybody again."""
    async with aiohttp.ClientSession(auth=aiohttp.BasicAuth(SID, TOKEN)) as session:
        for label, number in PEOPLE.items():
            print(label, await call(session, number))
            await asyncio.sleep(1 / CPS)


if __name__ == "__main__":
    asyncio.run(main())
