"""A receiver hands on each of the service's events once, and nothing else ever."""

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conference_async.errors import ConfigurationError
from conference_async.webhooks.events import ConferenceStarted, Event, ParticipantJoined
from conference_async.webhooks.receiver import Receiver
from conference_async.webhooks.signature import Algorithm, Keys, SharedKey, sign

URL = "https://example.com/hooks/twilio"
TOKEN = "12345"
ROOM = "CF" + "2" * 32
NOW = datetime(2026, 10, 2, 12, 0, tzinfo=UTC).timestamp()
FORM = "application/x-www-form-urlencoded"


def receiver(**options: Any) -> Receiver:
    """Return a receiver on a clock that stands still."""
    chosen: dict[str, Any] = {"public_url": URL, "now": lambda: NOW} | options
    return Receiver(Keys(TOKEN), **chosen)


def joined(number: int, *, age: float = 0, **own: str) -> dict[str, str]:
    """Return the parameters of somebody's joining."""
    return {
        "StatusCallbackEvent": "participant-join",
        "ConferenceSid": ROOM,
        "CallSid": f"CA{number:032}",
        "SequenceNumber": str(number),
        "Timestamp": format_datetime(datetime.fromtimestamp(NOW - age, UTC)),
        **own,
    }


async def parts(*body: bytes) -> AsyncIterator[bytes]:
    """Yield a body as it comes over a network."""
    for part in body:
        yield part


async def post(
    to: Receiver,
    params: Mapping[str, str],
    *,
    query: str = "",
    headers: Mapping[str, str] | None = None,
) -> int:
    """Post a signed form and return the status."""
    signature = sign(f"{URL}?{query}" if query else URL, params, TOKEN)
    return await to.receive(
        method="POST",
        query=query,
        headers={"Content-Type": FORM, "X-Twilio-Signature": signature} | dict(headers or {}),
        body=parts(urlencode(params).encode()),
    )


def taken(to: Receiver) -> list[Event]:
    """Return a list that fills with the events that reach the application."""
    events: list[Event] = []
    to.listen(events.append)
    return events


async def test_a_form() -> None:
    """A signed form reaches listeners and readers as an event, with the URL's own query."""
    hooks = receiver()
    heard = taken(hooks)
    read = hooks.events()

    status = await post(hooks, joined(1, ParticipantLabel="alice smith"), query="campaign=a%20b")

    assert status == 204
    (event,) = heard
    assert isinstance(event, ParticipantJoined)
    assert event.label == "alice smith"
    assert event.extra["campaign"] == "a b"
    assert await anext(read) is event


async def test_a_query() -> None:
    """A GET carries its event in the query."""
    hooks = receiver()
    heard = taken(hooks)
    query = urlencode({"StatusCallbackEvent": "conference-start", "ConferenceSid": ROOM})
    headers = {"x-twilio-signature": sign(f"{URL}?{query}", None, TOKEN)}

    status = await hooks.receive(
        method="GET", query=query, headers=headers, body=parts(b"x" * 9**6)
    )

    assert status == 204
    assert isinstance(heard[0], ConferenceStarted)


async def post_json(to: Receiver, body: bytes) -> int:
    """Post a signed JSON body and return the status."""
    query = f"bodySHA256={hashlib.sha256(body).hexdigest()}"
    return await to.receive(
        method="POST",
        query=query,
        headers={
            "content-type": "application/json; charset=utf-8",
            "x-twilio-signature": sign(f"{URL}?{query}", None, TOKEN),
        },
        body=parts(body),
    )


async def test_json() -> None:
    """A JSON object is an event too: numbers, flags and the like as JSON writes them."""
    hooks = receiver()
    heard = taken(hooks)

    status = await post_json(hooks, json.dumps({**joined(1), "Muted": True, "Hold": None}).encode())

    assert status == 204
    (event,) = heard
    assert isinstance(event, ParticipantJoined)
    assert (event.muted, event.hold) == (True, None)


