"""What has a pace, connections or secrets is neither pickled nor copied."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conference_async import (
    ConferenceClient,
    ConfigurationError,
    CreateLimit,
    Credentials,
    Journal,
    Ledger,
    PostgresEvents,
    PostgresJournal,
    PostgresLedger,
    PostgresLimit,
    RedisEvents,
    RedisLimit,
    SQLiteEvents,
    SQLiteLimit,
)

ACCOUNT = "AC" + "1" * 32
SERVER = "postgresql://user:secret@127.0.0.1:9/calls"
REDIS = "redis://:secret@127.0.0.1:9"


def _client(**options: Any) -> ConferenceClient:
    return ConferenceClient(
        Credentials(ACCOUNT, "secret"), base_url="http://127.0.0.1:9", **options
    )


ROOTED: dict[str, Callable[[Path], object]] = {
    "client": lambda _: _client(),
    "view": lambda _: _client().with_options(timeout=1),
    "participants": lambda _: _client().conferences("standup").participants,
    "handle": lambda _: _client().conferences("standup").participants("alice"),
    "CreateLimit": lambda _: CreateLimit(5),
    "SQLiteLimit": lambda path: SQLiteLimit(path, 5),
    "RedisLimit": lambda _: RedisLimit(REDIS, 5),
    "PostgresLimit": lambda _: PostgresLimit(SERVER, 5),
    "Journal": Journal,
    "PostgresJournal": lambda _: PostgresJournal(SERVER),
    "Ledger": Ledger,
    "PostgresLedger": lambda _: PostgresLedger(SERVER),
    "SQLiteEvents": SQLiteEvents,
    "RedisEvents": lambda _: RedisEvents(REDIS),
    "PostgresEvents": lambda _: PostgresEvents(SERVER),
}


@pytest.mark.parametrize("carry", [pickle.dumps, copy.deepcopy])
@pytest.mark.parametrize("make", ROOTED.values(), ids=ROOTED)
def test_a_second_one_is_made_and_not_carried(
    make: Callable[[Path], object], carry: Callable[[object], object], tmp_path: Path
) -> None:
    """A pickle would hold the token, and each process that loads a limit would pace by itself."""
    with pytest.raises(ConfigurationError, match="neither pickled nor copied"):
        carry(make(tmp_path / "file.db"))
