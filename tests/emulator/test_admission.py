"""Credentials, accounts, formats and odd requests."""

import asyncio
import base64
import gzip
import io
import socket
import ssl
from typing import Any
from xml.etree import ElementTree as ET

import aiohttp
import pytest
import trustme

from conference_async.emulator import Emulator

HEADERS = {"Content-Type": "application/x-www-form-urlencoded"}
SID = "CF" + "0" * 32


async def test_wrong_credentials_are_refused(api: Any) -> None:
    """401 with code 20003, its help page and a challenge."""
    api.user = api.emulator.account_sid, "wrong"
    answer = await api.create()

    assert (answer.status, answer.json) == (
        401,
        {
            "code": 20003,
            "message": "Authenticate",
            "more_info": "https://www.twilio.com/docs/errors/20003",
            "status": 401,
        },
    )
    assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert api.emulator.ring_counts == {}


@pytest.mark.parametrize(
    "value", ["", "Basic", "Basic %%%", "Basic /w==", "Bearer x", "Basic " + "YTpi"]
)
async def test_an_odd_authorization_header_is_refused(api: Any, value: str) -> None:
    """Nothing but the right Basic credentials opens an account."""
    answer = await api.ask("GET", "/Calls.json", headers={"Authorization": value})

    assert (answer.status, answer.code) == (401, 20003)


async def test_the_right_token_in_another_scheme_is_refused(api: Any) -> None:
    """The scheme counts too."""
    encoded = base64.b64encode(":".join(api.user).encode()).decode()
    answer = await api.ask("GET", "/Calls.json", headers={"Authorization": f"Bearer {encoded}"})

    assert answer.status == 401


async def test_an_api_key_opens_its_account_only(api: Any) -> None:
    """A key and its secret stand for the account that made them."""
    other = api.emulator.add_account()
    api.user = api.emulator.add_api_key()
    assert (await api.create()).status == 201

    api.user = api.emulator.add_api_key(other)
    assert (await api.get("/Calls.json")).code == 20404


async def test_a_parent_account_addresses_its_subaccounts(api: Any) -> None:
    """The main account's credentials open a subaccount, not the other way round."""
    main, parent_sid = api.emulator.accounts[0], api.account_sid
    child = api.emulator.add_account("AC" + "1" * 32, "secret", parent=main)
    api.account_sid = child.sid
    assert (await api.create()).json["account_sid"] == child.sid

    api.user, api.account_sid = (child.sid, "secret"), parent_sid
    assert (await api.get("/Calls.json")).status == 404


@pytest.mark.parametrize("path", ["/Nothing.json", "/Nothing", "/Conferences/a/b/c/d.json"])
async def test_an_unknown_route_is_not_found(api: Any, path: str) -> None:
    """404 with code 20404 in JSON, even without the suffix."""
    answer = await api.get(path)

    assert (answer.status, answer.code) == (404, 20404)
    assert answer.headers["Content-Type"].startswith("application/json")


async def test_a_path_outside_the_api_needs_no_credentials_to_be_missing(api: Any) -> None:
    """A path outside every account is answered 404."""
    async with api.session.get(api.emulator.base_url + "/elsewhere") as response:
        assert (response.status, (await response.json())["code"]) == (404, 20404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", f"/Conferences/{SID}/Participants/alice.json", "GET, POST, DELETE"),
        ("DELETE", "/Conferences.json", "GET"),
        ("OPTIONS", f"/Conferences/{SID}/Participants.json", "GET, POST"),
    ],
)
async def test_a_wrong_method_is_refused(api: Any, method: str, path: str, allowed: str) -> None:
    """405 with code 20004, and the methods that do work."""
    answer = await api.ask(method, path)

    assert (answer.status, answer.code, answer.headers["Allow"]) == (405, 20004, allowed)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/Conferences/standup/Participants.json"),
        ("GET", "/Conferences/standup/Participants/alice.json"),
        ("POST", "/Conferences/standup/Participants/alice.json"),
        ("DELETE", "/Conferences/standup/Participants/alice.json"),
        ("GET", "/Conferences/standup.json"),
        ("POST", "/Conferences/standup.json"),
    ],
)
async def test_a_friendly_name_works_for_create_only(api: Any, method: str, path: str) -> None:
    """405 with code 20004 where a SID is due, even if a conference has that name."""
    await api.create("standup", Label="alice")
    answer = await api.ask(method, path)

    assert (answer.status, answer.code) == (405, 20004)


