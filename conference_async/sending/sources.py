"""The sources of credentials that change: the application's function, the token endpoint."""

import asyncio
import json
import math
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import cast
from urllib.parse import urlencode, urlsplit

from conference_async.credentials import Credentials, OAuthApp, Provider, is_token
from conference_async.errors import ConfigurationError, NotAuthorized, NotSent
from conference_async.hosts import token_url
from conference_async.sending.authorization import Authorization, Grant, Source
from conference_async.sending.form import OneShotForm
from conference_async.sending.messages import Reply, Request, describe
from conference_async.sending.transport import Transport
from conference_async.wire import error_code

_USUAL_LIFETIME = 3600.0
_OK = 200
_REFUSALS = {400, 401, 403}
_NO_SUCH_PLACE = {404, 405}


def authorization_of(
    credentials: Credentials, transport: Transport, *, region: str | None, timeout: float
) -> Authorization | None:
    """Return what keeps changing credentials up to date; None for those that do not change.

    Args:
        credentials: Who calls.
        transport: What sends for the client; questions go the same way.
        region: The region of the client, or None for that of the credentials.
        timeout: The longest that one question may take, in seconds.
    """
    source: Source
    match credentials.source:
        case Provider() as provider:
            region = region or credentials.region
            source = ProvidedCredentials(provider, credentials.account_sid, region)
        case OAuthApp() as app:
            source = OAuthTokens(app, transport, timeout)
        case None:
            return None
    return Authorization(source, timeout)


class ProvidedCredentials:
    """Credentials that a function of the application returns.

    Args:
        provider: The function, and how often to ask it.
        account_sid: The account that they must be for.
        region: The region that they must be for, or None for ``us1``.
    """

    def __init__(self, provider: Provider, account_sid: str, region: str | None) -> None:
        self._provider = provider
        self._account_sid = account_sid
        self._region = region

    async def ask(self) -> Grant:
        """Return what the function returns, checked.

        Raises:
            NotSent: It raised, or what it returned is over already.
            ConfigurationError: It returned something else, or raised this itself.
        """
        try:
            answer: object = self._provider.fetch()
            if not isinstance(answer, Awaitable):
                raise ConfigurationError(  # noqa: TRY301 -- like what it raises itself
                    f"fetch must be an async function; it returned {type(answer).__name__}"
                )
            given: object = await answer
        except ConfigurationError as error:
            raise ConfigurationError(f"the provider of credentials raised: {error}") from error
        except Exception as error:
            # Of whatever it raised only the kind is shown: the words may hold the secret.
            raise NotSent(f"the provider of credentials raised {type(error).__name__}") from error
        header, expires_at = self._check(given)
        if expires_at is None:
            return Grant(header=header, ask_after=self._every)
        left = (expires_at - datetime.now(UTC)).total_seconds()
        if left <= 0:
            raise NotSent("the provider of credentials returned some that have ended already")
        return Grant(header=header, lifetime=left, ask_after=self._every)

    @property
    def _every(self) -> float:
        return math.inf if self._provider.every is None else self._provider.every

    def _check(self, given: object) -> tuple[str, datetime | None]:
        """Return the header and the end of what the function returned.

        Raises:
            ConfigurationError: It is not what the client can use.
        """
        returned = "the provider of credentials returned"
        if not isinstance(given, Credentials):
            raise ConfigurationError(f"{returned} {type(given).__name__}, not Credentials")
        if given.source is not None:
            raise ConfigurationError(f"{returned} some that are to be fetched themselves")
        if given.account_sid != self._account_sid:
            raise ConfigurationError(
                f"{returned} those of account {given.account_sid}, and this client is of "
                f"{self._account_sid}: paths and pace go by the account, so make a client for each"
            )
        region = self._region or "us1"
        if given.region not in {None, region}:
            raise ConfigurationError(
                f"{returned} those of region {given.region!r}, and this client is of {region!r}; "
                "give from_provider() the region too"
            )
        given.check_region(region)
        return given.authorization, given.expires_at

    def reopen(self) -> None:
        """Do nothing: the function keeps what it needs."""

    async def aclose(self) -> None:
        """Do nothing: the function keeps what it needs."""


class OAuthTokens:
    """The short-lived tokens that the service gives to an OAuth app.

    https://www.twilio.com/docs/iam/oauth-apps/oauth-access-token

    Args:
        app: The app, and where its tokens are asked for.
        transport: What sends there.
        timeout: The seconds that one exchange may take.
    """

    def __init__(self, app: OAuthApp, transport: Transport, timeout: float) -> None:
        url = urlsplit(token_url(app.url, transport.base_url))
        form = {
            "grant_type": "client_credentials",
            "client_id": app.client_id,
            "client_secret": app.client_secret,
        }
        self._request = Request(
            kind="token", method="POST", path=url.path, form=urlencode(form).encode()
        )
        self._transport = transport.beside(f"{url.scheme}://{url.netloc}")
        self._timeout = timeout

    async def ask(self) -> Grant:
        """Return a new token.

        Raises:
            NotSent: None came.
            NotAuthorized: The service does not know the app by this secret.
            ConfigurationError: No tokens are given there.
        """
        form = self._request.form or b""
        until = asyncio.get_running_loop().time() + self._timeout
        reply = await self._transport.send(self._request, OneShotForm(form), until)
        asked = f"{self._transport.base_url} was asked for a token"
        if not isinstance(reply, Reply):
            raise NotSent(f"{asked}, and none came ({describe(reply.error)})") from reply.error
        if reply.status in _REFUSALS:
            raise NotAuthorized(
                f"{asked}, and answered {reply.status}: check client_id and client_secret; a "
                "secret that was replaced without a grace period ends at once",
                status=reply.status,
                code=error_code(reply.body),
                request_id=reply.request_id,
            )
        if reply.status in _NO_SUCH_PLACE:
            raise ConfigurationError(
                f"{asked}, and answered {reply.status}: none are given at {self._request.path}; "
                "say where with oauth_url="
            )
        grant = _read(reply.body) if reply.status == _OK else None
        if grant is None:
            raise NotSent(f"{asked}, and none is in its answer ({reply.status})")
        return grant

    def reopen(self) -> None:
        """Send again."""
        self._transport.closed = False

    async def aclose(self) -> None:
        """Close the connection that tokens are asked for over."""
        await self._transport.aclose()


def _read(body: bytes) -> Grant | None:
    """Return the token in a reply; None, and nothing of what it says, if there is none."""
    try:
        reply: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(reply, dict):
        return None
    said = cast("dict[str, object]", reply)
    token, kind, seconds = said.get("access_token"), said.get("token_type"), said.get("expires_in")
    if not isinstance(token, str) or not is_token(token) or str(kind).lower() != "bearer":
        return None
    # A life that is not said, or cannot be read, is taken for the usual one: if it is shorter,
    # the service refuses the token, and another one is asked for.
    known = isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and seconds > 0
    lifetime = float(seconds) if known and isinstance(seconds, (int, float)) else _USUAL_LIFETIME
    return Grant(header=f"Bearer {token}", lifetime=lifetime)
