"""A receiver hands on each of the service's events once, and nothing else ever."""

import asyncio
import hashlib
import json
import logging
import re
import types
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
from conference_async.webhooks.receiver import Duplicates, Receiver
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


def stamp(age: float = 0) -> str:
    """Return the date of an instant so many seconds ago, as the service writes it."""
    return format_datetime(datetime.fromtimestamp(NOW - age, UTC))


OLD = stamp(7200)


def joined(number: int, *, age: float = 0, **own: str) -> dict[str, str]:
    """Return the parameters of somebody's joining."""
    return {
        "StatusCallbackEvent": "participant-join",
        "ConferenceSid": ROOM,
        "CallSid": f"CA{number:032}",
        "SequenceNumber": str(number),
        "Timestamp": stamp(age),
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
    query = urlencode(joined(1) | {"StatusCallbackEvent": "conference-start"})
    headers = {"x-twilio-signature": sign(f"{URL}?{query}", None, TOKEN)}

    status = await hooks.receive(
        method="GET", query=query, headers=headers, body=parts(b"x" * 9**6)
    )

    assert status == 204
    assert isinstance(heard[0], ConferenceStarted)


async def test_an_empty_form() -> None:
    """Then the query has all of the event, values with an equals sign included."""
    hooks = receiver()
    heard = taken(hooks)

    assert await post(hooks, {}, query=f"{urlencode(joined(1))}&campaign=a=b") == 204

    assert heard[0].extra["campaign"] == "a=b"


async def test_another_json_body_than_the_one_that_was_signed() -> None:
    """The signed URL has the hash of its body, and none but that is believed."""
    hooks = receiver()
    heard = taken(hooks)
    query = f"bodySHA256={hashlib.sha256(b'{}').hexdigest()}"
    headers = {
        "Content-Type": "application/json",
        "X-Twilio-Signature": sign(f"{URL}?{query}", None, TOKEN),
    }
    body = parts(json.dumps(joined(1)).encode())

    assert await hooks.receive(method="POST", query=query, headers=headers, body=body) == 403
    assert not heard


@pytest.mark.parametrize("url", ["http://example.com:1/hooks", "https://example.com/X"])
def test_a_public_url_that_is_called(url: str) -> None:
    """Plain HTTP, any port and any path will do."""
    assert repr(receiver(public_url=url)) == f"<Receiver {url}>"


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
    """A request that is not the service's never reaches the application, and gets a status only."""

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
        """The operator reads which receiver refused and what to look at, nothing of the request."""
        hooks = receiver(public_url="https://user:secret@example.com/hooks")
        await post(hooks, joined(1, From="+15558675310"))

        assert "refused a request: its signature is of none of the keys; if the " in caplog.text
        assert "not this account's, or public_url is not the URL that it calls" in caplog.text
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

    async def test_a_token_alone_is_nobodys_name(self) -> None:
        """The token is not signed: put to other events, it hides none of them."""
        hooks = receiver()
        heard = taken(hooks)
        for own in ({}, {"StatusCallbackEvent": "participant-mute"}, {"ConferenceSid": "CF3"}):
            await post(hooks, joined(1) | own, headers={"I-Twilio-Idempotency-Token": "one"})

        assert len(heard) == 3

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
        """A callback that is not remembered any more is known as a replay by its timestamp."""
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
        assert " refused a request: too old to be anything but a replay\n" in caplog.text

    @pytest.mark.parametrize("missing", ["Timestamp", "SequenceNumber"])
    @pytest.mark.parametrize("kind", ["conference", "call"])
    async def test_what_the_checks_rely_on_is_there(
        self, missing: str, kind: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An event whose kind always carries a timestamp and a number is refused without them."""
        hooks = receiver()
        heard = taken(hooks)
        params = joined(1)
        if kind == "call":
            del params["StatusCallbackEvent"]
            params["CallStatus"] = "ringing"
        assert await post(hooks, params) == 204
        assert await post(hooks, params | {missing: ""}) == 400
        assert await post(hooks, params | {missing: "some day"}) == 400
        del params[missing]
        assert await post(hooks, params) == 400
        reason = ": an event without its timestamp or number\n"
        assert caplog.text.count(f"{hooks!r} refused a request{reason}") == 3

        assert len(heard) == 1

    @pytest.mark.parametrize(
        ("gone", "come"),
        [
            (["Timestamp"], {"Timestam": f"p{OLD}"}),
            (["Timestamp"], {f"Timestamp{OLD[0]}": OLD[1:]}),
            (["Timestamp"], {f"Timestamp{OLD}": ""}),
            (
                ["StatusCallbackEvent", "Timestamp"],
                {"StatusCallbackEvent": f"participant-joinTimestamp{OLD}"},
            ),
            (
                ["StatusCallbackEvent", "Timestamp"],
                {"StatusCallbackEven": "tparticipant-join", "Timestam": f"p{OLD}"},
            ),
            (["StatusCallbackEvent"], {"StatusCallback": "Eventparticipant-join"}),
        ],
    )
    async def test_a_timestamp_out_of_sight(self, gone: list[str], come: dict[str, str]) -> None:
        """Moving the border between names and values does not make an old event new."""
        hooks = receiver()
        heard = taken(hooks)
        old = joined(1) | {"Timestamp": OLD}
        moved = {name: value for name, value in old.items() if name not in gone} | come
        assert sign(URL, moved, TOKEN) == sign(URL, old, TOKEN)

        assert await post(hooks, moved) in {204, 400}
        assert heard == []

    async def test_a_timestamp_in_the_query(self) -> None:
        """Nor does moving the border between the URL and the form."""
        hooks = receiver()
        heard = taken(hooks)
        old = joined(1) | {"Timestamp": OLD}
        text = "".join(name + value for name, value in sorted(old.items()))
        before, _, after = text.partition(OLD)
        moved = {OLD: after}
        assert sign(f"{URL}?a={before}", moved, TOKEN) == sign(f"{URL}?a=", old, TOKEN)

        assert await post(hooks, moved, query=f"a={before}") == 204
        assert heard == []

    @pytest.mark.parametrize("method", ["GET", "POST"])
    async def test_nothing_behind_what_is_signed(self, method: str) -> None:
        """A fragment is not signed, so nothing may stand in one: no request has any."""
        hooks = receiver()
        heard = taken(hooks)
        fields = joined(1)
        query = urlencode(fields) if method == "GET" else "label=alice"
        form = fields if method == "POST" else None
        status = await hooks.receive(
            method=method,
            query=f"{query}#&label=bob&CallSid=CA{'9' * 32}",
            headers={
                "content-type": FORM,
                "x-twilio-signature": sign(f"{URL}?{query}", form, TOKEN),
            },
            body=parts(urlencode(fields).encode()),
        )

        assert status == 400
        assert heard == []

    @pytest.mark.parametrize("remember", [1, 2, 10])
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
        """A reader that nobody holds any more is in nobody's way, full or not."""
        hooks = receiver()
        read = hooks.events(buffer=1)
        await post(hooks, joined(1))
        waiting = asyncio.create_task(post(hooks, joined(2)))
        await asyncio.sleep(0.01)
        del read

        assert await post(hooks, joined(3)) == 204
        assert await waiting == 204

    @pytest.mark.looptime
    async def test_a_reader_that_leaves(self) -> None:
        """A reader that leaves while full lets the waiting requests pass."""
        hooks = receiver()
        with hooks.events(buffer=1) as read:
            await post(hooks, joined(1))
            requests = [asyncio.create_task(post(hooks, joined(number))) for number in (2, 3)]
            await asyncio.sleep(1)
            assert repr(read) == "<Subscription 1 of 1 waiting>"

        assert await asyncio.gather(*requests) == [204, 204]
        assert asyncio.get_running_loop().time() == 1
        assert repr(read) == "<Subscription 0 of 1 waiting, closed>"
        assert [event async for event in read] == []

    @pytest.mark.looptime
    async def test_requests_wait_in_line(self) -> None:
        """Requests get in as they came, also past one that gives up, and one that came twice."""
        hooks = receiver(patience=9)
        heard = taken(hooks)
        read = hooks.events(buffer=1)
        await post(hooks, joined(1))
        numbers = (2, 3, 3, 4, 5)
        requests = [asyncio.create_task(post(hooks, joined(number))) for number in numbers]
        await asyncio.sleep(1)
        requests[0].cancel()
        for _ in range(3):
            await anext(read)
            await asyncio.sleep(1)

        assert [request.done() for request in requests] == [True] * 5
        assert [event.sequence_number for event in heard] == [1, 3, 4, 5]

    @pytest.mark.looptime
    async def test_a_line_that_is_too_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A request behind more than can ever be served is refused at once."""
        monkeypatch.setattr("conference_async.webhooks.subscriptions._LONGEST_LINE", 2)
        hooks = receiver(patience=9)
        read = hooks.events(buffer=1)
        await post(hooks, joined(1))
        requests = [asyncio.create_task(post(hooks, joined(number))) for number in (2, 3)]
        await asyncio.sleep(1)

        assert await post(hooks, joined(4)) == 503
        assert asyncio.get_running_loop().time() == 1
        await anext(read)
        await asyncio.sleep(0)
        await anext(read)
        assert await asyncio.gather(*requests) == [204, 204]

    @pytest.mark.looptime
    async def test_who_waits_costs_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An event that is read wakes one request, however many wait."""
        hooks = receiver(patience=60)
        read = hooks.events(buffer=1)
        await post(hooks, joined(0))
        requests = [asyncio.create_task(post(hooks, joined(n))) for n in range(1, 301)]
        await asyncio.sleep(0.5)
        loop = asyncio.get_running_loop()
        scheduled = 0
        call_soon = loop.call_soon

        def counted(*arguments: Any, **options: Any) -> asyncio.Handle:
            nonlocal scheduled
            scheduled += 1
            return call_soon(*arguments, **options)

        monkeypatch.setattr(loop, "call_soon", counted)
        for _ in range(10):
            await anext(read)
            for _ in range(5):
                await asyncio.sleep(0)
        monkeypatch.undo()

        assert sum(request.done() for request in requests) == 10
        assert scheduled < 200
        for request in requests:
            request.cancel()

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
            raise RuntimeError("cannot find +15558675310\nof al\x1b[2Jice")

        hooks.listen(broken)
        heard = taken(hooks)

        assert await post(hooks, joined(1)) == 204
        assert len(heard) == 1
        first, second, *_, last, more, end = caplog.messages[0].split("\n")
        assert (first, second) == (
            "the application failed on an event",
            "Traceback (most recent call last):",
        )
        assert (last, more, end) == (
            "RuntimeError: cannot find ***5310",
            "of al\\x1b[2Jice",
            "",
        )

    async def test_a_listener_that_passes_a_cancellation_on(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The result of a cancelled future is the listener's failure: everybody else hears."""
        hooks = receiver()
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        gone.cancel()
        hooks.listen(lambda _: gone.result())
        heard = taken(hooks)
        read = hooks.events()

        assert [await post(hooks, joined(1)) for _ in range(2)] == [204, 204]
        assert len(heard) == 1
        assert await anext(read) is heard[0]
        assert "CancelledError" in caplog.text

    async def test_an_async_listener(self, caplog: pytest.LogCaptureFixture) -> None:
        """It would never run: it is refused when it is given, or found out when it is called."""
        hooks = receiver()

        async def act(_: Event) -> None:
            """Do nothing, once it is awaited."""

        with pytest.raises(ConfigurationError, match=r"^listen calls .* hand it to subscribe"):
            hooks.listen(act)  # type: ignore[arg-type]  # what a checker says, too
        hooks.listen(lambda event: act(event))  # type: ignore[arg-type]  # noqa: PLW0108 - only its result tells
        heard = taken(hooks)

        assert await post(hooks, joined(1)) == 204
        assert len(heard) == 1
        assert "returned what nobody awaits" in caplog.text

    def test_an_async_clock(self) -> None:
        """Nothing that is called may be async."""

        async def clock() -> float:
            return NOW

        with pytest.raises(ConfigurationError, match=r"^now calls its function"):
            receiver(now=clock)

    async def test_unlisten(self) -> None:
        """A listener can stop, twice if need be, and once for each time it was given."""
        hooks = receiver()
        heard: list[Event] = []
        append = heard.append
        stop = hooks.listen(append)
        stop_again = hooks.listen(append)
        await post(hooks, joined(1))
        stop()
        stop()
        await post(hooks, joined(2))
        stop_again()
        await post(hooks, joined(3))

        assert [event.sequence_number for event in heard] == [1, 1, 2]

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
    async def test_cut_off(self, caplog: pytest.LogCaptureFixture) -> None:
        """At the end a callback that hangs is cancelled after its grace, and the log counts it."""
        hooks = receiver()
        async with hooks.subscribe(lambda _: asyncio.sleep(3600), grace=4):
            for number in (1, 2):
                await post(hooks, joined(number))
            await post(hooks, joined(3, StatusCallbackEvent="participant-mute"))
            await post(hooks, joined(4, StatusCallbackEvent="new\x1b[2J"))

        assert asyncio.get_running_loop().time() == 4
        counted = "2 participant-join, 1 participant-mute, 1 unknown"
        assert caplog.messages == [f"acknowledged events were cut off (4): {counted}"]

    @pytest.mark.looptime
    @pytest.mark.parametrize("error", [None, ValueError("no +15558675310")])
    async def test_a_callback_that_does_not_let_itself_be_cancelled(
        self, error: Exception | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        """One that fails instead gets no further event: the end is not put off."""
        hooks = receiver()
        begun: list[int | None] = []

        async def stubborn(event: Event) -> None:
            begun.append(event.sequence_number)
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if error:
                    raise error from None
                raise

        async with hooks.subscribe(stubborn, grace=0):
            await post(hooks, joined(1))
            await post(hooks, joined(2))
            await asyncio.sleep(1)

        assert (begun, asyncio.get_running_loop().time()) == ([1], 1)
        assert "acknowledged events were cut off (2): 2 participant-join" in caplog.messages
        assert ("ValueError: no ***5310" in caplog.text) == (error is not None)

    @pytest.mark.looptime
    async def test_what_holds_unless_it_is_said(self) -> None:
        """Buffers have room for a thousand events, and callbacks five seconds at the end."""
        hooks = receiver()

        assert repr(hooks.events()) == "<Subscription 0 of 1000 waiting>"
        async with hooks.subscribe(lambda _: asyncio.sleep(3600)):
            for number in range(1001):
                # One of them is with the callback.
                assert await post(hooks, joined(number)) == 204
                await asyncio.sleep(0)
            assert await post(hooks, joined(1001)) == 503
            until = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() == until + 5

    async def test_left_unread(self, caplog: pytest.LogCaptureFixture) -> None:
        """A reader that goes leaves a count of what it had not read; one that read all does not."""
        hooks = receiver()
        with hooks.events() as read:
            await post(hooks, joined(1))
            await anext(read)
        assert caplog.text == ""
        with hooks.events():
            await post(hooks, joined(2))

        assert caplog.messages == ["acknowledged events were cut off (1): 1 participant-join"]

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
        read = hooks.events(buffer=1)
        await post(hooks, joined(1))
        requests = [asyncio.create_task(post(hooks, joined(number))) for number in (2, 3, 4)]
        await asyncio.sleep(1)
        hooks.close()

        assert await asyncio.gather(*requests) == [503, 503, 503]
        assert asyncio.get_running_loop().time() == 1
        assert [event.sequence_number async for event in read] == [1]

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
        ("name", "value"),
        [
            ("remember", 0),
            ("max_body", -1),
            ("max_body", 0),
            ("max_age", -1),
            ("max_age", 0),
            ("max_age", float("nan")),
            ("body_timeout", 0),
            ("patience", -1),
        ],
    )
    def test_numbers_out_of_bounds(self, name: str, value: float) -> None:
        """A receiver that could take no request, or know none again, is a mistake in the set-up."""
        with pytest.raises(ConfigurationError, match=f"^{name} must be "):
            receiver(**{name: value})

    async def test_no_buffer(self) -> None:
        """A reader without room for one event would never read any."""
        hooks = receiver()
        with pytest.raises(ConfigurationError, match=r"^buffer must be 1 or more, not 0$"):
            hooks.events(buffer=0)
        for options in ({"buffer": 0}, {"grace": -1}):
            with pytest.raises(ConfigurationError):
                async with hooks.subscribe(lambda _: asyncio.sleep(0), **options):
                    pytest.fail("opened")

    async def test_no_callback(self) -> None:
        """What cannot be called would fail on every event."""
        with pytest.raises(ConfigurationError, match="subscribe must be a function, not NoneType"):
            async with receiver().subscribe(None):  # type: ignore[arg-type]  # as meant
                pytest.fail("opened")

    def test_a_loop_that_was_stopped(self) -> None:
        """Requests that wait in a loop which is gone are in nobody's way in the next."""
        hooks = receiver(patience=60)
        read = hooks.events(buffer=1)

        async def press() -> asyncio.Task[int]:
            await post(hooks, joined(1))
            waiting = asyncio.create_task(post(hooks, joined(2)))
            await asyncio.sleep(0.01)
            return waiting

        stopped = asyncio.new_event_loop()
        waiting = stopped.run_until_complete(press())

        async def go_on() -> int:
            await anext(read)
            return await post(hooks, joined(3))

        assert asyncio.run(go_on()) == 204
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            stopped.run_until_complete(waiting)
        stopped.close()

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
            "https://my hooks.example.com/hooks",
            "https://my_hooks.example.com/hooks",
        ],
    )
    def test_the_public_url(self, url: str) -> None:
        """A public URL that could not be what is signed is a mistake in the set-up."""
        with pytest.raises(ConfigurationError, match="public_url"):
            receiver(public_url=url)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"keys": "token"}, "keys must be Keys"),
        ({"keys": None}, "keys must be Keys"),
        ({"events": "events.db"}, "events must be a log such as SQLiteEvents"),
    ],
)
def test_what_is_of_another_kind_is_refused(options: dict[str, Any], says: str) -> None:
    """When it is given: every callback would be answered 500."""
    given: dict[str, Any] = {"keys": Keys("token"), **options}
    with pytest.raises(ConfigurationError, match=says):
        Receiver(given.pop("keys"), public_url=URL, **given)
    with pytest.raises(ConfigurationError, match="keys must be Keys"):
        receiver().keys = "token"  # type: ignore[assignment]  # a mistake