async def test_xml_is_the_format_without_the_suffix(api: Any) -> None:
    """Resources, lists and errors are all XML then, whatever is in them."""
    made = (await api.create("a<b>&", Label="é&\x01", Muted="true")).json
    one = ET.fromstring((await api.get(f"/Conferences/{made['conference_sid']}")).text)
    many_answer = await api.get(f"/Conferences/{made['conference_sid']}/Participants", PageSize="1")
    many = ET.fromstring(many_answer.text)
    error = ET.fromstring((await api.get(f"/Conferences/{SID}")).text)

    assert one.findtext("Conference/FriendlyName") == "a<b>&"
    assert many_answer.headers["Content-Type"].startswith("application/xml")
    assert [page.get("pagesize") for page in many] == ["1"]
    assert many.findtext("Participants/Participant/Label") == "é&\ufffd"
    assert many.findtext("Participants/Participant/Muted") == "true"
    assert many.findtext("Participants/Participant/QueueTime") == ""
    assert error.findtext("RestException/Code") == "20404"


async def test_every_answer_carries_the_service_headers(api: Any) -> None:
    """Request id, concurrency and duration come with successes and with errors."""
    for answer in (await api.create(), await api.create(To="nobody")):
        assert answer.headers["Twilio-Request-Id"].startswith("RQ")
        assert len(answer.headers["Twilio-Request-Id"]) == 34
        assert answer.headers["Twilio-Concurrent-Requests"] == "1"
        assert float(answer.headers["Twilio-Request-Duration"]) == 0


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Type": "multipart/form-data"}, b"--x\r\n"),
        ({"Content-Type": "application/json"}, b"{}"),
        (HEADERS, b"To=\xff"),
        (HEADERS, b"To=%FF"),
        (HEADERS, b"a=1&" * 2000),
        (HEADERS, b"x" * (1024 * 1024 + 1)),
        ({**HEADERS, "Content-Encoding": "gzip"}, b"not gzip"),
        (HEADERS, b""),
        (HEADERS, b"&&==&%"),
        ({}, b""),
    ],
)
async def test_an_odd_body_is_refused(api: Any, headers: Any, body: bytes) -> None:
    """A body that cannot be a form is answered 400, and dials nobody."""
    answer = await api.ask(
        "POST", "/Conferences/standup/Participants.json", data=io.BytesIO(body), headers=headers
    )

    assert answer.status == 400
    assert answer.json["status"] == 400
    assert api.emulator.ring_counts == {}


async def test_a_body_may_be_compressed(api: Any) -> None:
    """A compressed form is read like a plain one."""
    answer = await api.ask(
        "POST",
        "/Conferences/standup/Participants.json",
        data=gzip.compress(b"From=%2B15017122661&To=%2B15558675310"),
        headers={**HEADERS, "Content-Encoding": "gzip"},
    )

    assert answer.status == 201


@pytest.mark.parametrize("query", ["Status=%FF", "a=1&" * 2000])
async def test_an_odd_query_is_refused(api: Any, query: str) -> None:
    """A query that cannot be decoded is answered 400."""
    assert (await api.ask("GET", f"/Conferences.json?{query}")).status == 400


