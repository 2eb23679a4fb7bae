"""The account that calls, and the secret that speaks for it."""

import os
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import NoReturn, Self

import attrs

from conference_async.bounds import check_seconds
from conference_async.errors import ConfigurationError
from conference_async.hosts import basic
from conference_async.plain_values import plain

_TOKEN = re.compile("[!-~]+")


def _plain(given: str) -> str:  # attrs and the type checkers want each with its own types
    return plain(given)


def _plainly(given: str | None) -> str | None:
    return plain(given)


@attrs.frozen(repr=False)
class OAuthApp:
    """An OAuth app of the account, which gets short-lived tokens; see `Credentials.oauth`."""

    client_id: str = attrs.field(converter=_plain)
    client_secret: str = attrs.field(converter=_plain)
    url: str | None
    """Where tokens are asked for, or None for the usual place."""

    def __attrs_post_init__(self) -> None:
        _check_secret("client_id", self.client_id)
        _check_secret("client_secret", self.client_secret)
        if any(_is_sid(self.client_id, kind) for kind in ("AC", "SK")):
            raise ConfigurationError(
                "client_id must be that of an OAuth app (OQ...), not of an account or API key"
            )

    def __reduce__(self) -> NoReturn:
        _refuse_pickling()


@attrs.frozen(repr=False)
class Provider:
    """A function of the application that knows the secret; see `Credentials.from_provider`."""

    fetch: Callable[[], Awaitable["Credentials"]]
    every: float | None
    """Seconds after which to ask again, or None."""

    def __attrs_post_init__(self) -> None:
        if not callable(self.fetch):
            raise ConfigurationError(
                f"fetch must be an async function, not {type(self.fetch).__name__}"
            )
        if self.every is not None:
            check_seconds("every", self.every, zero=False)

    def __reduce__(self) -> NoReturn:
        _refuse_pickling()


