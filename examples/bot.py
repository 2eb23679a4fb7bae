"""A bot that does what is written in a chat: here, the terminal.

::

    export TWILIO_ACCOUNT_SID=… TWILIO_AUTH_TOKEN=… FROM_NUMBER=+1…
    python bot.py standup

    dial +15558675310 +15558675311 +15558675312   each becomes guest-1, guest-2, …
    wait 2                                        until two of them have joined
    mute                                          all but those two
    play https://example.com/hello.mp3            to everybody
    remove guest-2                                or everybody, without a name
"""

import asyncio
import itertools
import os
import sys
from collections.abc import Awaitable, Callable

from conference_async import ConferenceClient, ConferenceError, ConferenceHandle, FanOut, Polling


class Bot:
    """The commands of the chat."""

    def __init__(self, room: ConferenceHandle) -> None:
        self.room = room
        self.numbers = itertools.count(1)
        self.dialled: list[str] = []
        self.joined: list[str] = []

    async def dial(self, *phones: str) -> str:
        """Dial all of them, at the client's pace."""
        labels = [f"guest-{next(self.numbers)}" for _ in phones]
        creates = (
            self.room.participants.create(from_=os.environ["FROM_NUMBER"], to=to, label=label)
            for to, label in zip(phones, labels, strict=True)
        )
        results = await asyncio.gather(*creates, return_exceptions=True)
        for label, result in zip(labels, results, strict=True):
            if isinstance(result, BaseException):
                print(f"{label}: {result}")
            else:
                self.dialled.append(label)
        return f"dialled {len(self.dialled)}"

    async def wait(self, count: str) -> str:
        """Wait until so many have joined, or nobody is left to wait for."""
        polling = Polling(self.room, every=0.5)
        waits = {asyncio.ensure_future(polling.joined(one, timeout=90)) for one in self.dialled}
        self.joined.clear()
        for wait in asyncio.as_completed(waits):
            try:
                self.joined.append((await wait).label or "")
            except ConferenceError as error:
                print(error)
            if len(self.joined) >= int(count):
                break
        for unneeded in waits:
            unneeded.cancel()
        return f"joined: {', '.join(sorted(self.joined))}"

    async def mute(self) -> str:
        """Mute everybody but those who were waited for."""
        return in_words(await self.room.participants.mute_all(except_=self.joined))

    async def play(self, url: str) -> str:
        """Play something to everybody."""
        return in_words(await self.room.participants.announce_all(url))

    async def remove(self, *labels: str) -> str:
        """Hang up on those named, or on everybody."""
        if not labels:
            return in_words(await self.room.participants.remove_all())
        for label in labels:
            await self.room.participants(label).delete()
        return "removed"


def in_words(report: FanOut) -> str:
    """Return a report in words."""
    return f"{len(report.succeeded)} done, {len(report.failed)} failed, {len(report.gone)} gone"


async def main(name: str) -> None:
    """Do what each line says, until there are no more."""
    cps = float(os.environ.get("CPS", "1"))
    async with ConferenceClient(cps=cps) as client:
        bot = Bot(client.conferences(name))
        words: dict[str, Callable[..., Awaitable[str]]] = {
            "dial": bot.dial,
            "wait": bot.wait,
            "mute": bot.mute,
            "play": bot.play,
            "remove": bot.remove,
        }
        while line := await asyncio.to_thread(sys.stdin.readline):
            word, *rest = line.split() or [""]
            try:
                answer = await words[word](*rest)
            except ConferenceError as error:
                answer = str(error)
            except (KeyError, TypeError, ValueError):
                answer = f"try: {', '.join(words)}"
            print(answer, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
