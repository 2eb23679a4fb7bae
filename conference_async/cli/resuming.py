"""The command that goes on with a campaign, kept beside its ledger."""

import json
import shlex
import sys
from pathlib import Path

import attrs

from conference_async.errors import LedgerError


@attrs.frozen
class CommandLine:
    """A command as it was typed, and where."""

    arguments: tuple[str, ...] = attrs.field(converter=tuple[str, ...])
    """What came after the program's name."""

    directory: str
    """What its relative paths are relative to."""

    @classmethod
    def of_this_process(cls) -> "CommandLine":
        """Return the command that is running."""
        return cls(sys.argv[1:], str(Path.cwd()))

    def __str__(self) -> str:
        return shlex.join(["conference-async", *self.arguments])

    def keep(self, ledger: Path) -> None:
        """Write it down beside a ledger, for its owner only: it may hold a phone number."""
        path = _beside(ledger)
        path.touch(mode=0o600)
        path.write_text(json.dumps(attrs.asdict(self)), encoding="utf-8")


def kept(ledger: Path) -> CommandLine:
    """Return the command that was kept beside a ledger.

    Raises:
        LedgerError: There is none.
    """
    try:
        known = json.loads(_beside(ledger).read_text(encoding="utf-8"))
        return CommandLine(known["arguments"], known["directory"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise LedgerError(
            f"the command that began {ledger.name} is not kept beside it; run that command again"
        ) from error


def discard(ledger: Path) -> None:
    """Remove a ledger that is of no more use, and what was kept beside it."""
    for ending in ("", "-wal", "-shm", ".lock", ".command"):
        ledger.with_name(f"{ledger.name}{ending}").unlink(missing_ok=True)


def _beside(ledger: Path) -> Path:
    return ledger.with_name(f"{ledger.name}.command")
