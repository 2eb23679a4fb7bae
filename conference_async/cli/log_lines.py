"""Log records as lines on stderr: words for a person, or JSON for what collects logs."""

import logging
import sys
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from conference_async.cli.problems import say
from conference_async.privacy import mask, printable_json

LogFormat: TypeAlias = Literal["text", "json"]
"""How a line is written."""

_TOLD_BY_US = ("procrastinate", "psycopg")
"""Libraries that log a traceback where one line of ours says that the server is gone."""

_OURS = "conference_async"
_STANDARD = logging.makeLogRecord({}).__dict__.keys() | {"message", "asctime", "taskName"}


class _Words(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """Write the message."""
        say(record.getMessage())


class JsonLines(logging.Formatter):
    """Makes one JSON object on one line of a record, with what was given as `extra` beside it.

    Numbers and secrets are masked in all that it holds, a traceback included.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        facts: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        facts |= {name: each for name, each in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        return printable_json({name: _masked(each) for name, each in facts.items()})


def _masked(value: object) -> object:
    return value if isinstance(value, bool | int | float | None) else mask(str(value))


@contextmanager
def log_lines(form: LogFormat) -> Generator[None]:
    """Write our records from the level of information on, and others' warnings, to stderr."""
    handler: logging.Handler = _Words() if form == "text" else logging.StreamHandler(sys.stderr)
    if form == "json":
        handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        with _from(logging.INFO, _OURS):
            yield
    finally:
        root.removeHandler(handler)


def others_quiet() -> AbstractContextManager[None]:
    """Return a context in which libraries log nothing that a line of ours says.

    It has to outlast the event loop, at whose end they give up what they still try.
    """
    return _from(logging.CRITICAL, *_TOLD_BY_US)


@contextmanager
def _from(level: int, *names: str) -> Generator[None]:
    """Let loggers have records from a level on only."""
    levels = {logger: logger.level for logger in map(logging.getLogger, names)}
    for logger in levels:
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, before in levels.items():
            logger.setLevel(before)
