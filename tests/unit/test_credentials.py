"""Credentials: every mistake is named, and no secret is shown."""

import base64
import copy
import pickle
from datetime import datetime
from typing import Any

import pytest

from conference_async import ConferenceClient
from conference_async.credentials import Credentials, OAuthApp
from conference_async.errors import ConfigurationError

SID = "AC" + "1" * 32
KEY = "SK" + "2" * 32
SECRET = "not-to-be-shown"
APP = OAuthApp("OQ" + "3" * 32, SECRET, None)
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
        (None, SECRET, {}, "AC followed by"),
        (SID, None, {}, "auth_token must be text, not NoneType"),
        (SID, SECRET.encode(), {}, "auth_token must be text, not bytes"),
        (SID, SECRET, {"key_sid": KEY}, "give one secret only"),
        (SID, SECRET, {"key_secret": SECRET}, "one secret only"),
        (SID, None, {"key_secret": SECRET}, "key_sid must be SK"),
        (SID, None, {"key_sid": KEY}, "key_secret must be text, not NoneType"),
        (SID, None, {"key_sid": SID, "key_secret": SECRET}, "key_sid must be SK"),
        (SID, "", {}, "auth_token is empty"),
        (SID, "a\nb", {}, "auth_token is empty or holds control characters"),
        (SID, None, {"key_sid": KEY, "key_secret": ""}, "key_secret is empty"),
        (SID, SECRET, {"access_token": SECRET}, "give one secret only"),
        (SID, None, {"key_sid": KEY, "access_token": SECRET}, "give one secret only"),
        (SID, SECRET, {"source": APP}, "give one secret only"),
        (SID, None, {"access_token": ""}, "access_token is empty"),
        (SID, None, {"access_token": "a b"}, "access_token holds what no header can carry"),
        (SID, None, {"access_token": "ü"}, "access_token holds what no header can carry"),
        (SID, None, {"access_token": SECRET, "region": "ie1"}, "OAuth in region us1 only"),
        (SID, None, {"source": APP, "region": "au1"}, "OAuth in region us1 only, not in 'au1'"),
        (SID, SECRET, {"expires_at": datetime(2026, 11, 26)}, "a datetime with a time zone"),  # noqa: DTZ001 -- what is refused
        (SID, SECRET, {"expires_at": 1764115200}, "a datetime with a time zone"),
    ],
)
def test_credentials_of_the_wrong_shape_are_refused(
    sid: Any, token: Any, options: dict[str, Any], says: str
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


async def fetch() -> Credentials:
    """Return what a provider might."""
    return Credentials(SID, SECRET)


FETCHED = [
    Credentials.oauth(SID, APP.client_id, SECRET),
    Credentials.from_provider(fetch, account_sid=SID),
]


@pytest.mark.parametrize(
    "credentials",
    [
        Credentials(SID, SECRET),
        Credentials.api_key(SID, KEY, SECRET),
        Credentials.bearer(SID, SECRET),
        *FETCHED,
    ],
)
def test_the_secret_is_never_shown(credentials: Credentials) -> None:
    """Not by repr, str or a format; who it is for is."""
    shown = f"{credentials!r} {credentials} {credentials!s:>10}"

    assert SECRET not in shown
    assert SID in shown
    assert (KEY in shown) == (credentials.key_sid is not None)


@pytest.mark.parametrize("carry", [pickle.dumps, copy.copy, copy.deepcopy])
@pytest.mark.parametrize(
    "secret", [Credentials(SID, SECRET), *FETCHED, *(each.source for each in FETCHED)]
)
def test_credentials_do_not_travel(carry: Any, secret: object) -> None:
    """A queue or another process reads them where it runs."""
    with pytest.raises(ConfigurationError, match="not pickled"):
        carry(secret)


@pytest.mark.parametrize("credentials", FETCHED)
def test_what_is_fetched_has_no_header_of_its_own(credentials: Credentials) -> None:
    """Only the client that fetches it does."""
    with pytest.raises(ConfigurationError, match="fetched by the client"):
        _ = credentials.authorization


def test_a_bearer_token_is_the_header() -> None:
    """As it is."""
    assert Credentials.bearer(SID, SECRET).authorization == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("client_id", "secret", "says"),
    [
        ("", SECRET, "client_id is empty"),
        (None, SECRET, "client_id must be text"),
        (SID, SECRET, "not of an account or API key"),
        (KEY, SECRET, "not of an account or API key"),
        ("OQ1", "", "client_secret is empty"),
    ],
)
def test_what_is_no_app_is_refused(client_id: Any, secret: Any, says: str) -> None:
    """When the credentials are made."""
    with pytest.raises(ConfigurationError, match=says):
        Credentials.oauth(SID, client_id, secret)