@pytest.mark.parametrize(
    "body", [b"[]", b"{", b"\xff", b"[" * 60_000, b'{"a": ' + b"9" * 9000 + b"}"]
)
async def test_json_that_is_no_object(body: bytes) -> None:
    """A signed body that cannot be read is refused, however it is broken."""
    hooks = receiver()
    heard = taken(hooks)

    assert await post_json(hooks, body) == 400
    assert heard == []


async def test_a_shared_key() -> None:
    """Requests may be signed with a shared key alone."""
    keys = Keys(shared_keys={"key_1": SharedKey(secret="shared")})
    hooks = Receiver(keys, public_url=URL, now=lambda: NOW)
    signature = sign(URL, joined(1), "shared", algorithm=Algorithm.HMAC_SHA256)
    settings = {"X-Twilio-Webhooks-Signature-Settings": "key=key_1,algorithm=HMAC_SHA256"}

    assert await post(hooks, joined(1)) == 403
    assert await post(hooks, joined(1), headers=settings | {"X-Twilio-Signature": signature}) == 204


class TestRefused:
    """What is not the service's never reaches the application, and gets a status only."""

    @pytest.mark.parametrize(
        ("status", "change"),
        [
            (405, {"method": "PUT"}),
            (405, {"method": "HEAD"}),
            (403, {"method": "GET"}),
            (403, {"query": "a=1"}),
            (403, {"body": b"CallSid=CA2"}),
            (403, {"body": b""}),
            (403, {"signature": None}),
            (403, {"signature": ""}),
            (403, {"signature": "ÿ"}),
            (403, {"settings": "key=mine,algorithm=HMAC_SHA1"}),
            (413, {"body": b"a" * 70_000}),
            (415, {"type": None}),
            (415, {"type": "multipart/form-data; boundary=x"}),
            (415, {"type": "text/plain"}),
            (415, {"type": f"{FORM}; charset=utf-16"}),
            (415, {"type": f"{FORM}; charset=utf-8; charset=latin-1"}),
            (415, {"encoding": "gzip"}),
            (403, {"type": "application/json"}),
            (400, {"body": b"CallSid=%ff"}),
            (400, {"body": b"CallSid=\xff"}),
            (400, {"body": b"&" * 500}),
            (400, {"query": "a=%ff"}),
        ],
    )
    async def test_changed(self, status: int, change: dict[str, Any]) -> None:
        """A changed, oversized or wrongly typed request is refused with its status."""
        hooks = receiver()
        heard = taken(hooks)
        params = joined(1)
        headers = {
            "content-type": change.get("type", f'{FORM}; charset="UTF-8"'),
            "content-encoding": change.get("encoding", "identity"),
            "x-twilio-signature": change.get("signature", sign(URL, params, TOKEN)),
            "x-twilio-webhooks-signature-settings": change.get("settings"),
        }

        got = await hooks.receive(
            method=change.get("method", "POST"),
            query=change.get("query", ""),
            headers={name: value for name, value in headers.items() if value is not None},
            body=parts(change.get("body", urlencode(params).encode())),
        )

        assert got == status
        assert heard == []

    async def test_no_more_is_read_than_allowed(self) -> None:
        """Of a body without an end, only what is allowed is taken."""
        served = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal served
            while True:
                served += 1000
                yield b"a" * 1000

        headers = {"content-type": FORM}
        got = await receiver(max_body=10_000).receive(
            method="POST", query="", headers=headers, body=endless()
        )

        assert got == 413
        assert served == 11_000

    @pytest.mark.looptime
    async def test_a_body_that_does_not_come(self) -> None:
        """A sender that stops in the middle is given up after the time for a body."""

        async def stalled() -> AsyncIterator[bytes]:
            yield b"CallSid="
            await asyncio.sleep(3600)

        got = await receiver(body_timeout=3).receive(
            method="POST", query="", headers={"content-type": FORM}, body=stalled()
        )

        assert got == 408
        assert asyncio.get_running_loop().time() == 3

    async def test_the_log_says_why_and_not_who(self, caplog: pytest.LogCaptureFixture) -> None:
        """The operator reads which receiver refused and why, without anything of the request."""
        hooks = receiver(public_url="https://user:secret@example.com/hooks")
        await post(hooks, joined(1, From="+15558675310"))

        assert "refused a request: Forbidden" in caplog.text
        assert "***@example.com/hooks" in caplog.text
        assert "5310" not in caplog.text
        assert "secret" not in caplog.text

    @given(
        method=st.sampled_from(["GET", "POST", "PUT"]),
        query=st.text(max_size=40),
        headers=st.dictionaries(
            st.sampled_from(["Content-Type", "X-Twilio-Signature", "I-Twilio-Idempotency-Token"]),
            st.sampled_from([FORM, "application/json", ";;charset", sign(URL, None, TOKEN)])
            | st.text(max_size=20),
        ),
        body=st.lists(st.binary(max_size=40), max_size=3),
    )
    async def test_anything(
        self, method: str, query: str, headers: dict[str, str], body: list[bytes]
    ) -> None:
        """No request whatever raises, and none without a signature gets in."""
        hooks = receiver()
        heard = taken(hooks)

        got = await hooks.receive(method=method, query=query, headers=headers, body=parts(*body))

        genuine = headers.get("X-Twilio-Signature") == sign(URL, None, TOKEN) and not query
        assert got in {400, 403, 405, 415} or genuine
        assert len(heard) <= genuine


