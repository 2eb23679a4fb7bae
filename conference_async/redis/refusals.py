"""What a Redis will answer however often it is asked."""

import re
import ssl
from collections.abc import Mapping

from conference_async.errors import ConfigurationError

_WHO = "put the right user and password into its URL"
_RIGHTS = (
    "let its user run the commands and reach the keys, as with ACL SETUSER name on "
    "~*conference_async:* +@all -@dangerous +info"
)
_CLUSTER = "it is a cluster: use redis+cluster:// and no number of a database"
_CERTIFICATE = (
    "name the authority that signed its certificate: rediss://host:6380/0?ssl_ca_certs=/path/ca.pem"
)
# For what the driver has no class of its own; the server speaks one language only.
_BY_WORDS: Mapping[re.Pattern[str], str] = {
    re.compile(words, re.IGNORECASE): what
    for words, what in {
        r"WRONGPASS|NOAUTH|invalid (username-)?password|Authentication required|called without"
        r"|already authenticated|no password is set"
        r"|arguments for 'auth'": _WHO,
        r"NOPERM|no permissions": _RIGHTS,
        r"\bMOVED\b|cluster mode": _CLUSTER,
        r"DB index is out of range|invalid DB index": "use the number of a database that it has",
        r"WRONG_VERSION_NUMBER": "it does not speak TLS there: use redis://",
        r"unknown command": "use a Redis of version 6.2 or later",
    }.items()
}


def never(error: BaseException, purpose: str) -> ConfigurationError | None:
    """Return what a caller gets for an error that no waiting mends; None if it may pass.

    Args:
        error: What the driver raised.
        purpose: What the connection is for, as the beginning of a sentence.
    """
    from redis.exceptions import RedisError

    if not isinstance(error, RedisError):
        return None
    said = " ".join(str(error).split())
    found = _by_class(error) or next(
        (what for words, what in _BY_WORDS.items() if words.search(said)), None
    )
    return (
        None if found is None else ConfigurationError(f"{purpose} cannot be used: {said}; {found}")
    )


def _by_class(error: BaseException | None) -> str | None:
    """Return what to do by what was raised, or by what that was raised from."""
    from redis import exceptions as of_redis

    classes: Mapping[type[BaseException], str] = {
        of_redis.AuthenticationError: _WHO,
        of_redis.AuthorizationError: _WHO,
        of_redis.NoPermissionError: _RIGHTS,
        of_redis.AskError: _CLUSTER,
        ssl.SSLCertVerificationError: _CERTIFICATE,
    }
    while error is not None:
        for kind, what in classes.items():
            if isinstance(error, kind):
                return what
        error = error.__cause__ or error.__context__
    return None