async def test_keys_are_replaced_while_it_runs() -> None:
    """Requests are checked with the keys that hold when they come."""
    hooks = receiver()
    heard = taken(hooks)
    held = hooks.keys
    hooks.keys = Keys("another")
    assert await post(hooks, joined(1)) == 403
    hooks.keys = Keys(["another", TOKEN])
    assert await post(hooks, joined(1)) == 204

    assert held == Keys(TOKEN)
    assert len(heard) == 1


def heard_by_a_machine(**own: str) -> dict[str, str]:
    """Return the parameters of a callback that has neither a number nor a time."""
    call = {"CallSid": f"CA{1:032}", "AccountSid": "AC" + "1" * 32}
    return call | {"AnsweredBy": "human", "MachineDetectionDuration": "2000"} | own


async def test_an_attempt_is_known_by_its_token_where_nothing_is_numbered() -> None:
    """It was signed anew, and so has another signature."""
    hooks = receiver()
    heard = taken(hooks)
    token = {"I-Twilio-Idempotency-Token": "one"}

    for attempt in ("1", "2"):
        assert await post(hooks, heard_by_a_machine(Attempt=attempt), headers=token) == 204

    assert len(heard) == 1


async def test_callbacks_that_nothing_numbers_are_told_apart_by_their_signatures() -> None:
    """Two reports about one call are two, unless they are the same."""
    hooks = receiver()
    heard = taken(hooks)

    for answered_by in ("unknown", "human", "human"):
        assert await post(hooks, heard_by_a_machine(AnsweredBy=answered_by)) == 204

    assert len(heard) == 2


