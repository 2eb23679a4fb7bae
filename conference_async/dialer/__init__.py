"""Bulk dialling that survives a crash: a plan, a durable ledger, a run, a report."""

from importlib import import_module

from conference_async.dialer.ledger.outcome import Campaign, LedgerStore
from conference_async.dialer.plan.plan import FileOptions
from conference_async.dialer.plan.targets import Problem, Target

__all__ = ["Campaign", "FileOptions", "LedgerStore", "Problem", "Target"]

_AT_THE_ROOT = frozenset(
    {
        *("CallingHours", "Dialer", "Ledger", "Outcome", "Plan"),
        *("Preview", "Quorum", "Redial", "Report", "State"),
    }
)


def __getattr__(name: str) -> object:
    # Their public home is `conference_async`; they can still be imported from here.
    if name in _AT_THE_ROOT:
        return getattr(import_module("conference_async"), name)
    raise AttributeError(f"module 'conference_async.dialer' has no attribute {name!r}")
