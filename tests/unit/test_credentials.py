"""Who calls and where to: every mistake is named, and no secret is shown."""

import base64
import copy
import pickle
from typing import Any

import pytest

from conference_async.credentials import Credentials, resolve_base_url
from conference_async.errors import ConfigurationError

SID = "AC" + "1" * 32
KEY = "SK" + "2" * 32
SECRET = "not-to-be-shown"
ACCOUNT = {"TWILIO_ACCOUNT_SID": SID, "TWILIO_AUTH_TOKEN": SECRET}
WITH_KEY = {
    "TWILIO_ACCOUNT_SID": SID,
    "TWILIO_API_KEY": KEY,
    "TWILIO_API_SECRET": SECRET,
    "TWILIO_AUTH_TOKEN": "another",
}


@pytest.mark.parametrize(
    ("sid", "token", "options", "says"),
    [
        ("AC1", SECRET, {}, "AC followed by 32 hexadecimal digits; the service's console"),
        (KEY, SECRET, {}, r"Credentials\.api_key"),
        (SID.lower(), SECRET, {}, "AC followed by"),
        (SID + "\n", SECRET, {}, "AC followed by"),
        (SID, SECRET, {"key_sid": SID}, "key_sid must be SK"),
        (SID, "", {}, "auth_token is empty"),
        (SID, "a\nb", {}, "auth_token is empty or holds control characters"),
        (SID, "", {"key_sid": KEY}, "key_secret is empty"),
    ],
)
def test_credentials_of_the_wrong_shape_are_refused(
    sid: str, token: str, options: dict[str, str], says: str
) -> None:
    """The message says which part is wrong, and does not repeat the secret."""
    with pytest.raises(ConfigurationError, match=says) as caught:
        Credentials(sid, token, **options)

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("credentials", "user"),
    [(Credentials(SID, SECRET), SID), (Credentials.api_key(SID, KEY, SECRET), KEY)],
)
def test_the_header_names_the_key_or_the_account(credentials: Credentials, user: str) -> None:
    """An API key signs in by its own SID, for the account in the path."""
    scheme, _, encoded = credentials.authorization.partition(" ")

    assert scheme == "Basic"
    assert base64.b64decode(encoded).decode() == f"{user}:{SECRET}"
    assert credentials.account_sid == SID


@pytest.mark.parametrize(
    "credentials", [Credentials(SID, SECRET), Credentials.api_key(SID, KEY, SECRET)]
)
def test_the_secret_is_never_shown(credentials: Credentials) -> None:
    """Not by repr, str or a format; who it is for is."""
    shown = f"{credentials!r} {credentials} {credentials!s:>10}"

    assert SECRET not in shown
    assert SID in shown
    assert (KEY in shown) == (credentials.key_sid is not None)


@pytest.mark.parametrize("carry", [pickle.dumps, copy.copy, copy.deepcopy])
def test_credentials_do_not_travel(carry: Any) -> None:
    """A queue or another process reads them where it runs."""
    with pytest.raises(ConfigurationError, match="not pickled"):
        carry(Credentials(SID, SECRET))


def test_the_environment_holds_an_account() -> None:
    """Account SID and token; empty variables count as missing."""
    credentials = Credentials.from_env({**ACCOUNT, "TWILIO_API_KEY": "", "TWILIO_REGION": ""})

    assert credentials == Credentials(SID, SECRET)


def test_an_api_key_goes_before_the_token() -> None:
    """With region and edge where they are set."""
    credentials = Credentials.from_env(
        {**WITH_KEY, "TWILIO_REGION": "ie1", "TWILIO_EDGE": "dublin"}
    )

    assert credentials == Credentials(SID, SECRET, key_sid=KEY, region="ie1", edge="dublin")


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        ({}, "TWILIO_ACCOUNT_SID"),
        ({"TWILIO_ACCOUNT_SID": SID}, "TWILIO_AUTH_TOKEN"),
        ({**ACCOUNT, "TWILIO_API_KEY": KEY}, "TWILIO_API_SECRET"),
    ],
)
def test_a_missing_variable_is_named(
    environ: dict[str, str], missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the environment is the process's own or given."""
    with pytest.raises(ConfigurationError, match=f"set the environment variable {missing}"):
        Credentials.from_env(environ)

    for name in WITH_KEY:
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=missing):
        Credentials.from_env()


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
    """What is passed wins, then CONFERENCE_ASYNC_BASE_URL, then region and edge."""
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