@attrs.frozen(repr=False)
class Credentials:
    """An account and the secret that speaks for it.

    Credentials belong to one region of the service: those of ``us1`` fail in ``ie1``. They are
    never shown by ``repr`` and refuse to be pickled. Those that change while a client runs are
    made by `oauth` and `from_provider`.

    Raises:
        ConfigurationError: A SID has the wrong shape, a secret is empty, two secrets are given,
            or OAuth is to be used outside of ``us1``.
    """

    account_sid: str = attrs.field(converter=_plain)
    """The account, ``AC`` and 32 hexadecimal digits. With a main account's secret this may name
    a subaccount."""

    auth_token: str | None = attrs.field(default=None, converter=_plainly)
    """The account's auth token, or None with another secret."""

    key_sid: str | None = attrs.field(default=None, converter=_plainly, kw_only=True)
    """The API key (``SK…``), or None for the account's own token; see `api_key`."""

    key_secret: str | None = attrs.field(default=None, converter=_plainly, kw_only=True)
    """The API key's secret, or None."""

    access_token: str | None = attrs.field(default=None, converter=_plainly, kw_only=True)
    """An OAuth access token that you got yourself, or None; see `bearer`."""

    region: str | None = attrs.field(default=None, converter=_plainly, kw_only=True)
    """The processing region that the credentials belong to (``ie1``), or None for ``us1``."""

    edge: str | None = attrs.field(default=None, converter=_plainly, kw_only=True)
    """The edge location (``dublin``) that completes the region's host name, or None."""

    expires_at: datetime | None = attrs.field(default=None, kw_only=True)
    """When they end, aware of its time zone, or None for no time that is known. A client acts on
    it if a provider returned them: it asks for others before."""

    source: OAuthApp | Provider | None = attrs.field(default=None, kw_only=True)
    """Where the secret comes from while a client runs, or None; `oauth` and `from_provider` make
    it."""

    def __attrs_post_init__(self) -> None:
        if not _is_sid(self.account_sid, "AC"):
            raise ConfigurationError(
                "account_sid must be AC followed by 32 hexadecimal digits"
                + (
                    "; an API key goes through Credentials.api_key(account_sid, key_sid, secret)"
                    if _is_sid(self.account_sid, "SK")
                    else "; the service's console shows it on its first page"
                )
            )
        _check_moment("expires_at", self.expires_at)
        by_key = self.key_sid is not None or self.key_secret is not None
        others = (self.auth_token, self.access_token, self.source)
        if by_key + sum(each is not None for each in others) > 1:
            raise ConfigurationError(
                "give one secret only: auth_token, or key_sid with key_secret, or access_token, "
                "or source"
            )
        self.check_region(self.region)
        if self.source is not None:
            return
        if self.access_token is not None:
            _check_token(self.access_token)
        elif not by_key:
            _check_secret("auth_token", self.auth_token)
        else:
            if not _is_sid(self.key_sid, "SK"):
                raise ConfigurationError("key_sid must be SK followed by 32 hexadecimal digits")
            _check_secret("key_secret", self.key_secret)

    @classmethod
    def api_key(
        cls,
        account_sid: str,
        key_sid: str,
        key_secret: str,
        *,
        region: str | None = None,
        edge: str | None = None,
        expires_at: datetime | None = None,
    ) -> Self:
        """Return credentials that use an API key instead of the account's own token."""
        return cls(
            account_sid,
            key_sid=key_sid,
            key_secret=key_secret,
            region=region,
            edge=edge,
            expires_at=expires_at,
        )

    @classmethod
    def oauth(
        cls,
        account_sid: str,
        client_id: str,
        client_secret: str,
        *,
        oauth_url: str | None = None,
    ) -> Self:
        """Return credentials that sign in with the short-lived tokens of an OAuth app.

        A client asks for the first token when its first request needs one, and for each further
        one in good time before the last one ends, beside the requests. However many requests
        wait, it asks once. Each client has tokens of its own. The service offers this in ``us1``
        only, and an account's app does not serve its subaccounts.
        https://www.twilio.com/docs/iam/oauth-apps/oauth-access-token

        Args:
            account_sid: The account that the app was made in.
            client_id: The app's client ID (``OQ…``).
            client_secret: The app's secret.
            oauth_url: Where to ask for tokens. If not given, hosts of the service have
                ``https://oauth.twilio.com/v2/token``, and any other base URL, such as an
                emulator's, has its own ``/v2/token``.
        """
        return cls(account_sid, source=OAuthApp(client_id, client_secret, oauth_url))

    @classmethod
    def bearer(
        cls, account_sid: str, access_token: str, *, expires_at: datetime | None = None
    ) -> Self:
        """Return credentials that sign in with an OAuth token that you got yourself.

        It is for providers, since a token lasts an hour by default; `oauth` gets tokens by itself.
        """
        return cls(account_sid, access_token=access_token, expires_at=expires_at)

    @classmethod
    def from_provider(
        cls,
        fetch: Callable[[], Awaitable["Credentials"]],
        *,
        account_sid: str | None = None,
        every: float | None = 300.0,
        region: str | None = None,
        edge: str | None = None,
    ) -> Self:
        """Return credentials that a function of yours looks up, so that secrets may change.

        A client awaits `fetch` when its first request needs credentials; then again, beside the
        requests, before `every` seconds or the `expires_at` of what it returned are over; and when
        the service has refused what it returned (401), once per operation. The refused request
        is sent again if other credentials came: the service did not process it. However many
        requests wait, `fetch` runs once at a time, for at most the client's ``timeout``. While it
        fails, what it returned last is used until its `expires_at`.

        If it raises, requests that need it end as `NotSent`; if it raises `ConfigurationError`,
        or returns credentials that are none, of another account or another region, as
        `ConfigurationError`. What it raised is the error's cause.

        Args:
            fetch: An async function without arguments that returns `Credentials`.
            account_sid: The account that it returns credentials for: paths and pace go by it
                before `fetch` is first awaited. ``TWILIO_ACCOUNT_SID`` of the environment if not
                given.
            every: Seconds, more than 0, or None to ask by `expires_at` and after a 401 only.
            region: The processing region that they belong to, or None for ``us1``.
            edge: The edge location that completes the region's host name, or None.
        """
        if account_sid is None:
            account_sid = _need(os.environ, "TWILIO_ACCOUNT_SID", "or give account_sid=")
        return cls(account_sid, source=Provider(fetch, every), region=region, edge=edge)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Return the credentials that the environment holds.

        Reads ``TWILIO_ACCOUNT_SID`` with ``TWILIO_API_KEY`` and ``TWILIO_API_SECRET``, else with
        ``TWILIO_CLIENT_ID`` and ``TWILIO_CLIENT_SECRET`` (OAuth), else with
        ``TWILIO_AUTH_TOKEN``; and ``TWILIO_REGION``, ``TWILIO_EDGE``.

        Args:
            environ: Read this instead of `os.environ`.

        Raises:
            ConfigurationError: A variable is missing; the message names it.
        """
        env = os.environ if environ is None else environ
        account_sid = _need(env, "TWILIO_ACCOUNT_SID", "the account to dial from")
        region, edge = env.get("TWILIO_REGION") or None, env.get("TWILIO_EDGE") or None
        if key_sid := env.get("TWILIO_API_KEY"):
            secret = _need(env, "TWILIO_API_SECRET", "the secret of TWILIO_API_KEY")
            return cls.api_key(account_sid, key_sid, secret, region=region, edge=edge)
        if client_id := env.get("TWILIO_CLIENT_ID"):
            secret = _need(env, "TWILIO_CLIENT_SECRET", "the secret of TWILIO_CLIENT_ID")
            app = OAuthApp(client_id, secret, None)
            return cls(account_sid, source=app, region=region, edge=edge)
        token = _need(env, "TWILIO_AUTH_TOKEN", "or TWILIO_API_KEY with TWILIO_API_SECRET")
        return cls(account_sid, token, region=region, edge=edge)

    @property
    def authorization(self) -> str:
        """The value of the ``Authorization`` header.

        Raises:
            ConfigurationError: Only a client can say it, since the secret has to be fetched.
        """
        if self.source is not None:
            raise ConfigurationError("these credentials are fetched by the client that uses them")
        if self.access_token is not None:
            return f"Bearer {self.access_token}"
        if self.key_sid is not None:
            return basic(self.key_sid, self.key_secret or "")
        return basic(self.account_sid, self.auth_token or "")

    def check_region(self, region: str | None) -> None:
        """Refuse a region in which the service does not take such credentials.

        Args:
            region: The processing region, None for ``us1``.

        Raises:
            ConfigurationError: It is not ``us1``, and they are OAuth.
        """
        by_oauth = self.access_token is not None or isinstance(self.source, OAuthApp)
        if by_oauth and region not in {None, "us1"}:
            raise ConfigurationError(
                f"the service takes OAuth in region us1 only, not in {region!r}; use an API key of "
                "that region, or leave the region out"
            )

    def __repr__(self) -> str:
        sid = self.account_sid
        match self.source:
            case OAuthApp(client_id=client_id):
                return f"Credentials.oauth({sid!r}, {client_id!r}, '***')"
            case Provider(every=every):
                return f"Credentials.from_provider(..., account_sid={sid!r}, every={every!r})"
            case None:
                pass
        if self.access_token is not None:
            return f"Credentials.bearer({sid!r}, '***')"
        if self.key_sid is not None:
            return f"Credentials.api_key({sid!r}, {self.key_sid!r}, '***')"
        return f"Credentials({sid!r}, '***')"

    def __reduce__(self) -> NoReturn:
        _refuse_pickling()


def _refuse_pickling() -> NoReturn:
    """Refuse to write a secret where nobody expects one.

    Raises:
        ConfigurationError: Always.
    """
    raise ConfigurationError(
        "credentials are not pickled; build them where they are used, "
        "for instance with Credentials.from_env()"
    )


def _need(environ: Mapping[str, str], name: str, why: str) -> str:
    if value := environ.get(name):
        return value
    what = "the environment variable " if environ is os.environ else ""
    raise ConfigurationError(f"set {what}{name} ({why})")


def is_token(given: str) -> bool:
    """Return whether text may stand in a header as a token."""
    return _TOKEN.fullmatch(given) is not None


def _is_sid(given: object, kind: str) -> bool:
    return isinstance(given, str) and re.fullmatch(f"{kind}[0-9a-fA-F]{{32}}", given) is not None


def _check_secret(name: str, given: object) -> None:
    if not isinstance(given, str):
        raise ConfigurationError(f"{name} must be text, not {type(given).__name__}")
    if not given or not given.isprintable():
        raise ConfigurationError(f"{name} is empty or holds control characters")


def _check_moment(name: str, given: object) -> None:
    if given is not None and (not isinstance(given, datetime) or given.tzinfo is None):
        raise ConfigurationError(
            f"{name} must be a datetime with a time zone, for example datetime.UTC"
        )


def _check_token(given: object) -> None:
    _check_secret("access_token", given)
    if not is_token(str(given)):
        raise ConfigurationError("access_token holds what no header can carry")