@pytest.mark.parametrize(
    ("function", "every", "says"),
    [
        (None, 300, "fetch must be an async function, not NoneType"),
        (Credentials(SID, SECRET), 300, "fetch must be an async function, not Credentials"),
        (fetch, 0, "every must be more than 0 seconds"),
        (fetch, float("inf"), "every must be more than 0 seconds"),
    ],
)
def test_what_is_no_provider_is_refused(function: Any, every: Any, says: str) -> None:
    """When the credentials are made."""
    with pytest.raises(ConfigurationError, match=says):
        Credentials.from_provider(function, account_sid=SID, every=every)


def test_a_providers_account_may_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is no secret, and has to be known before the provider is asked."""
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", SID)
    assert Credentials.from_provider(fetch).account_sid == SID
    monkeypatch.delenv("TWILIO_ACCOUNT_SID")
    with pytest.raises(ConfigurationError, match=r"TWILIO_ACCOUNT_SID.*account_sid="):
        Credentials.from_provider(fetch)


def test_the_environment_may_hold_an_app() -> None:
    """It goes before a token, and after an API key."""
    app = {"TWILIO_CLIENT_ID": APP.client_id, "TWILIO_CLIENT_SECRET": SECRET}

    assert Credentials.from_env({**ACCOUNT, **app}) == Credentials(SID, source=APP)
    assert Credentials.from_env({**WITH_KEY, **app}) == Credentials.api_key(SID, KEY, SECRET)
    with pytest.raises(ConfigurationError, match="OAuth in region us1 only"):
        Credentials.from_env({**ACCOUNT, **app, "TWILIO_REGION": "ie1"})


def test_a_client_of_another_region_is_refused() -> None:
    """The service takes OAuth in its first region only, wherever the region is said."""
    with pytest.raises(ConfigurationError, match="OAuth in region us1 only, not in 'ie1'"):
        ConferenceClient(FETCHED[0], region="ie1")


def test_the_environment_holds_an_account() -> None:
    """Account SID and token; empty variables count as missing."""
    credentials = Credentials.from_env({**ACCOUNT, "TWILIO_API_KEY": "", "TWILIO_REGION": ""})

    assert credentials == Credentials(SID, SECRET)


def test_an_api_key_goes_before_the_token() -> None:
    """With region and edge where they are set."""
    credentials = Credentials.from_env(
        {**WITH_KEY, "TWILIO_REGION": "ie1", "TWILIO_EDGE": "dublin"}
    )

    assert credentials == Credentials.api_key(SID, KEY, SECRET, region="ie1", edge="dublin")
    assert (credentials.auth_token, credentials.key_secret) == (None, SECRET)


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        ({}, "TWILIO_ACCOUNT_SID"),
        ({"TWILIO_ACCOUNT_SID": SID}, "TWILIO_AUTH_TOKEN"),
        ({**ACCOUNT, "TWILIO_API_KEY": KEY}, "TWILIO_API_SECRET"),
        ({**ACCOUNT, "TWILIO_CLIENT_ID": APP.client_id}, "TWILIO_CLIENT_SECRET"),
    ],
)
def test_a_missing_variable_is_named(
    environ: dict[str, str], missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the environment is the process's own or given."""
    with pytest.raises(ConfigurationError, match=rf"^set {missing} \("):
        Credentials.from_env(environ)

    for name in WITH_KEY:
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=rf"^set the environment variable {missing} \("):
        Credentials.from_env()
