"""What goes for a run and not for its rows: pace, ledger, report, rehearsal."""

import os
from pathlib import Path

import attrs
from cyclopts import Group, Parameter

from conference_async.cli.plans import PlanOptions
from conference_async.errors import ConfigurationError


@Parameter(name="*", negative="", show_default=False, group=Group("Run", sort_key=2))
@attrs.frozen(kw_only=True)
class RunOptions:
    """How a plan is dialled."""

    cps: float = 1.0
    """The account's calls per second, more than 0 and at most 30; 1 if not given."""

    max_live: int | None = None
    """How many calls of the account may be live at once, queued and ringing ones included; calls
    wait for others to end. Not counted if not given."""

    ledger: str | None = None
    """The file that remembers who was called, so that the same command goes on where it was
    interrupted; FILE.CONFERENCE.ledger if not given. Or a database, postgresql://host/name, which
    then paces the calls of everybody who dials through it."""

    submit: bool = False
    """Leave the calling to workers (see the command `worker`), on this machine and others; needs
    a database as ledger."""

    priority: int = 0
    """With --submit: campaigns of a higher one go first, and those of one take turns; 0 if not
    given. Submitting again changes it."""

    keep_missing: bool = False
    """With --submit: call also those who were submitted before and are in the file no more. They
    are left out if not given."""

    dry_run: bool = False
    """Show the plan, and call nobody."""

    yes: bool = False
    """Do not ask before phones ring."""

    report: Path | None = None
    """Write a report, .csv or .json, to this file in the end, also after Ctrl-C; only you can read
    it."""

    emulator: bool = False
    """Rehearse: dial an emulator on this machine instead of phones. The ledger of a rehearsal that
    came to its end is kept only where --ledger names it."""

    script: Path | None = None
    """With --emulator: a CSV file that says what numbers do, with the columns `to` (`*` for all
    others), `outcome` (answer, busy, silent, machine or failed), and if need be `ring` and `talk`,
    in seconds. Who is not in it picks up and stays."""

    @property
    def database(self) -> str | None:
        """The database that remembers the campaign, if it is one that does."""
        from conference_async.dialer.ledger.place import split_name
        from conference_async.postgres.dsn import in_database

        return split_name(self.ledger)[0] if self.ledger and in_database(self.ledger) else None

    def check(self, file: Path) -> None:
        """Refuse what cannot go together.

        Args:
            file: What is dialled.

        Raises:
            ConfigurationError: Something cannot.
        """
        if self.submit and (self.database is None or self.emulator):
            raise ConfigurationError("--submit needs --ledger postgresql://… and no --emulator")
        if not self.submit and (self.priority or self.keep_missing):
            raise ConfigurationError("--priority and --keep-missing are for --submit")
        if self.submit and self.report:
            raise ConfigurationError("--report is for a run here; see `campaign report`")
        if self.script and not self.emulator:
            raise ConfigurationError("--script is for a rehearsal: say --emulator, too")
        if self.report and self.report.suffix.lower() not in {".csv", ".json"}:
            raise ConfigurationError(f"--report must end with .csv or .json, not {self.report}")
        if self.report and self.report.resolve() in {
            each.resolve() for each in (file, self.script, Path(self.ledger or "")) if each
        }:
            raise ConfigurationError(f"--report {self.report} would take the place of what is read")
        if self.report and self.report.is_dir():
            raise ConfigurationError(f"--report {self.report} is a folder: name a file in it")
        if self.report and not os.access(self.report.absolute().parent, os.W_OK | os.X_OK):
            raise ConfigurationError(
                f"--report {self.report}: its folder is not there, or cannot be written to"
            )

    def ledger_for(self, file: Path, rows: PlanOptions) -> str:
        """Return where the campaign is remembered."""
        rehearsed = "emulator" if self.emulator else None
        endings = [ending for ending in (rows.conference, rehearsed, "ledger") if ending]
        return self.ledger or str(file.parent / ".".join([file.name, *endings]))
