"""Whom a worker dials for: one account, or the many of a file."""

import tomllib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs
from cyclopts import Parameter, validators

from conference_async.cli.account import ACCOUNT, Account, client_of, guarded, settings_of
from conference_async.errors import ConfigurationError

if TYPE_CHECKING:
    from conference_async.client import ConferenceClient
    from conference_async.credentials import Credentials
    from conference_async.dialer.workers.accounts import Accounts
    from conference_async.pace.contract import Limit
    from conference_async.sending.observing import Observer

_CREDENTIALS = frozenset(
    {
        *("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_API_KEY", "TWILIO_API_SECRET"),
        *("TWILIO_CLIENT_ID", "TWILIO_CLIENT_SECRET", "TWILIO_REGION", "TWILIO_EDGE"),
    }
)
_PACE = frozenset({"cps", "max_live"})


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Served:
    """Whom a worker dials for, and how quickly."""

    cps: Annotated[float, Parameter(validator=validators.Number(gt=0, lte=30))] = 1.0
    """The account's calls per second, the same for all workers."""

    max_live: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None
    """How many calls of the account may be live at once, in all workers together; not counted if
    not given."""

    account_from: Annotated[Path | None, Parameter(group=ACCOUNT)] = None
    """A TOML file that only you may read, of many accounts to dial for: a table [[account]] for
    each, with what a file for --credentials has, and its cps and max_live if they are its own."""

    @asynccontextmanager
    async def clients(
        self, account: Account, dsn: str, telemetry: "Observer | None"
    ) -> "AsyncGenerator[tuple[ConferenceClient | Accounts, list[float]], None]":
        """Give what calls, paced by a database, and the calls per second of each account.

        Raises:
            ConfigurationError: There are two kinds of accounts, or others may read the file, or it
                does not say what it should; no word of what it holds is repeated.
        """
        if self.account_from is None:
            async with account.paced_by(dsn, cps=self.cps, max_live=self.max_live) as client:
                await client.conferences.list(limit=1)  # wrong credentials and dead hosts end it
                yield client.with_options(telemetry=telemetry), [self.cps]
            return
        if account.credentials is not None:
            raise ConfigurationError("give either --credentials or --account-from")
        usual = {"cps": self.cps, "max_live": self.max_live}
        known = [
            _read(f"account {number} in {self.account_from}", table, dsn, usual)
            for number, table in enumerate(_tables(self.account_from), 1)
        ]

        async def clients() -> "AsyncIterator[ConferenceClient]":
            for credentials, limit in known:
                yield client_of(credentials, limit=limit, telemetry=telemetry)

        yield clients, [limit.snapshot().cps for _, limit in known]


SERVED = Served()
"""The account that is named elsewhere, once a second."""


def _tables(path: Path) -> list[Any]:
    wrong = f"{path} does not hold accounts as TOML, each below a line [[account]]"
    text = guarded(path)
    try:
        found = tomllib.loads(text)
    except ValueError:
        raise ConfigurationError(wrong) from None  # the cause may hold a secret
    tables: Any = found.pop("account", None)
    if found or not isinstance(tables, list):
        raise ConfigurationError(wrong)
    return [*tables]


def _read(
    whose: str, table: Mapping[str, Any], dsn: str, usual: Mapping[str, Any]
) -> "tuple[Credentials, Limit]":
    from conference_async.credentials import Credentials
    from conference_async.pace.postgres import PostgresLimit

    if not isinstance(table, dict):
        raise ConfigurationError(f"{whose} is no table of settings")
    pace = {name: table.get(name, usual[name]) for name in sorted(_PACE)}
    settings = settings_of({name: table[name] for name in table if name not in _PACE})
    if unknown := sorted(settings.keys() - _CREDENTIALS):
        raise ConfigurationError(f"{whose}: {unknown[0]} is no setting of an account")
    try:
        credentials = Credentials.from_env(settings)
        return credentials, PostgresLimit(dsn, account=credentials.account_sid, **pace)
    except ConfigurationError as error:
        raise ConfigurationError(f"{whose}: {error}") from error
