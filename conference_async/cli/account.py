"""The account a command acts for: credentials from the environment or from a guarded file."""

import os
import shlex
import stat
import tomllib
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from cyclopts import Group, Parameter

from conference_async.errors import ConfigurationError

if TYPE_CHECKING:
    from conference_async.client import ConferenceClient
    from conference_async.conferences import ConferenceHandle
    from conference_async.credentials import Credentials
    from conference_async.pace.contract import Limit
    from conference_async.participant_handle import ParticipantHandle
    from conference_async.sending.intents import JournalStore
    from conference_async.sending.observing import Observer

_PREFIX = "TWILIO_"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_LONGEST_BACK_OFF = 5.0


ACCOUNT = Group("Account", sort_key=8)
"""Where options about the account stand in a command's help."""


@Parameter(name="*", group=ACCOUNT)
@attrs.frozen(kw_only=True)
class Account:
    """The account, and with ``CONFERENCE_ASYNC_BASE_URL`` in the environment the host."""

    credentials: Path | None = None
    """A file that only you may read, with TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN (or
    TWILIO_API_KEY and TWILIO_API_SECRET, or TWILIO_CLIENT_ID and TWILIO_CLIENT_SECRET) as TOML or
    as lines of NAME=VALUE; the environment if not given."""

    def client(
        self,
        *,
        cps: float = 1.0,
        limit: "Limit | None" = None,
        journal: "JournalStore | None" = None,
    ) -> "ConferenceClient":
        """Return a client of the account; it is not connected yet.

        Args:
            cps: The account's calls per second.
            limit: What else paces its creates.
            journal: Where keys are remembered.

        Raises:
            ConfigurationError: Credentials are missing or wrong, or the file is open to others.
        """
        return client_of(self._credentials(), cps=cps, limit=limit, journal=journal)

    def _credentials(self) -> "Credentials":
        from conference_async.credentials import Credentials

        if self.credentials is None:
            return Credentials.from_env()
        settings = _read(self.credentials)
        try:
            return Credentials.from_env(settings)
        except ConfigurationError as error:
            raise ConfigurationError(f"{self.credentials}: {error}") from error

    @asynccontextmanager
    async def paced_by(
        self, dsn: str, *, cps: float, max_live: int | None = None
    ) -> "AsyncGenerator[ConferenceClient, None]":
        """Open a client that shares its pace with all users of a database for the account.

        Args:
            dsn: The database.
            cps: The account's calls per second.
            max_live: How many of its calls may be live at once; None not to count them.
        """
        from conference_async.pace.postgres import PostgresLimit

        async with (
            PostgresLimit(
                dsn, cps, account=self._credentials().account_sid, max_live=max_live
            ) as limit,
            self.client(limit=limit) as client,
        ):
            yield client

    @asynccontextmanager
    async def conference(self, sid_or_name: str) -> "AsyncGenerator[ConferenceHandle, None]":
        """Open a client for as long as one conference is used."""
        async with self.client() as client:
            yield client.conferences(sid_or_name)

    @asynccontextmanager
    async def participant(
        self, conference: str, key: str
    ) -> "AsyncGenerator[ParticipantHandle, None]":
        """Open a client for as long as one participant is used."""
        async with self.conference(conference) as room:
            yield room.participants(key)


FROM_ENVIRONMENT = Account()
"""The account that the environment names."""


def client_of(
    credentials: "Credentials",
    *,
    cps: float = 1.0,
    limit: "Limit | None" = None,
    journal: "JournalStore | None" = None,
    telemetry: "Observer | None" = None,
) -> "ConferenceClient":
    """Return a client as commands use it; it is not connected yet."""
    from conference_async.client import ConferenceClient
    from conference_async.sending.retry import RetryPolicy

    emulated = bool(os.environ.get("CONFERENCE_ASYNC_BASE_URL"))
    return ConferenceClient(
        credentials,
        cps=cps,
        limit=limit,
        journal=journal,
        telemetry=telemetry,
        retry=RetryPolicy(maximum=_LONGEST_BACK_OFF),
        trust_env=not emulated,
    )


def guarded(path: Path) -> str:
    """Return what a file holds that nobody else may read.

    Raises:
        ConfigurationError: Others may, or it is not UTF-8.
    """
    with path.open(encoding="utf-8-sig") as file:
        if os.name == "posix" and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & _OTHERS:
            raise ConfigurationError(
                f"{path} may be read by others than you: chmod 600 {shlex.quote(str(path))}"
            )
        try:
            return file.read()
        except UnicodeDecodeError:
            # Its cause holds all that was read, secrets too.
            raise ConfigurationError(f"{path} is not UTF-8 text; save it as UTF-8") from None


def settings_of(pairs: Mapping[str, object]) -> dict[str, str]:
    """Return settings by the names of the environment variables."""
    return {
        f"{_PREFIX}{name.upper().removeprefix(_PREFIX)}": str(value)
        for name, value in pairs.items()
    }


def _read(path: Path) -> dict[str, str]:
    """Return the settings in a credentials file.

    Raises:
        ConfigurationError: Others may read the file, or it cannot be understood.
    """
    text = guarded(path)
    try:
        return settings_of(tomllib.loads(text) if path.suffix == ".toml" else _assignments(text))
    except ValueError as error:
        kind = "TOML" if path.suffix == ".toml" else "lines of NAME=VALUE"
        raise ConfigurationError(f"{path} does not hold {kind}") from error


def _assignments(text: str) -> dict[str, str]:
    words = [shlex.split(line, comments=True) for line in text.splitlines()]
    pairs = [line[-1].split("=", 1) for line in words if line]
    return dict(pairs)
