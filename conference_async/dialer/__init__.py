"""Bulk dialling that survives a crash: a plan, a durable ledger, a run, a report."""

from conference_async.dialer.dialer import Dialer
from conference_async.dialer.hours import CallingHours
from conference_async.dialer.ledger import Campaign, LedgerStore, Outcome, State
from conference_async.dialer.plan import FileOptions, Plan
from conference_async.dialer.policy import Quorum, Redial
from conference_async.dialer.preview import Preview
from conference_async.dialer.report import Report
from conference_async.dialer.sqlite_store import Ledger
from conference_async.dialer.targets import Problem, Target

__all__ = [
    "CallingHours",
    "Campaign",
    "Dialer",
    "FileOptions",
    "Ledger",
    "LedgerStore",
    "Outcome",
    "Plan",
    "Preview",
    "Problem",
    "Quorum",
    "Redial",
    "Report",
    "State",
    "Target",
]