class TestOnce:
    """An event that comes again is acknowledged and goes no further."""

    async def test_replayed(self) -> None:
        """A request that is sent again as it was is dropped."""
        hooks = receiver()
        heard = taken(hooks)

        assert [await post(hooks, joined(1)) for _ in range(3)] == [204] * 3
        assert len(heard) == 1

    async def test_replayed_under_another_token(self) -> None:
        """The idempotency token is not signed: changing it makes no new event."""
        hooks = receiver()
        heard = taken(hooks)
        for token in ("one", "two", ""):
            await post(hooks, joined(1), headers={"I-Twilio-Idempotency-Token": token})

        assert len(heard) == 1

    async def test_same_token(self) -> None:
        """Two attempts of one callback are known by their token."""
        hooks = receiver()
        heard = taken(hooks)
        for attempt in ("1", "2"):
            await post(
                hooks, joined(1, Attempt=attempt), headers={"I-Twilio-Idempotency-Token": "one"}
            )

        assert len(heard) == 1

    async def test_same_number(self) -> None:
        """Without a token, SID, event and sequence number tell an event."""
        hooks = receiver()
        heard = taken(hooks)
        await post(hooks, joined(1))
        await post(hooks, joined(1, Attempt="2"))
        await post(hooks, joined(2))
        await post(hooks, joined(1, StatusCallbackEvent="participant-mute"))
        await post(hooks, joined(1, ConferenceSid="CF" + "3" * 32))
        await post(hooks, {"AnsweredBy": "human", "CallSid": "CA1"})
        await post(hooks, {"AnsweredBy": "human", "CallSid": "CA2"})

        assert len(heard) == 6

    @pytest.mark.looptime
    async def test_for_a_while(self) -> None:
        """What is not remembered any more is known as a replay by its timestamp."""
        start = asyncio.get_running_loop().time
        hooks = receiver(max_age=60, now=lambda: NOW + start())
        heard = taken(hooks)
        await post(hooks, joined(1))
        await post(hooks, {"AnsweredBy": "human", "CallSid": "CA1"})
        await asyncio.sleep(61)
        await post(hooks, joined(1))
        await post(hooks, {"AnsweredBy": "human", "CallSid": "CA1"})

        # The second kind carries no timestamp that could tell.
        assert len(heard) == 3

    async def test_old_news(self, caplog: pytest.LogCaptureFixture) -> None:
        """An event much older than any delivery takes is dropped, and the log says so."""
        hooks = receiver()
        heard = taken(hooks)

        assert await post(hooks, joined(1, age=3601)) == 204
        assert await post(hooks, joined(2, age=3600)) == 204
        assert [event.sequence_number for event in heard] == [2]
        assert "too old" in caplog.text

    @pytest.mark.parametrize("remember", [0, 1, 2, 10])
    async def test_bounded(self, remember: int) -> None:
        """No more is remembered than was allowed."""
        hooks = receiver(remember=remember)
        for number in range(20):
            assert await post(hooks, joined(number)) == 204

        assert len(hooks._seen) == remember


