"""Bring phones into a Twilio conference from asyncio.

Names are loaded when they are first used, so that ``conference_async.webhooks`` can be imported
without an HTTP client.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conference_async.client import ConferenceClient
    from conference_async.cluster.cluster_dialer import ClusterDialer
    from conference_async.cluster.postgres_ledger import PostgresLedger
    from conference_async.cluster.postgres_store import PostgresLimit
    from conference_async.cluster.redis_store import RedisLimit
    from conference_async.cluster.shared import SharedLimit
    from conference_async.cluster.shared_campaign import SharedCampaign
    from conference_async.cluster.slots import SlotStore
    from conference_async.cluster.sqlite_store import SQLiteLimit
    from conference_async.conferences import ConferenceFilters, ConferenceHandle, Conferences
    from conference_async.credentials import Credentials
    from conference_async.dialer import (
        CallingHours,
        Dialer,
        Ledger,
        Plan,
        Preview,
        Quorum,
        Redial,
        Report,
    )
    from conference_async.errors import (
        CallOver,
        CallQueueFull,
        ConferenceError,
        ConferenceFull,
        ConferenceNotActive,
        ConferenceNotFound,
        ConfigurationError,
        ConnectionFailed,
        DeadlineExceeded,
        InvalidParameter,
        LabelInUse,
        LedgerError,
        NotAuthorized,
        NotFound,
        NotSent,
        OutcomeUnknown,
        ParticipantNotFound,
        RequestRefused,
        RequestTimeout,
        ServiceFailed,
        SignatureMismatch,
        TooManyRequests,
        UnexpectedReply,
    )
    from conference_async.fan_out import Failure, FanOut
    from conference_async.limits import CreateLimit, Limit, LimitSnapshot
    from conference_async.line import Priority
    from conference_async.models import (
        Conference,
        ConferenceChange,
        ConferenceStatus,
        NewParticipant,
        Participant,
        ParticipantChange,
        ParticipantStatus,
    )
    from conference_async.notices import ConferenceWarning, IgnoredParameter, PersonalData
    from conference_async.options import AttemptEvent
    from conference_async.participant_handle import ParticipantHandle
    from conference_async.participants import ParticipantFilters, Participants
    from conference_async.retry import Outcome, RetryPolicy
    from conference_async.unpaced import Unpaced
    from conference_async.waiting import Polling, dial_and_wait

__version__ = "0.1.0"

_HOMES = {
    "client": ["ConferenceClient"],
    "cluster.cluster_dialer": ["ClusterDialer"],
    "cluster.postgres_ledger": ["PostgresLedger"],
    "cluster.postgres_store": ["PostgresLimit"],
    "cluster.redis_store": ["RedisLimit"],
    "cluster.shared": ["SharedLimit"],
    "cluster.shared_campaign": ["SharedCampaign"],
    "cluster.slots": ["SlotStore"],
    "cluster.sqlite_store": ["SQLiteLimit"],
    "conferences": ["ConferenceFilters", "ConferenceHandle", "Conferences"],
    "credentials": ["Credentials"],
    "dialer": [
        "CallingHours",
        "Dialer",
        "Ledger",
        "Plan",
        "Preview",
        "Quorum",
        "Redial",
        "Report",
    ],
    "errors": [
        "CallOver",
        "CallQueueFull",
        "ConferenceError",
        "ConferenceFull",
        "ConferenceNotActive",
        "ConferenceNotFound",
        "ConfigurationError",
        "ConnectionFailed",
        "DeadlineExceeded",
        "InvalidParameter",
        "LabelInUse",
        "LedgerError",
        "NotAuthorized",
        "NotFound",
        "NotSent",
        "OutcomeUnknown",
        "ParticipantNotFound",
        "RequestRefused",
        "RequestTimeout",
        "ServiceFailed",
        "SignatureMismatch",
        "TooManyRequests",
        "UnexpectedReply",
    ],
    "fan_out": ["Failure", "FanOut"],
    "limits": ["CreateLimit", "Limit", "LimitSnapshot"],
    "line": ["Priority"],
    "models": [
        "Conference",
        "ConferenceChange",
        "ConferenceStatus",
        "NewParticipant",
        "Participant",
        "ParticipantChange",
        "ParticipantStatus",
    ],
    "notices": ["ConferenceWarning", "IgnoredParameter", "PersonalData"],
    "options": ["AttemptEvent"],
    "participant_handle": ["ParticipantHandle"],
    "participants": ["ParticipantFilters", "Participants"],
    "retry": ["Outcome", "RetryPolicy"],
    "unpaced": ["Unpaced"],
    "waiting": ["Polling", "dial_and_wait"],
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AttemptEvent",
    "CallOver",
    "CallQueueFull",
    "CallingHours",
    "ClusterDialer",
    "Conference",
    "ConferenceChange",
    "ConferenceClient",
    "ConferenceError",
    "ConferenceFilters",
    "ConferenceFull",
    "ConferenceHandle",
    "ConferenceNotActive",
    "ConferenceNotFound",
    "ConferenceStatus",
    "ConferenceWarning",
    "Conferences",
    "ConfigurationError",
    "ConnectionFailed",
    "CreateLimit",
    "Credentials",
    "DeadlineExceeded",
    "Dialer",
    "Failure",
    "FanOut",
    "IgnoredParameter",
    "InvalidParameter",
    "LabelInUse",
    "Ledger",
    "LedgerError",
    "Limit",
    "LimitSnapshot",
    "NewParticipant",
    "NotAuthorized",
    "NotFound",
    "NotSent",
    "Outcome",
    "OutcomeUnknown",
    "Participant",
    "ParticipantChange",
    "ParticipantFilters",
    "ParticipantHandle",
    "ParticipantNotFound",
    "ParticipantStatus",
    "Participants",
    "PersonalData",
    "Plan",
    "Polling",
    "PostgresLedger",
    "PostgresLimit",
    "Preview",
    "Priority",
    "Quorum",
    "Redial",
    "RedisLimit",
    "Report",
    "RequestRefused",
    "RequestTimeout",
    "RetryPolicy",
    "SQLiteLimit",
    "ServiceFailed",
    "SharedCampaign",
    "SharedLimit",
    "SignatureMismatch",
    "SlotStore",
    "TooManyRequests",
    "UnexpectedReply",
    "Unpaced",
    "dial_and_wait",
]


# A library writes nothing to a terminal that did not ask for it.
logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'conference_async' has no attribute {name!r}")
    value: object = getattr(import_module(f"conference_async.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
