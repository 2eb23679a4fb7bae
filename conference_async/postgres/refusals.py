"""What a PostgreSQL, or a pooler in front of it, will answer however often it is asked."""

import re
from collections.abc import Mapping

from conference_async.errors import ConfigurationError

_SET_UP = (
    "have somebody who may make tables run conference-async cluster set-up (or print its SQL: "
    "--print-sql)"
)
_GRANT = "have conference-async cluster set-up --grant-to ROLE give the role what it needs"
_WHO = "put the right user and password into the connection string, PGPASSWORD or ~/.pgpass"
_CERTIFICATE = "name the authority that signed its certificate, by sslrootcert=, or mend its host"

_BY_STATE: Mapping[str, str] = {
    "28P01": _WHO,
    "28000": _WHO,
    "3D000": "make the database, or correct its name",
    "42501": _GRANT,
    "42P01": _SET_UP,
    "42703": _SET_UP,
    "42883": _SET_UP,
}
"""What to do, by the state that the server says."""

# While it connects, libpq hands on the server's words, and no state.
_BY_WORDS: Mapping[re.Pattern[str], str] = {
    re.compile(words): what
    for words, what in {
        r"password authentication failed|no password supplied|SASL authentication failed": _WHO,
        r"role \"[^\"]*\" does not exist|no such user|is not permitted to log in": _WHO,
        r"database \"[^\"]*\" does not exist|no such database": _BY_STATE["3D000"],
        r"permission denied for database": "GRANT CONNECT ON DATABASE to the role",
        r"no pg_hba\.conf entry|pg_hba\.conf rejects": "let the user in, by pg_hba.conf",
        r"certificate verify failed|root certificate file|does not match host name": _CERTIFICATE,
        r"SSL was required|does not support SSL": "let the server speak TLS, or use sslmode=prefer",
    }.items()
}


def never(error: BaseException, purpose: str) -> ConfigurationError | None:
    """Return what a caller gets for an error that no waiting mends; None if it may pass.

    Args:
        error: What the driver raised.
        purpose: What the connection is for, as the beginning of a sentence.
    """
    from psycopg import Error

    if not isinstance(error, Error):
        return None
    said = (str(error).strip().splitlines() or [""])[0]
    if error.sqlstate is None and error.pgconn is not None and error.pgconn.needs_password:
        found: str | None = _WHO  # whatever language it says so in
    elif error.sqlstate is None:
        found = next((what for words, what in _BY_WORDS.items() if words.search(str(error))), None)
    else:
        found = _BY_STATE.get(error.sqlstate)
    return (
        None if found is None else ConfigurationError(f"{purpose} cannot be used: {said}; {found}")
    )