class TestPressure:
    """A slow application slows the service down; nothing piles up, and nothing is lost in part."""

    @pytest.mark.looptime
    async def test_refused_while_full(self) -> None:
        """While a reader is full, a request waits for room, is refused, and may come again."""
        loop = asyncio.get_running_loop()
        hooks = receiver(patience=2)
        heard = taken(hooks)
        read = hooks.events(buffer=1)
        await post(hooks, joined(1))

        assert await post(hooks, joined(2)) == 503
        assert loop.time() == 2
        assert len(heard) == 1
        await anext(read)
        assert await post(hooks, joined(2)) == 204
        assert len(heard) == 2

    @pytest.mark.looptime
    async def test_room_in_time(self) -> None:
        """Requests that wait go on as soon as the reader takes something, one for each."""
        loop = asyncio.get_running_loop()
        hooks = receiver(patience=2)
        read = hooks.events(buffer=1)
        await post(hooks, joined(1))
        requests = [asyncio.create_task(post(hooks, joined(number))) for number in (2, 3, 4)]
        await asyncio.sleep(1)
        await anext(read)
        await asyncio.sleep(0.5)
        await anext(read)

        assert await asyncio.gather(*requests) == [204, 204, 503]
        assert loop.time() == 2

    @pytest.mark.looptime
    async def test_the_same_event_twice_while_full(self) -> None:
        """Two attempts that wait side by side are one event in the end."""
        hooks = receiver()
        read = hooks.events(buffer=2)
        await post(hooks, joined(1))
        await post(hooks, joined(2))
        requests = [asyncio.create_task(post(hooks, joined(3))) for _ in range(2)]
        await asyncio.sleep(1)
        await anext(read)
        await anext(read)

        assert await asyncio.gather(*requests) == [204, 204]
        assert (await anext(read)).sequence_number == 3
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(read), 1)

    async def test_a_reader_that_is_gone(self) -> None:
        """A reader that nobody holds any more is in nobody's way."""
        hooks = receiver()
        hooks.events(buffer=0)

        assert await post(hooks, joined(1)) == 204

    @pytest.mark.looptime
    async def test_a_reader_that_leaves(self) -> None:
        """A reader that leaves while full lets the waiting requests pass."""
        hooks = receiver()
        with hooks.events(buffer=0) as read:
            request = asyncio.create_task(post(hooks, joined(1)))
            await asyncio.sleep(1)
            assert repr(read) == "<Subscription 0 of 0 waiting>"

        assert await request == 204
        assert asyncio.get_running_loop().time() == 1
        assert repr(read) == "<Subscription 0 of 0 waiting, closed>"
        assert [event async for event in read] == []

    async def test_every_reader_gets_every_event(self) -> None:
        """Readers do not take events from each other."""
        hooks = receiver()
        readers = [hooks.events() for _ in range(3)]
        for number in range(3):
            await post(hooks, joined(number))
        hooks.close()

        for read in readers:
            assert [event.sequence_number async for event in read] == [0, 1, 2]


