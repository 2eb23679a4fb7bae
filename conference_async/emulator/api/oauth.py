"""OAuth apps: their secrets, the tokens they are given, and the account these speak for.

https://www.twilio.com/docs/iam/oauth-apps/oauth-access-token
"""

import base64
import hmac
import json
import secrets
from collections.abc import Collection
from datetime import timedelta

import attrs

from conference_async.emulator.api.operations import Asked
from conference_async.emulator.clock import Clock
from conference_async.emulator.replies import ApiError, Json, Reply, render
from conference_async.emulator.settings import Settings
from conference_async.emulator.state import Account


@attrs.frozen(eq=False)
class Expiring:
    """Something that holds until an instant of the emulator's time."""

    value: str = attrs.field(repr=False)
    until: float = float("inf")


@attrs.define(eq=False)
class _App:
    """An app of one account."""

    client_id: str
    account: Account
    first_secret: str = attrs.field(repr=False)
    secrets: list[Expiring] = attrs.field(repr=False)
    """The newest is last; older ones have a grace period."""


def fits(given: str, held: list[Expiring], now: float) -> bool:
    """Return whether `given` is one of those that hold now."""
    return any(
        hmac.compare_digest(given.encode(), each.value.encode())
        for each in held
        if now < each.until
    )


class OAuthApps:
    """The apps of an emulator's accounts."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._apps: dict[str, _App] = {}
        self._tokens: dict[str, tuple[_App, float]] = {}

    def add(self, account: Account) -> tuple[str, str]:
        """Make an app of `account` and return its client ID and its secret."""
        client_id, secret = f"OQ{secrets.token_hex(16)}", secrets.token_urlsafe(48)
        self._apps[client_id] = _App(client_id, account, secret, [Expiring(secret)])
        return client_id, secret

    @property
    def client_ids(self) -> Collection[str]:
        """The apps."""
        return self._apps.keys()

    def forget(self, *, but: Collection[str]) -> None:
        """Forget every token and later secret, and the apps that are not among these."""
        self._tokens.clear()
        self._apps = {client_id: app for client_id, app in self._apps.items() if client_id in but}
        for app in self._apps.values():
            app.secrets = [Expiring(app.first_secret)]

    def rotate(self, client_id: str, grace: float) -> str:
        """Return another secret of an app; the one before holds for `grace` seconds.

        Without a grace period the tokens end too, as the service says.

        Raises:
            ValueError: There is no such app.
        """
        app = self._apps.get(client_id)
        if app is None:
            raise ValueError("there is no OAuth app of that client ID")
        secret = secrets.token_urlsafe(48)
        app.secrets = [Expiring(app.secrets[-1].value, self._clock.time() + grace)]
        app.secrets.append(Expiring(secret))
        if not grace:
            self._tokens = {
                token: given for token, given in self._tokens.items() if given[0] is not app
            }
        return secret

    def account_of(self, token: str) -> Account | None:
        """Return the account that a token speaks for, if it holds now."""
        app, until = self._tokens.get(token, (None, 0.0))
        return app.account if app is not None and self._clock.time() < until else None

    def give(self, asked: Asked) -> Reply:
        """Answer a request for a token.

        Raises:
            ApiError: 400 for another grant, 401/20003 for an unknown app or a wrong secret.
        """
        form, now = asked.form, self._clock.time()
        if form.text("grant_type") != "client_credentials":
            raise ApiError(None, "grant_type must be client_credentials")
        app = self._apps.get(form.text("client_id") or "")
        if app is None or not fits(form.text("client_secret") or "", app.secrets, now):
            raise ApiError(20003, "Authenticate", status=401)
        lifetime = self._settings.token_lifetime
        self._tokens = {token: given for token, given in self._tokens.items() if now < given[1]}
        token = self._token(app, lifetime)
        self._tokens[token] = app, now + lifetime
        answer: dict[str, Json] = {
            "access_token": token,
            "id_token": None,
            "token_type": "Bearer",
            "expires_in": int(lifetime),
            "refresh_token": None,
        }
        return render(answer, "Token", xml=False)

    def _token(self, app: _App, lifetime: float) -> str:
        """Return a token of the form that the service's have: the official library reads it."""
        now = self._clock.now()
        claims = {
            "iss": "emulator",
            "sub": app.client_id,
            "account_sid": app.account.sid,
            "iat": int(now.timestamp()),
            "exp": int((now + timedelta(seconds=lifetime)).timestamp()),
            "jti": secrets.token_hex(16),
        }
        parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
        parts.append(secrets.token_bytes(32))  # nobody checks the signature but the service itself
        return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
