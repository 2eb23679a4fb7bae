"""One pace, and one campaign, across processes and machines.

Names are loaded when they are first used, so that none of the stores' drivers is imported before.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conference_async.cluster.cluster_dialer import ClusterDialer
    from conference_async.cluster.ledgers import ledger_at
    from conference_async.cluster.postgres_ledger import PostgresLedger
    from conference_async.cluster.postgres_store import PostgresLimit
    from conference_async.cluster.redis_store import RedisLimit
    from conference_async.cluster.shared import SharedLimit
    from conference_async.cluster.shared_campaign import SharedCampaign
    from conference_async.cluster.slots import Pace, Reservation, SlotStore
    from conference_async.cluster.sqlite_store import SQLiteLimit

_HOMES = {
    "ClusterDialer": "cluster_dialer",
    "Pace": "slots",
    "PostgresLedger": "postgres_ledger",
    "PostgresLimit": "postgres_store",
    "RedisLimit": "redis_store",
    "Reservation": "slots",
    "SQLiteLimit": "sqlite_store",
    "SharedCampaign": "shared_campaign",
    "SharedLimit": "shared",
    "SlotStore": "slots",
    "ledger_at": "ledgers",
}

__all__ = [
    "ClusterDialer",
    "Pace",
    "PostgresLedger",
    "PostgresLimit",
    "RedisLimit",
    "Reservation",
    "SQLiteLimit",
    "SharedCampaign",
    "SharedLimit",
    "SlotStore",
    "ledger_at",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'conference_async.cluster' has no attribute {name!r}")
    value: object = getattr(import_module(f"conference_async.cluster.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
