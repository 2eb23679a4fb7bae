"""What a Redis will answer however often it is asked."""

import re
from collections.abc import Mapping

from conference_async.errors import ConfigurationError

_BY_WORDS: Mapping[re.Pattern[str], str] = {
    re.compile(words, re.IGNORECASE): what
    for words, what in {
        r"WRONGPASS|NOAUTH|invalid (username-)?password|Authentication required|called without"
        r"|already authenticated|no password is set|arguments for 'auth'": "put the right user and "
        "password into its URL",
        r"NOPERM|no permissions|has no permissions": "let its user run the commands and reach the "
        "keys, as with ACL SETUSER name on ~*conference_async:* +@all -@dangerous +info",
        r"\bMOVED\b|^(Moved|Ask)Error|cluster mode": "it is a cluster: use redis+cluster:// and no "
        "number of a database",
        r"DB index is out of range|invalid DB index": "use the number of a database that it has",
        r"certificate verify failed|hostname mismatch|doesn't match": "name the authority that "
        "signed its certificate: rediss://host:6380/0?ssl_ca_certs=/path/ca.pem",
        r"WRONG_VERSION_NUMBER|wrong version number": "it does not speak TLS there: use redis://",
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
    told = f"{type(error).__name__} {said}"
    found = next(
        (what for words, what in _BY_WORDS.items() if words.search(told)),
        None,
    )
    return (
        None if found is None else ConfigurationError(f"{purpose} cannot be used: {said}; {found}")
    )
