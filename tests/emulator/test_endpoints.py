"""Endpoints, callers and SIP credentials: one reading of the page for each."""

from typing import Any

import pytest

SIP = "sip:bob@company.com"


@pytest.mark.parametrize(
    ("to", "code"),
    [
        ("+15558675310", None),
        ("911", None),
        ("4155550100", None),
        ("+1555867", None),
        ("5550", 21211),
        ("+555010", 21211),
        ("+1555867531000000", 21211),
        (SIP, None),
        ("SIPS:bob@company.com", None),
        ("sip:company.com", 21211),
        ("sip:@company.com", 21211),
        ("sip:a@b@c", 21211),
        ("client:bob", None),
        ("client:bob?a=1", None),
        ("CLIENT:bob", 21211),
        ("client:", 21211),
        ("client:?a=1", 21211),
        ("client:" + "b" * 256, None),
        ("client:" + "b" * 257, 21211),
        ("app:AP" + "a" * 32, None),
        ("app:AP" + "a" * 32 + "?x=1", None),
        ("app:APP", 21218),
        ("APP:AP" + "a" * 32, 21211),
        ("+15558675310?a=1", 21211),
        (f"{SIP}?{'x=' + 'y' * 1021}", None),
        (f"{SIP}?{'x=' + 'y' * 1022}", 21227),
        (f"{SIP}?a=1&x y=1", 21211),
        (f"{SIP}?x%20y=1", 21228),
        (f"{SIP}?=1", 21228),
        (f"{SIP}?x=%0d%0aVia:", 21229),
        (f"{SIP}?x-a=%20b&&y", None),
    ],
)
async def test_a_target_is_read_as_the_page_writes_it(api: Any, to: str, code: int | None) -> None:
    """Seven to 15 digits or three; a SIP user and host; words in lower case; headers in bounds."""
    answer = await api.create(To=to)

    assert answer.json.get("code") == code
    assert api.emulator.rings(to) == (code is None)


@pytest.mark.parametrize(
    ("username", "password", "code"),
    [
        ("bob", "secret", None),
        ("b" * 255, "s" * 255, None),
        ("b" * 256, "secret", 21221),
        ("b\nob", "secret", 21222),
        ("bob", "s" * 256, 21223),
        ("bob", "sec\x7fret", 21224),
        ("bob", None, 21225),
        ("bob", "", 21225),
        (None, "secret", None),
        ("é b", "☎", None),
    ],
)
async def test_sip_credentials_have_the_services_rules(
    api: Any, username: str | None, password: str | None, code: int | None
) -> None:
    """Fewer than 256 characters each, none of them a control, and no name without a password."""
    answer = await api.create(To=SIP, SipAuthUsername=username, SipAuthPassword=password)

    assert answer.json.get("code") == code
