"""The hosts that answer: every address that is none is named."""

from typing import Any

import pytest

from conference_async.errors import ConfigurationError
from conference_async.hosts import resolve_base_url, split_proxy, token_url


@pytest.mark.parametrize(
    "place", [{"edge": "roaming"}, {"region": "gll"}, {"region": "ie1", "edge": "roaming"}]
)
def test_a_host_that_does_not_answer_is_refused(place: dict[str, str]) -> None:
    """Users report names built with the words for "wherever" as broken."""
    with pytest.raises(ConfigurationError, match=r"(roaming|gll)' makes the name of a host"):
        resolve_base_url(None, region=place.get("region"), edge=place.get("edge"), environ={})


@pytest.mark.parametrize("given", [5, b"https://example.com", ["https://example.com"]])
def test_an_address_that_is_no_text_is_refused(given: Any) -> None:
    """By an error of the library's own."""
    with pytest.raises(ConfigurationError, match="base_url must be like"):
        resolve_base_url(given, region=None, edge=None)
    with pytest.raises(ConfigurationError, match="region"):
        resolve_base_url(None, region=given, edge=None, environ={})
    with pytest.raises(ConfigurationError, match=r"http://user:password@host:3128$"):
        split_proxy(given)


@pytest.mark.parametrize(
    ("region", "edge", "host"),
    [
        (None, None, "api.twilio.com"),
        ("us1", None, "api.us1.twilio.com"),
        ("ie1", None, "api.dublin.ie1.twilio.com"),
        ("au1", "singapore", "api.singapore.au1.twilio.com"),
        ("de1", None, "api.frankfurt.de1.twilio.com"),
        (None, "ashburn", "api.ashburn.us1.twilio.com"),
        ("xx9", "nowhere", "api.nowhere.xx9.twilio.com"),
    ],
)
def test_region_and_edge_make_the_host(region: str | None, edge: str | None, host: str) -> None:
    """A known region brings its edge; an edge alone is of the usual region."""
    assert resolve_base_url(None, region=region, edge=edge, environ={}) == f"https://{host}"


@pytest.mark.parametrize(
    ("base_url", "region", "edge", "says"),
    [
        (None, "xx9", None, "needs its edge"),
        (None, "ie1.evil.com/", None, "cannot be part of a host name"),
        (None, "ie1", "a@b", "cannot be part of a host name"),
        ("http://127.0.0.1", "ie1", None, "not both"),
        ("", None, None, "base_url is empty"),
        ("127.0.0.1:8000", None, None, "base_url must be like"),
        ("ftp://host", None, None, "base_url must be like"),
        ("http://", None, None, "base_url must be like"),
        ("http://host:port", None, None, "base_url must be like"),
        ("http://host:0", None, None, "base_url must be like"),
        ("http://[::1", None, None, "base_url must be like"),
        ("http://user@host", None, None, "may not carry a user"),
        ("http://host/?a=b", None, None, "may not carry"),
        ("http://host/#a", None, None, "may not carry"),
    ],
)
def test_an_address_that_is_none_is_refused(
    base_url: str | None, region: str | None, edge: str | None, says: str
) -> None:
    """Before anything is sent to a place that nobody meant."""
    with pytest.raises(ConfigurationError, match=says):
        resolve_base_url(base_url, region=region, edge=edge, environ={})


def test_a_test_run_cannot_reach_real_phones_by_its_region() -> None:
    """The argument wins, then CONFERENCE_ASYNC_BASE_URL, then region and edge."""
    environ = {"CONFERENCE_ASYNC_BASE_URL": "http://127.0.0.1:8000/"}

    def resolve(base_url: str | None, region: str | None) -> str:
        return resolve_base_url(base_url, region=region, edge=None, environ=environ)

    assert resolve("https://proxy.example.com", None) == "https://proxy.example.com"
    assert resolve(None, "ie1") == "http://127.0.0.1:8000"
    assert resolve(None, None) == "http://127.0.0.1:8000"


def test_a_broken_address_in_the_environment_is_refused_too() -> None:
    """It is checked like any other."""
    with pytest.raises(ConfigurationError, match="base_url must be like"):
        resolve_base_url(
            None, region=None, edge=None, environ={"CONFERENCE_ASYNC_BASE_URL": "emulator"}
        )


@pytest.mark.parametrize(
    ("given", "base_url", "expected"),
    [
        (None, "https://api.twilio.com", "https://oauth.twilio.com/v2/token"),
        (None, "https://api.ashburn.us1.twilio.com", "https://oauth.twilio.com/v2/token"),
        (None, "http://127.0.0.1:8081", "http://127.0.0.1:8081/v2/token"),
        (None, "https://twilio.com.example.com/api", "https://twilio.com.example.com/api/v2/token"),
        ("https://id.example.com/token", "https://api.twilio.com", "https://id.example.com/token"),
    ],
)
def test_tokens_come_from_where_requests_go(
    given: str | None, base_url: str, expected: str
) -> None:
    """No test sends a secret to the service, and none of the service's goes to a test."""
    assert token_url(given, base_url) == expected


@pytest.mark.parametrize("given", ["", "id.example.com", "https://user@host/", "https://host/?a=b"])
def test_a_token_url_that_is_none_is_refused(given: str) -> None:
    """By its name."""
    with pytest.raises(ConfigurationError, match="oauth_url"):
        token_url(given, "https://api.twilio.com")