class TestCallbacks:
    """The application's own code can be slow or broken without the service noticing."""

    async def test_listeners(self, caplog: pytest.LogCaptureFixture) -> None:
        """A listener that fails is logged, masked, and the others still hear."""
        hooks = receiver()

        def broken(_: Event) -> None:
            raise RuntimeError("cannot find +15558675310")

        hooks.listen(broken)
        heard = taken(hooks)

        assert await post(hooks, joined(1)) == 204
        assert len(heard) == 1
        assert "RuntimeError: cannot find ***5310" in caplog.text

    async def test_unlisten(self) -> None:
        """A listener can stop."""
        hooks = receiver()
        heard: list[Event] = []
        stop = hooks.listen(heard.append)
        await post(hooks, joined(1))
        stop()
        await post(hooks, joined(2))

        assert len(heard) == 1

    @pytest.mark.looptime
    async def test_in_order_and_to_the_end(self) -> None:
        """A slow callback gets all events one by one, those acknowledged at the end included."""
        hooks = receiver()
        done: list[tuple[int | None, float]] = []

        async def slow(event: Event) -> None:
            await asyncio.sleep(1)
            done.append((event.sequence_number, asyncio.get_running_loop().time()))

        async with hooks.subscribe(slow):
            for number in (1, 2, 3):
                assert await post(hooks, joined(number)) == 204

        assert done == [(1, 1.0), (2, 2.0), (3, 3.0)]
        assert asyncio.get_running_loop().time() == 3

    @pytest.mark.looptime
    async def test_not_for_ever(self) -> None:
        """At the end, a callback that hangs is cancelled after its grace."""
        hooks = receiver()
        async with hooks.subscribe(lambda _: asyncio.sleep(3600), grace=4):
            await post(hooks, joined(1))

        assert asyncio.get_running_loop().time() == 4

    @pytest.mark.looptime
    async def test_cancelled_at_the_end(self) -> None:
        """Cancelling the end itself cancels the callback too."""
        hooks = receiver()
        fate: list[str] = []

        async def hang(_: Event) -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                fate.append("cancelled")

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2), hooks.subscribe(hang):
                await post(hooks, joined(1))
        await asyncio.sleep(0)

        assert fate == ["cancelled"]
        assert asyncio.get_running_loop().time() == 2

    @pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError])
    async def test_errors(
        self, error: Callable[[str], BaseException], caplog: pytest.LogCaptureFixture
    ) -> None:
        """A callback that fails, or passes a cancellation on, gets the next event all the same."""
        hooks = receiver()
        done: list[int | None] = []

        async def broken(event: Event) -> None:
            done.append(event.sequence_number)
            raise error("no +15558675310")

        async with hooks.subscribe(broken):
            await post(hooks, joined(1))
            await post(hooks, joined(2))

        assert done == [1, 2]
        assert "***5310" in caplog.text
        assert "15558675310" not in caplog.text


class TestLife:
    """A receiver needs no loop to be made, and ends cleanly."""

    async def test_closed(self) -> None:
        """After its end a receiver refuses, and its readers end."""
        hooks = receiver()
        read = hooks.events()
        await post(hooks, joined(1))
        hooks.close()

        assert await post(hooks, joined(2)) == 503
        assert [event.sequence_number async for event in read] == [1]
        assert [event async for event in hooks.events()] == []
        assert repr(hooks) == f"<Receiver {URL}, closed>"

    @pytest.mark.looptime
    async def test_closed_while_waiting(self) -> None:
        """A request that waits for room when the end comes is refused, not lost."""
        hooks = receiver()
        read = hooks.events(buffer=0)
        request = asyncio.create_task(post(hooks, joined(1)))
        await asyncio.sleep(1)
        hooks.close()

        assert await request == 503
        assert [event async for event in read] == []

    def test_two_loops(self, caplog: pytest.LogCaptureFixture) -> None:
        """One receiver serves one `asyncio.run` after the other, pressure included."""
        hooks = receiver(patience=0.01)

        async def press(number: int) -> list[int]:
            with hooks.events(buffer=1):
                return [await post(hooks, joined(number + extra)) for extra in range(2)]

        with caplog.at_level(logging.CRITICAL):
            assert asyncio.run(press(1)) == [204, 503]
            assert asyncio.run(press(3)) == [204, 503]

    @pytest.mark.parametrize(
        "url",
        [
            "/hooks/twilio",
            "example.com/hooks",
            "ftp://example.com/",
            "https://",
            "https://[::1/hooks",
            URL + "?",
            URL + "?a=1",
            URL + "#rc=5",
        ],
    )
    def test_the_public_url(self, url: str) -> None:
        """A public URL that could not be what is signed is a mistake in the set-up."""
        with pytest.raises(ConfigurationError, match="public_url"):
            receiver(public_url=url)