def test_the_oldest_key_is_forgotten_first() -> None:
    """Of more than may be remembered."""
    seen = Duplicates(size=2, age=10)
    assert all(seen.is_new([key], now) for now, key in enumerate("abc"))

    assert not seen.is_new(["b"], 3)
    assert not seen.is_new(["c"], 3)
    assert seen.is_new(["a"], 3)


def test_a_key_is_forgotten_when_its_time_is_over() -> None:
    """And no other one with it."""
    seen = Duplicates(size=9, age=10)
    assert seen.is_new(["a"], 0)
    assert seen.is_new(["b"], 1)

    assert not seen.is_new(["a"], 9.9)
    assert seen.is_new(["a"], 10)
    assert not seen.is_new(["b"], 10)


async def test_why_a_request_was_turned_away_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """With the receiver that did it."""
    hooks = receiver(patience=0)
    read = hooks.events(buffer=1)

    assert [await post(hooks, joined(number)) for number in (1, 2)] == [204, 503]

    assert isinstance(await anext(read), ParticipantJoined)
    why = "refused a request: the application is slow, or it is over"
    said = [each.message for each in caplog.records if each.name == "conference_async.webhooks"]
    assert said == [f"<Receiver {URL}> {why}"]
    hooks.close()
    assert repr(hooks) == f"<Receiver {URL}, closed>"


