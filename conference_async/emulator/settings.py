"""What an emulator can be told."""

import secrets
import ssl

import attrs


def or_new_account_sid(sid: str | None) -> str:
    """Return `sid`, or a made-up ``AC…`` in its place."""
    return sid or f"AC{secrets.token_hex(16)}"


def or_new_token(token: str | None) -> str:
    """Return `token`, or a made-up one in its place."""
    return token or secrets.token_hex(16)


@attrs.define(kw_only=True, eq=False)
class Settings:
    """The options of an `Emulator`; those of timing may be changed while it runs."""

    cps: float = 1.0
    """Calls per second of the main account: one call starts every ``1/cps`` seconds.

    To change it later, set the ``cps`` of `Emulator.accounts`."""
    account_sid: str = attrs.field(default=None, converter=or_new_account_sid)
    """SID of the main account; made up if None."""
    auth_token: str = attrs.field(default=None, converter=or_new_token, repr=False)
    """Auth token of the main account; made up if None."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 0
    """Port to listen on; 0 takes a free one, and the attribute then tells which."""
    answer_after: float | None = 0.5
    """Seconds of ringing before a call is answered; None rings until `Emulator.answer`."""
    ring_after: float = 0.0
    """Seconds between a call's start and its ringing."""
    pace: bool = True
    """False starts every call at once, with a ``queue_time`` of 0."""
    max_concurrent_requests: int | None = None
    """Requests of one account that may be open at once; more are answered 429, code 20429."""
    latency: float = 0.0
    """Seconds added before each answer; the request takes effect at once."""
    visibility_lag: float = 0.0
    """Seconds for which a new participant (and its new conference) is not found or listed."""
    ssl_context: ssl.SSLContext | None = attrs.field(default=None, repr=False)
    """Serve TLS with this context; ``base_url`` is then ``https``."""
    seed: int | None = None
    """Makes random faults, delivery order and SIDs repeatable."""
    keep_ended: int = 10_000
    """How many ended calls, and how many ended conferences, each account remembers."""