@pytest.mark.parametrize(
    "line",
    [
        b"GET /2010-04-01/Accounts/\xff\xfe/Calls.json HTTP/1.1",
        b"GET /2010-04-01/Accounts/AC/Calls.json?a=\xff HTTP/1.1",
        b"NONSENSE",
        b"GET http:///: HTTP/1.1",
    ],
)
async def test_raw_nonsense_is_answered_as_the_client_error_it_is(api: Any, line: bytes) -> None:
    """Bytes that are no request get a 4xx, never a 5xx or silence."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.emulator.port)
    writer.write(line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
    status = (await reader.readline()).split()[1]
    writer.close()

    assert status.startswith(b"4")


@pytest.mark.looptime
async def test_a_client_that_leaves_in_the_middle_of_a_body_dials_nobody(api: Any) -> None:
    """Half a request is no request, and the emulator goes on."""
    _reader, writer = await asyncio.open_connection("127.0.0.1", api.emulator.port)
    path = f"{api.root}/Conferences/standup/Participants.json"
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nTo=".encode())
    await writer.drain()
    writer.close()
    await asyncio.sleep(0.05)

    assert (await api.get("/Calls.json")).json["calls"] == []
    assert api.emulator.count() == 1


async def test_it_serves_tls(open_api: Any) -> None:
    """With a context the base URL is https and the certificate is the given one."""
    authority = trustme.CA()
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(served)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with open_api(ssl_context=served) as api:
        assert api.emulator.base_url.startswith("https://127.0.0.1:")
        assert (await api.ask("GET", "/Calls.json", ssl=trusting)).status == 200


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
async def test_it_listens_on_ipv6(open_api: Any) -> None:
    """An IPv6 address stands in brackets in the base URL."""
    async with open_api(host="::1") as api:
        assert api.emulator.base_url.startswith("http://[::1]:")
        assert (await api.get("/Calls.json")).status == 200


@pytest.mark.looptime
async def test_too_many_open_requests_are_refused(open_api: Any) -> None:
    """Above the bound: 429 with code 20429, nothing placed; the others are served."""
    async with open_api(max_concurrent_requests=2, latency=1.0, pace=False) as api:
        answers = await asyncio.gather(*(api.create(To=f"+1555000000{n}") for n in range(4)))
        assert sorted(answer.status for answer in answers) == [201, 201, 429, 429]
        assert {answer.code for answer in answers if answer.status == 429} == {20429}
        assert sum(api.emulator.ring_counts.values()) == 2
        assert {a.headers["Twilio-Concurrent-Requests"] for a in answers} == {"1", "2", "3", "4"}
        assert (await api.create()).status == 201


async def test_it_is_gone_and_back_on_the_same_port(api: Any) -> None:
    """While it does not listen connections are refused; afterwards all is as it was."""
    await api.create(Label="alice")
    port = api.emulator.port
    await api.emulator.stop_listening()
    with pytest.raises(aiohttp.ClientConnectionError):
        await api.create()
    await api.emulator.stop_listening()
    await api.emulator.start_listening()
    await api.emulator.start_listening()

    assert api.emulator.port == port
    assert (await api.create(Label="alice")).code == 16026


@pytest.mark.looptime
async def test_a_restart_lasts_as_long_as_asked(api: Any) -> None:
    """The downtime is the loop's."""
    before = asyncio.get_running_loop().time()
    await api.emulator.restart(downtime=5)

    assert asyncio.get_running_loop().time() == before + 5
    assert (await api.get("/Calls.json")).status == 200


async def test_credentials_are_made_up_or_taken(api: Any) -> None:
    """Two emulators never share an account by accident; given ones are used; none are shown."""
    first, second = Emulator(), Emulator(account_sid=None, auth_token=None)
    given = Emulator(account_sid="AC" + "2" * 32, auth_token="known")

    assert first.account_sid != second.account_sid
    assert first.auth_token != second.auth_token
    assert (given.account_sid, given.auth_token) == ("AC" + "2" * 32, "known")
    assert "known" not in repr(given) + repr(given.accounts)
