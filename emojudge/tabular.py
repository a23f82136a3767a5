"""Tables in files: anybody's CSV or JSONL read with line numbers, and written so that none runs.

A cell is text as it stands in the file, or None where it is empty or missing. Line numbers are
those of an editor (from 1), also behind quoted newlines.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TextIO

from emojudge.errors import TableFileError

MAX_BYTES = 256 * 1024 * 1024
STDIN = "-"
Cell = str | int | float | None

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
_JSONL_SUFFIXES = {".jsonl", ".ndjson"}
_CSV_SUFFIXES = {".csv", ".tsv"}
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_SPREADSHEET_MARKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
# What spreadsheets take for the start of a formula, the full-width forms and line feed included.
_TRIGGER = r"[=+\-@\t\r\n＝＋－＠]"
_WOULD_RUN = re.compile(f"'*{_TRIGGER}")
_NEUTRALISED = re.compile(f"''*{_TRIGGER}")
_SHOWN_LENGTH = 60


def shown(value: str) -> str:
    """A value quoted for a message, cut when it is long."""
    return repr(value if len(value) <= _SHOWN_LENGTH else f"{value[:_SHOWN_LENGTH]}…")


def nearest(name: str, known: Iterable[str]) -> str:
    """`` Did you mean 'x'?``, or nothing when no known name is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


@dataclass(frozen=True)
class Row:
    """One row: the line on which it starts, and its cells by column; None is an empty cell."""

    line: int
    cells: Mapping[str, str | None]

    @property
    def blank(self) -> bool:
        """Whether no cell says anything."""
        return all(value is None or not value.strip() for value in self.cells.values())


@dataclass(frozen=True)
class Table:
    """A file's rows. ``delimiter`` is None for JSONL; ``source`` is how messages call the file."""

    source: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    delimiter: str | None = None

    def place(self, row: Row, column: str | None = None) -> str:
        """Where a row or one of its cells stands: ``file, line 3, column 'score'``."""
        where = f"{self.source}, line {row.line}"
        return where if column is None else f"{where}, column {column!r}"

    def require(self, *columns: str) -> None:
        """Raise TableFileError unless all these columns are there."""
        for column in columns:
            if column not in self.columns:
                split = f" (split at each {_DELIMITERS[self.delimiter]})" if self.delimiter else ""
                raise TableFileError(
                    f"{self.source} has no column {column!r}.{nearest(column, self.columns)} Its "
                    f"columns are {', '.join(self.columns)}{split}."
                )

    def text(self, row: Row, column: str) -> str | None:
        """A cell without the space around it; None where nothing is left or there is none."""
        value = row.cells.get(column)
        return None if value is None else value.strip() or None

    def needed(self, row: Row, column: str) -> str:
        """Like :meth:`text`, but an empty cell is an error."""
        value = self.text(row, column)
        if value is None:
            raise TableFileError(f"{self.place(row, column)} is empty. Fill it, or remove the row.")
        return value

    def number(self, row: Row, column: str) -> float | None:
        """A cell as a finite number, None where it is empty.

        Semicolon-separated files may have decimal commas. Raises TableFileError with file, line
        and column for anything that is not a finite number.
        """
        value = self.text(row, column)
        if value is None:
            return None
        number = as_number(value, decimal_comma=self.delimiter == ";")
        if number is None:
            raise TableFileError(
                f"{self.place(row, column)}: {shown(value)} is not a finite number. Write a "
                "number, or leave the cell empty if it is missing."
            )
        return number


def as_number(value: str, *, decimal_comma: bool = False) -> float | None:
    """The finite number that a text is, or None."""
    plain = value.strip()
    if decimal_comma and plain.count(",") == 1 and "." not in plain:
        plain = plain.replace(",", ".")
    if not _NUMBER.fullmatch(plain):
        return None
    number = float(plain)
    return number if math.isfinite(number) else None


# Reading


def _read_limited(stream: BinaryIO, source: str) -> bytes:
    data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise TableFileError(
            f"{source} is larger than {MAX_BYTES // 1024**2} MiB, the most that is read. Split it."
        )
    return data


def _read_bytes(path: Path, source: str) -> bytes:
    if str(path) == STDIN:
        return _read_limited(sys.stdin.buffer, source)
    try:
        with path.open("rb") as stream:
            return _read_limited(stream, source)
    except FileNotFoundError as missing:
        near = nearest(path.name, [one.name for one in path.parent.glob("*") if one.is_file()])
        raise TableFileError(f"There is no file {source}.{near}") from missing
    except IsADirectoryError as folder:
        raise TableFileError(f"{source} is a folder. Name one CSV or JSONL file in it.") from folder
    except OSError as problem:
        raise TableFileError(
            f"Cannot read {source}: {problem.strerror}. Check the path and its permissions."
        ) from problem


