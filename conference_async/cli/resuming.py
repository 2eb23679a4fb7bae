"""The command that goes on with a campaign, kept beside its ledger."""

import json
import re
import shlex
import sys
from pathlib import Path
from urllib.parse import quote

import attrs

from conference_async.errors import LedgerError
from conference_async.postgres.dsn import in_database
from conference_async.privacy import mask


@attrs.frozen
class CommandLine:
    """A command as it was typed, and where."""

    arguments: tuple[str, ...] = attrs.field(converter=tuple[str, ...])
    """The arguments after the program's name."""

    directory: str
    """The directory that its relative paths start from."""

    @classmethod
    def of_this_process(cls) -> "CommandLine":
        """Return the command that is running."""
        return cls(sys.argv[1:], str(Path.cwd()))

    def keep(self, ledger: Path) -> None:
        """Write it down beside a ledger, for its owner only: it may hold a phone number."""
        from conference_async.dialer.ledger.private_file import write_privately

        write_privately(_beside(ledger), [json.dumps(attrs.asdict(self))])


def kept(ledger: Path) -> CommandLine:
    """Return the command that was kept beside a ledger.

    Raises:
        LedgerError: There is none, or no ledger.
    """
    if not ledger.is_file():
        raise LedgerError(f"there is no ledger {ledger}")
    try:
        known = json.loads(_beside(ledger).read_text(encoding="utf-8"))
        return CommandLine(known["arguments"], known["directory"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise LedgerError(
            f"the command that began {ledger.name} is not kept beside it; run that command again"
        ) from error


def how_to_go_on(ledger: str) -> str:
    """Return what goes on with a campaign, as a line for a shell that holds no secret.

    The command that began it may name people, and a database's URL its password.
    """
    again = None if in_database(ledger) else _shown("resume", str(Path(ledger).absolute()))
    return "To go on, run the same command again." if again is None else f"To go on:\n  {again}"


def how_to_watch(dsn: str, name: str) -> str | None:
    """Return what watches a campaign of workers, for a shell; None if it holds a secret."""
    url = _url_of(dsn, name)
    return None if url is None else f"To watch it:\n  {_line('status', '--watch', url)}"


def how_to_decide(dsn: str, name: str) -> str:
    """Return what becomes of a campaign of which workers have a part, and how to give that up."""
    told = "Workers may have a part of it, and call that. For the rest, run the same command again."
    url = _url_of(dsn, name)
    return told if url is None else f"{told} To give it up:\n  {_line('cancel', url)}"


def _url_of(dsn: str, name: str) -> str | None:
    """Return a campaign's URL; None if it holds what is not to be shown.

    The password is left out: libpq reads it from PGPASSWORD or ~/.pgpass, too.
    """
    scheme, _, place = dsn.partition("://")
    authority = re.split("[/?]", place, maxsplit=1)[0]
    user, _, host = authority.rpartition("@")
    place = f"{host}{place[len(authority) :]}#{quote(name)}"
    if _shown("status", f"{scheme}://{place}") is None:
        return None
    login = f"{user.partition(':')[0]}@" if user else ""
    return f"{scheme}://{login}{place}"


def _line(command: str, *arguments: str) -> str:
    return shlex.join(["conference-async", "campaign", command, *arguments])


def _shown(command: str, *arguments: str) -> str | None:
    """Return a command for a shell; None if it holds what is not to be shown."""
    line = _line(command, *arguments)
    return line if mask(line) == line and line.isprintable() else None


def discard(ledger: Path) -> None:
    """Remove a ledger that is of no more use, and what was kept beside it."""
    for ending in ("", "-wal", "-shm", ".lock", ".command"):
        ledger.with_name(f"{ledger.name}{ending}").unlink(missing_ok=True)


def _beside(ledger: Path) -> Path:
    return ledger.with_name(f"{ledger.name}.command")
