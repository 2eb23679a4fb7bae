"""CSV and JSON Lines files as rows of named contents, read a line at a time.

Everything here blocks on the disk, and is meant to be run off the event loop.
"""

import codecs
import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TextIO, TypeAlias, cast

import attrs

from conference_async.dialer.plan.columns import Headings
from conference_async.dialer.plan.targets import Problem
from conference_async.errors import ConferenceError, ConfigurationError, InvalidParameter

Cells: TypeAlias = list[tuple[str, object]]
"""Parameters and their contents, as `Headings` names them."""

Reading: TypeAlias = Callable[[TextIO, Headings, list[str]], Iterator[tuple[int, Cells] | Problem]]
"""How the text of a file becomes rows."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WORKBOOK = b"PK\x03\x04"
_SEPARATOR_HINT = re.compile(r'"?sep=(.)"?[,;\t]*', re.IGNORECASE)
"""The line that says to a spreadsheet what separates the cells."""

_BLOCK = 1 << 20
_LONGEST_LINE = 1 << 23
_NAMED = 10
_DELIMITERS = ",;\t"


@attrs.frozen(kw_only=True)
class Document:
    """A file of rows.

    Args:
        path: The file.
        read: `csv_rows` or `json_rows`.
        headings: What its headings name.
    """

    path: Path
    read: Reading
    headings: Headings

    def rows(self, notes: list[str]) -> Iterator[tuple[int, Cells] | Problem]:
        """Yield each row as its line and contents, or what is wrong with it.

        Args:
            notes: What a person should know of how the file was read is added here.

        Raises:
            ConfigurationError: The file cannot be opened or decoded.
            InvalidParameter: Its headings do not name what is needed.
        """
        with opened(self.path) as (file, encoding):
            if encoding == "cp1252":
                notes.append(f"{self.path.name} is not UTF-8, and was read as cp1252")
            yield from self.read(file, self.headings, notes)


@contextmanager
def opened(path: Path) -> Generator[tuple[TextIO, str]]:
    """Open a file of text, and return it with its encoding.

    Raises:
        ConfigurationError: It cannot be opened, or what is read of it cannot be decoded.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise ConfigurationError(
                f"{path.name} is no file that can be read twice; save what it holds to a file"
            )
        encoding = _encoding(path)
        with path.open(encoding=encoding, newline="") as file:
            yield file, encoding
    except ConferenceError:
        raise
    except (OSError, ValueError) as error:  # a path that holds a NUL is a ValueError
        raise ConfigurationError(f"cannot read {path.name or path}: {_why(error)}") from error


def lines_of(file: TextIO) -> Iterator[str]:
    """Yield the lines of a file, none of them longer than a file of people's can be.

    Raises:
        ConfigurationError: One is; it may be all of a huge file, which no memory holds.
    """
    while line := file.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise ConfigurationError(
                f"{Path(file.name).name} has a line of {_LONGEST_LINE >> 20} million characters or "
                "more; give a file with a line for each person"
            )
        yield line


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return str(error.strerror)
    return "it is not text" if isinstance(error, UnicodeError) else str(error)


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
        if start == _WORKBOOK:
            raise ConfigurationError(f"{path.name} is a workbook: save it as CSV (UTF-8) first")
        for mark, encoding in _MARKS:
            if start.startswith(mark):
                return encoding
        file.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while block := file.read(_BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
        return "utf-8"


def csv_rows(
    file: TextIO, headings: Headings, notes: list[str]
) -> Iterator[tuple[int, Cells] | Problem]:
    """Yield the rows of a CSV file whose first line names the columns.

    The delimiter is the one that a line ``sep=;`` before it names, else whichever of comma,
    semicolon and tab the first line has most of. Blank lines are passed over, and cells may be
    missing at the end of a row.
    """
    lines = lines_of(file)
    passed, first, delimiter = _beginning(lines)
    lines = chain([first], lines)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    names: list[str | None] | None = None
    while True:
        row = passed + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            yield Problem(row=row, reason=f"broken quotes: {error}")
            continue
        if not any(map(str.strip, cells)):
            continue
        if names is None:
            names = headings.of_table(cells)
            _note_ignored(zip(cells, names, strict=True), notes)
        elif any(cells[len(names) :]):
            yield Problem(row=row, reason=f"has {len(cells)} cells for {len(names)} columns")
        else:
            yield row, [(name, text) for name, text in zip(names, cells, strict=False) if name]
    if names is None:
        raise InvalidParameter("columns", "the file is empty; its first line must name them")


def _beginning(lines: Iterator[str]) -> tuple[int, str, str]:
    """Return how many lines stand before the headings, their line, and what parts its cells."""
    passed, said = 0, None
    for line in lines:
        hint = _SEPARATOR_HINT.fullmatch(line.strip())
        if line.strip() and not hint:
            return passed, line, said or max(_DELIMITERS, key=line.count)
        said = hint[1] if hint else said
        passed += 1
    return passed, "", ","


def _note_ignored(headings: Iterable[tuple[str, str | None]], notes: list[str]) -> None:
    ignored = [heading for heading, name in headings if name is None and heading.strip()]
    if ignored:
        notes.append(f"columns that are no parameters are ignored: {', '.join(ignored)}")


def json_rows(
    file: TextIO, headings: Headings, notes: list[str]
) -> Iterator[tuple[int, Cells] | Problem]:
    """Yield the rows of a JSON Lines file: one object per line, with the parameters as names."""
    ignored: set[str] = set()
    for row, line in enumerate(lines_of(file), start=1):
        if not line.strip():
            continue
        try:
            cells, unknown = _members(
                json.loads(line, object_pairs_hook=_without_repetition), headings
            )
        except InvalidParameter as error:
            yield Problem(row=row, reason=str(error))
        except (json.JSONDecodeError, RecursionError):
            yield Problem(row=row, reason="is no JSON")
        except ValueError:
            yield Problem(row=row, reason="holds a number of too many digits")
        else:
            if len(ignored) < _NAMED:
                ignored.update(unknown)
            yield row, cells
    if ignored:
        notes.append(f"names that are no parameters are ignored: {', '.join(sorted(ignored))}")


def _without_repetition(pairs: list[tuple[str, object]]) -> dict[str, object]:
    _refuse_repeated(name for name, _ in pairs)
    return dict(pairs)


def _refuse_repeated(names: Iterable[str]) -> None:
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise InvalidParameter("line", f"names {repeated[0]!r} twice")


def _members(value: object, headings: Headings) -> tuple[Cells, list[str]]:
    if not isinstance(value, dict):
        raise InvalidParameter("line", "must be a JSON object")
    cells: Cells = []
    unknown: list[str] = []
    for name, content in cast("dict[str, object]", value).items():
        known = "extra" if name == "extra" else headings.parameter_of(name)
        if known is None:
            unknown.append(name)
        elif content is not None:
            cells.append((known, content))
    _refuse_repeated(name for name, _ in cells)
    return cells, unknown