def _decode(data: bytes, encoding: str | None, source: str) -> str:
    if data.startswith(_SPREADSHEET_MARKS):
        raise TableFileError(
            f"{source} is a spreadsheet file or an archive, not a text. Save the sheet as CSV "
            "(UTF-8) first."
        )
    chosen = encoding or ("utf-16" if data.startswith(_UTF16_MARKS) else "utf-8")
    try:
        text = data.decode(chosen)
    except LookupError as unknown:
        raise TableFileError(
            f"There is no text encoding {chosen!r}. Common ones are utf-8, utf-16, cp1252, "
            "latin-1, shift_jis."
        ) from unknown
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        wrong = f"byte 0x{data[problem.start]:02x} at offset {problem.start}"
        advice = (
            "If it comes from a Western European spreadsheet, pass --encoding cp1252; otherwise "
            "save it as UTF-8."
            if encoding is None
            else "Pass the encoding that it was written in."
        )
        raise TableFileError(f"{source}, line {line}: {wrong} is not {chosen}. {advice}") from (
            problem
        )
    except UnicodeError as problem:
        raise TableFileError(f"{source} is not {chosen}: {problem}.") from problem
    text = text.removeprefix("\ufeff")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise TableFileError(
            f"{source}, line {line}: a NUL character, so this is not a plain text in {chosen}. If "
            "it is UTF-16, pass --encoding utf-16-le; otherwise save it as CSV or JSONL again."
        )
    if not text.strip():
        raise TableFileError(f"{source} is empty. It needs a header line and rows.")
    return text


def _outside_quotes(header: str) -> Iterator[str]:
    """The characters of the first record that stand outside quotes."""
    quoted = False
    for character in header:
        if character == '"':
            quoted = not quoted
        elif not quoted:
            if character in "\r\n":
                return
            yield character


def _choose_delimiter(text: str, path: Path) -> tuple[str, int]:
    """The delimiter, and how many lines the spreadsheet's own announcement of it takes."""
    announced = re.match(r'"?sep=([,;\t])"?\r?\n', text, re.IGNORECASE)
    if announced:
        return announced.group(1), 1
    outside = list(_outside_quotes(text))
    counts = {delimiter: outside.count(delimiter) for delimiter in _DELIMITERS}
    if path.suffix.lower() == ".tsv" and (counts["\t"] or not any(counts.values())):
        return "\t", 0
    return max(counts, key=lambda delimiter: counts[delimiter]), 0


def _records(text: str, delimiter: str, skip: int, source: str) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not an empty line, with the line on which it starts."""
    stream = io.StringIO(text, newline="")
    for _ in range(skip):
        stream.readline()
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    line = 1
    try:
        while True:
            line = reader.line_num + 1 + skip
            record = next(reader, None)
            if record is None:
                return
            if record:
                yield line, record
    except csv.Error as problem:
        raise TableFileError(
            f"{source}, line {line}: {problem}. A cell with quotes in it is quoted as a whole, and "
            'its quotes doubled: "she said ""yes"""; every quote that opens is closed.'
        ) from problem


@contextmanager
def _long_cells() -> Iterator[None]:
    """Cells of any length; the csv module's own limit is 128 KiB, for the whole process."""
    limit = csv.field_size_limit(MAX_BYTES)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _header(record: list[str], line: int, source: str) -> list[str]:
    columns = [name.strip() for name in record]
    named = [name for name in columns if name]
    twice = next((name for name in named if named.count(name) > 1), None)
    if twice is not None:
        raise TableFileError(
            f"{source}, line {line}: two columns are called {shown(twice)}. Rename one of them."
        )
    return columns


def _parse_csv(text: str, path: Path, source: str) -> Table:
    delimiter, skip = _choose_delimiter(text, path)
    records = _records(text, delimiter, skip, source)
    first = next(records, None)
    if first is None:
        raise TableFileError(f"{source} is empty. It needs a header line and rows.")
    columns = _header(first[1], first[0], source)
    rows = []
    for line, record in records:
        surplus = [cell for cell in record[len(columns) :] if cell.strip()]
        if surplus:
            raise TableFileError(
                f"{source}, line {line}: {len(record)} cells, but the header has {len(columns)} "
                f"columns (split at each {_DELIMITERS[delimiter]}); the first surplus cell is "
                f"{shown(surplus[0])}. Quote cells that hold a {_DELIMITERS[delimiter]}."
            )
        cells = {
            name: (record[place] or None) if place < len(record) else None
            for place, name in enumerate(columns)
            if name
        }
        rows.append(Row(line, cells))
    return Table(source, tuple(name for name in columns if name), tuple(rows), delimiter)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number that can be used")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {shown(twice)} stands in it twice")
    return found