class Watch:
    """Telemetry that remembers how requests were answered."""

    def __init__(self) -> None:
        self.statuses: list[int] = []

    def callback(self) -> "Watch":
        """Return what hears of one request."""
        return self

    def is_of(self, event: Event) -> None:
        """Hear what it reported."""

    def answered(self, status: int) -> None:
        """Hear how it ended."""
        self.statuses.append(status)


async def test_telemetry_hears_of_requests_that_failed_in_an_unforeseen_way() -> None:
    """A connection that broke in the middle is nobody's answer: a server would say 500."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"half of it"
        raise ConnectionResetError

    watch = Watch()
    hooks = receiver(telemetry=watch)
    assert await post(hooks, joined(1)) == 204
    headers = {"Content-Type": FORM}
    with pytest.raises(ConnectionResetError):
        await hooks.receive(method="POST", query="", headers=headers, body=broken())

    assert watch.statuses == [204, 500]


@pytest.mark.parametrize("telemetry", [object(), "telemetry", types.SimpleNamespace(callback=1)])
def test_what_cannot_watch_is_no_telemetry(telemetry: object) -> None:
    """It is refused where the receiver is made, with what to give instead."""
    message = "telemetry must be a conference_async.telemetry.Telemetry(), not "
    with pytest.raises(ConfigurationError, match=f"^{re.escape(message)}"):
        receiver(telemetry=telemetry)
