"""CSV and JSON Lines files as rows of named contents, read a line at a time.

Everything here blocks on the disk, and is meant to be run off the event loop.
"""

import codecs
import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TextIO, TypeAlias, cast

import attrs

from conference_async.dialer.columns import parameter_of
from conference_async.dialer.targets import Problem
from conference_async.errors import ConfigurationError, InvalidParameter

Cells: TypeAlias = list[tuple[str, object]]
"""Parameters and their contents, as `parameter_of` names them."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BLOCK = 1 << 20
_NAMED = 10
_DELIMITERS = ",;\t"


@attrs.frozen(kw_only=True)
class Document:
    """A file of rows.

    Args:
        path: The file.
        read: `csv_rows` or `json_rows`.
    """

    path: Path
    read: "Callable[[TextIO, list[str]], Iterator[tuple[int, Cells] | Problem]]"

    def rows(self, notes: list[str]) -> Iterator[tuple[int, Cells] | Problem]:
        """Yield each row as its line and contents, or what is wrong with it.

        Args:
            notes: What a person should know of how the file was read is added here.

        Raises:
            ConfigurationError: The file cannot be opened or decoded.
            InvalidParameter: Its headings do not name what is needed.
        """
        try:
            encoding = _encoding(self.path)
            if encoding == "cp1252":
                notes.append(f"{self.path.name} is not UTF-8, and was read as cp1252")
            with self.path.open(encoding=encoding, newline="") as file:
                yield from self.read(file, notes)
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ConfigurationError(f"cannot read {self.path.name}: {why}") from error


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
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


def csv_rows(file: TextIO, notes: list[str]) -> Iterator[tuple[int, Cells] | Problem]:
    """Yield the rows of a CSV file whose first line names the columns.

    The delimiter is whichever of comma, semicolon and tab the first line has most of. Blank lines
    are passed over, and cells may be missing at the end of a row.
    """
    heading = file.readline()
    while heading and not heading.strip():
        heading = file.readline()
    file.seek(0)
    delimiter = max(_DELIMITERS, key=heading.count)
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    names: list[str | None] | None = None
    while True:
        row = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            yield Problem(row=row, reason=f"broken quotes: {error}")
            continue
        if not any(cells):
            continue
        if names is None:
            names = _named(cells, notes)
        elif len(cells) > len(names):
            yield Problem(row=row, reason=f"has {len(cells)} cells for {len(names)} columns")
        else:
            yield row, [(name, text) for name, text in zip(names, cells, strict=False) if name]
    if names is None:
        raise InvalidParameter("columns", "the file is empty; its first line must name them")


def _named(headings: Iterable[str], notes: list[str]) -> list[str | None]:
    names = [parameter_of(heading) for heading in headings]
    repeated = [name for name, times in Counter(names).items() if name and times > 1]
    if repeated:
        raise InvalidParameter("columns", f"two columns are {repeated[0]!r}")
    if "to" not in names:
        raise InvalidParameter("columns", "the first line must name them, one of them 'to'")
    ignored = [
        heading for heading, name in zip(headings, names, strict=True) if name is None and heading
    ]
    if ignored:
        notes.append(f"columns that are no parameters are ignored: {', '.join(ignored)}")
    return names


def json_rows(file: TextIO, notes: list[str]) -> Iterator[tuple[int, Cells] | Problem]:
    """Yield the rows of a JSON Lines file: one object per line, with the parameters as names."""
    ignored: set[str] = set()
    for row, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            cells, unknown = _members(json.loads(line))
        except (json.JSONDecodeError, RecursionError):
            yield Problem(row=row, reason="is no JSON")
        except InvalidParameter as error:
            yield Problem(row=row, reason=str(error))
        else:
            if len(ignored) < _NAMED:
                ignored.update(unknown)
            yield row, cells
    if ignored:
        notes.append(f"names that are no parameters are ignored: {', '.join(sorted(ignored))}")


def _members(value: object) -> tuple[Cells, list[str]]:
    if not isinstance(value, dict):
        raise InvalidParameter("line", "must be a JSON object")
    cells: Cells = []
    unknown: list[str] = []
    for name, content in cast("dict[str, object]", value).items():
        known = "extra" if name == "extra" else parameter_of(name)
        if known is None:
            unknown.append(name)
        elif content is not None:
            cells.append((known, content))
    return cells, unknown