def _json_cell(name: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return "true" if value else "false"
    raise ValueError(f"the value of {name!r} is a list or an object; only texts and numbers fit")


def _json_row(text: str) -> dict[str, str | None]:
    """Raises ValueError saying what is wrong with the line. Numbers keep the file's digits."""
    try:
        data = json.loads(
            text,
            parse_int=str,
            parse_float=str,
            parse_constant=_refuse_constant,
            object_pairs_hook=_unique,
        )
    except json.JSONDecodeError as problem:
        raise ValueError(f"not valid JSON ({problem.msg} at column {problem.colno})") from problem
    except RecursionError as problem:
        raise ValueError("nested too deeply") from problem
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    return {name: _json_cell(name, value) for name, value in data.items()}


def _parse_jsonl(text: str, source: str) -> Table:
    columns: dict[str, None] = {}
    rows = []
    # JSON texts may hold U+2028 and U+0085 unescaped, at which splitlines() would cut them.
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            cells = _json_row(content)
        except ValueError as problem:
            raise TableFileError(
                f"{source}, line {line}: {problem}. Each line is one JSON object; mend or remove "
                "the line."
            ) from problem
        columns.update(dict.fromkeys(cells))
        rows.append(Row(line, cells))
    empty: dict[str, str | None] = dict.fromkeys(columns)
    filled = tuple(Row(row.line, {**empty, **row.cells}) for row in rows)
    return Table(source, tuple(columns), filled)


def read_table(path: Path, encoding: str | None = None, *, neutralised: bool = False) -> Table:
    """Read a CSV, TSV or JSONL file; ``-`` is standard input.

    The suffix decides between CSV and JSONL, else the first character that is no space. CSV may
    be separated by commas, semicolons or tabs; UTF-8 is expected unless a byte order mark or
    ``encoding`` says otherwise. Rows at the end that say nothing are left out. ``neutralised``
    is for files that :func:`write_csv` wrote: it takes back what that put before formulas.

    Raises TableFileError.
    """
    source = "standard input" if str(path) == STDIN else str(path)
    text = _decode(_read_bytes(path, source), encoding, source)
    suffix = path.suffix.lower()
    as_json = suffix in _JSONL_SUFFIXES or (
        suffix not in _CSV_SUFFIXES and text.lstrip()[0] in "{["
    )
    with _long_cells():
        table = _parse_jsonl(text, source) if as_json else _parse_csv(text, path, source)
    rows = list(table.rows)
    while rows and rows[-1].blank:
        rows.pop()
    if neutralised and not as_json:
        rows = [Row(row.line, {name: restored(v) for name, v in row.cells.items()}) for row in rows]
    return Table(table.source, table.columns, tuple(rows), table.delimiter)


# Writing


def neutralise(text: str) -> str:
    """``text`` so that no spreadsheet runs it: an apostrophe before what starts a formula.

    Texts that look as if that had been done get one more, so :func:`restored` loses nothing.
    """
    return f"'{text}" if _WOULD_RUN.match(text) else text


def restored(text: str | None) -> str | None:
    """The text that :func:`neutralise` was given."""
    return text[1:] if text and _NEUTRALISED.match(text) else text


def write_csv(stream: TextIO, columns: Sequence[str], rows: Iterable[Mapping[str, Cell]]) -> None:
    """Write comma-separated rows as RFC 4180 has them (lines end in CR LF); None is empty.

    Texts are neutralised, numbers stay numbers. Raises TableFileError for a NUL character, which
    CSV cannot carry.
    """
    # With CR LF as the line's end, a lone CR or LF in a cell is quoted by every Python version.
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow([neutralise(column) for column in columns])
    for row in rows:
        cells = [row.get(column) for column in columns]
        if any(isinstance(cell, str) and "\0" in cell for cell in cells):
            raise TableFileError(
                f"The row {shown(str(cells[0]))} holds a NUL character, which CSV cannot carry. "
                "Use --format jsonl."
            )
        writer.writerow([neutralise(cell) if isinstance(cell, str) else cell for cell in cells])


def write_jsonl(stream: TextIO, columns: Sequence[str], rows: Iterable[Mapping[str, Cell]]) -> None:
    """Write one JSON object a line, with all columns; None is null."""
    for row in rows:
        line = {column: row.get(column) for column in columns}
        stream.write(json.dumps(line, ensure_ascii=False) + "\n")
