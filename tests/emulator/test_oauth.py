"""OAuth apps and secrets that are replaced, asked about by a plain caller."""

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from conference_async.emulator import Emulator

FORM = "application/x-www-form-urlencoded"


async def token(api: Any, app: str, secret: str, **form: str) -> Any:
    """Ask for a token; return the whole answer."""
    asked = {
        "grant_type": "client_credentials",
        "client_id": app,
        "client_secret": secret,
        **form,
    }
    async with api.session.post(
        f"{api.emulator.base_url}/v2/token", data=urlencode(asked), headers={"Content-Type": FORM}
    ) as reply:
        return reply.status, await reply.json()


async def listed(api: Any, authorization: str, account_sid: str | None = None) -> int:
    """List the conferences of an account; return the status."""
    sid = account_sid or api.account_sid
    url = f"{api.emulator.base_url}/2010-04-01/Accounts/{sid}/Conferences.json"
    async with api.session.get(url, headers={"Authorization": authorization}) as reply:
        return int(reply.status)


def basic(user: str, password: str) -> str:
    """Return the header that signs in."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@pytest.mark.looptime
async def test_a_token_opens_its_account_until_it_ends(api: Any) -> None:
    """For as many seconds as its answer says, and no other account, not even a subaccount."""
    emulator: Emulator = api.emulator
    emulator.token_lifetime = 60
    client_id, secret = emulator.add_oauth_app()
    child = emulator.add_account(parent=emulator.accounts[0])
    status, answer = await token(api, client_id, secret)

    assert status == 200
    assert answer == {
        "access_token": answer["access_token"],
        "id_token": None,
        "token_type": "Bearer",
        "expires_in": 60,
        "refresh_token": None,
    }
    header = f"Bearer {answer['access_token']}"
    assert await listed(api, header) == 200
    assert await listed(api, header, child.sid) == 404
    emulator.freeze()
    emulator.advance(59)
    assert await listed(api, header) == 200
    emulator.advance(1)
    assert await listed(api, header) == 401


async def test_a_token_reads_like_the_services(api: Any) -> None:
    """The official library takes it apart to see when it ends."""
    _, answer = await token(api, *api.emulator.add_oauth_app())
    claims = answer["access_token"].split(".")[1]
    read = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))

    assert read["exp"] - read["iat"] == 3600
    assert read["iat"] == int(api.emulator.now.timestamp())


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"client_secret": "wrong"}, 401, 20003),
        ({"client_id": "OQ" + "0" * 32}, 401, 20003),
        ({"client_id": ""}, 401, 20003),
        ({"grant_type": "refresh_token"}, 400, None),
    ],
)
async def test_whoever_is_not_the_app_gets_no_token(
    api: Any, change: dict[str, str], status: int, code: int | None
) -> None:
    """The answer does not say what was wrong."""
    answered, body = await token(api, *api.emulator.add_oauth_app(), **change)

    assert (answered, body.get("code")) == (status, code)
    assert "access_token" not in body


async def test_the_secret_is_not_among_what_was_seen(api: Any) -> None:
    """The request is, as a kind of its own."""
    client_id, secret = api.emulator.add_oauth_app()
    await token(api, client_id, secret)

    (request,) = api.emulator.requests
    assert request.kind == "token"
    assert api.emulator.count("token") == 1
    assert request.form["client_id"] == [client_id]
    assert request.form["client_secret"] == ["***"]


async def test_only_a_post_gets_a_token(api: Any) -> None:
    """Anything else is not found."""
    async with api.session.get(f"{api.emulator.base_url}/v2/token") as reply:
        assert reply.status == 404


async def test_a_client_secret_is_replaced(api: Any) -> None:
    """Both hold for the grace period, and tokens live on; without one everything ends at once."""
    emulator: Emulator = api.emulator
    client_id, first = emulator.add_oauth_app()
    _, answer = await token(api, client_id, first)
    header = f"Bearer {answer['access_token']}"
    emulator.freeze()
    second = emulator.rotate_client_secret(client_id, grace=100)

    assert [(await token(api, client_id, secret))[0] for secret in (first, second)] == [200, 200]
    emulator.advance(100)
    assert [(await token(api, client_id, secret))[0] for secret in (first, second)] == [401, 200]
    assert await listed(api, header) == 200
    third = emulator.rotate_client_secret(client_id)
    assert [(await token(api, client_id, secret))[0] for secret in (second, third)] == [401, 200]
    assert await listed(api, header) == 401


async def test_an_auth_token_is_replaced(api: Any) -> None:
    """Both hold for the grace period; one that was made up is returned."""
    emulator: Emulator = api.emulator
    first, sid = emulator.auth_token, api.account_sid
    emulator.freeze()
    second = emulator.rotate_auth_token(grace=100)

    assert emulator.auth_token == second != first
    assert [await listed(api, basic(sid, each)) for each in (first, second)] == [200, 200]
    emulator.advance(100)
    assert [await listed(api, basic(sid, each)) for each in (first, second)] == [401, 200]
    assert emulator.rotate_auth_token("third") == "third"
    assert [await listed(api, basic(sid, each)) for each in (second, "third")] == [401, 200]
    other = emulator.add_account()
    assert emulator.rotate_auth_token("fourth", account=other) == other.auth_token == "fourth"
    assert emulator.auth_token == "third"


async def test_an_api_key_is_deleted(api: Any) -> None:
    """It opens nothing any more."""
    sid, secret = api.emulator.add_api_key()
    assert await listed(api, basic(sid, secret)) == 200
    api.emulator.delete_api_key(sid)

    assert await listed(api, basic(sid, secret)) == 401


async def test_a_reset_brings_back_the_secrets_of_the_opening() -> None:
    """What was replaced or deleted since holds again, what was made since is gone."""
    emulator = Emulator()
    key, _ = emulator.add_api_key()
    app, secret = emulator.add_oauth_app()
    token_before = emulator.auth_token
    async with emulator:
        emulator.rotate_auth_token()
        emulator.rotate_client_secret(app)
        emulator.delete_api_key(key)
        later, _ = emulator.add_oauth_app()
        await emulator.reset()

        assert emulator.auth_token == emulator.accounts[0].auth_token == token_before
        emulator.delete_api_key(key)
        with pytest.raises(ValueError, match="no OAuth app"):
            emulator.rotate_client_secret(later)
        assert emulator._accounts.apps._apps[app].secrets[-1].value == secret


async def test_what_cannot_be_replaced_is_named(api: Any) -> None:
    """Unknown names, negative times, tokens that no header carries, accounts from elsewhere."""
    emulator: Emulator = api.emulator
    async with Emulator() as other:
        with pytest.raises(ValueError, match="not one of this emulator"):
            emulator.rotate_auth_token(account=other.accounts[0])
        with pytest.raises(ValueError, match="not one of this emulator"):
            emulator.add_oauth_app(other.accounts[0])
    with pytest.raises(ValueError, match="grace must be at least 0"):
        emulator.rotate_auth_token(grace=-1)
    with pytest.raises(ValueError, match="auth_token must be visible ASCII"):
        emulator.rotate_auth_token("two words")
    with pytest.raises(ValueError, match="no OAuth app"):
        emulator.rotate_client_secret("OQ1")
    with pytest.raises(ValueError, match="no API key"):
        emulator.delete_api_key("SK1")
    with pytest.raises(ValueError, match="token_lifetime"):
        emulator.token_lifetime = 0
