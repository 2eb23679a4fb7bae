"""The options of an emulator."""

import ipaddress
import secrets
import ssl

import attrs

from conference_async.emulator.bounds import matching, number, seconds, whole_number
from conference_async.emulator.unconfirmed import Unconfirmed

ACCOUNT_SID = matching("AC[0-9a-fA-F]{32}", "AC and 32 hexadecimal digits")
"""Accept the SID of an account."""
TOKEN = matching(r"[!-~]+", "visible ASCII characters, one or more")
"""Accept what may be a token."""


def or_new_account_sid(sid: str | None) -> str:
    """Return `sid`, or a made-up ``AC…`` in its place."""
    return sid or f"AC{secrets.token_hex(16)}"


def or_new_token(token: str | None) -> str:
    """Return `token`, or a made-up one in its place."""
    return token or secrets.token_hex(16)


@attrs.define(kw_only=True, eq=False)
class Settings(Unconfirmed):
    """The options of an `Emulator`; those of timing may be changed while it runs.

    Raises:
        ValueError: One is out of its bounds, when it is made or changed.
        TypeError: One is of another type.
    """

    cps: float = attrs.field(default=1.0, validator=number(0, above=True))
    """Calls per second of the main account, above 0: one call starts every ``1/cps`` seconds.

    To change it later, set the ``cps`` of `Emulator.accounts`."""
    account_sid: str = attrs.field(
        default=None, converter=or_new_account_sid, validator=ACCOUNT_SID
    )
    """SID of the main account; made up if None."""
    auth_token: str = attrs.field(default=None, converter=or_new_token, validator=TOKEN, repr=False)
    """Auth token of the main account; made up if None."""
    host: str = attrs.field(default="127.0.0.1", validator=attrs.validators.instance_of(str))
    """Address to listen on. Beyond loopback other machines reach it, and its page and control API
    ask for the `control_token`."""
    port: int = attrs.field(default=0, validator=whole_number(0, 65_535))
    """Port to listen on; 0 takes a free one, which the attribute then holds."""
    control_token: str | None = attrs.field(
        default=None, validator=attrs.validators.optional(TOKEN), repr=False
    )
    """What the emulator's page and its control API ask for: as a password, whatever the user
    name, or as a bearer's token. None asks for nothing on loopback; beyond loopback one is made up
    when listening begins."""
    answer_after: float | None = attrs.field(default=0.5, validator=number(0, optional=True))
    """Seconds of ringing before a call is answered; None rings until `Emulator.answer`."""
    ring_after: float = attrs.field(default=0.0, validator=seconds)
    """Seconds between a call's start and its ringing."""
    pace: bool = attrs.field(default=True, validator=attrs.validators.instance_of(bool))
    """False starts every call at once, with a ``queue_time`` of 0."""
    max_concurrent_requests: int | None = attrs.field(
        default=None, validator=whole_number(0, optional=True)
    )
    """Requests of one account that may be open at once; more are answered 429, code 20429."""
    max_live: int | None = attrs.field(default=None, validator=whole_number(0, optional=True))
    """Calls of one account that may be live at once, queued and ringing ones included; more are
    refused with `max_live_code`. The service caps accounts so; None for no cap."""
    max_live_code: int = attrs.field(default=16021, validator=attrs.validators.in_((10004, 16021)))
    """The error code of a create beyond `max_live`: 16021, which the service documents for adding
    a participant, or 10004, which it documents for calls."""
    latency: float = attrs.field(default=0.0, validator=seconds)
    """Seconds added before each answer; the request takes effect at once."""
    visibility_lag: float = attrs.field(default=0.0, validator=seconds)
    """Seconds for which a new participant (and its new conference) is not found or listed. The
    call log has a lag of its own."""
    call_log_lag: float = attrs.field(default=0.0, validator=seconds)
    """Seconds after which a new call is in the list of the account's calls."""
    token_lifetime: float = attrs.field(default=3600.0, validator=number(1))
    """Seconds for which an OAuth token holds that is given from now on, at least 1. At the service
    an app has 60 seconds to 30 days."""
    ssl_context: ssl.SSLContext | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(attrs.validators.instance_of(ssl.SSLContext)),
        repr=False,
    )
    """Serve TLS with this context; ``base_url`` is then ``https``."""
    seed: int | None = attrs.field(default=None, validator=whole_number(0, optional=True))
    """Makes random faults, delivery order and SIDs repeatable."""
    keep_ended: int = attrs.field(default=10_000, validator=whole_number(1))
    """How many ended calls, and how many ended conferences, each account remembers."""

    @property
    def beyond_loopback(self) -> bool:
        """Whether machines other than this one may reach the address listened on."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return False
        try:
            return not ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return True


_LASTING = {
    *("account_sid", "auth_token", "control_token", "cps", "host", "keep_ended", "port", "seed"),
    "ssl_context",
}
CHANGEABLE = tuple(field.name for field in attrs.fields(Settings) if field.name not in _LASTING)
"""Settings that take effect when they are changed while the emulator runs."""
