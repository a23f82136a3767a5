"""Vectors of texts, kept by what they were made from, so that nothing is embedded twice.

They follow from the stored responses, so losing them costs time and nothing else: a damaged file
is thrown away. They stay out of the study's logs because every process reads those whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from emojudge.errors import StoreError
from emojudge.paths import make_private_folder, share_with_team

_LOG = logging.getLogger(__name__)
_NAME = "vectors.sqlite"
_AT_ONCE = 500
Vectors = npt.NDArray[np.float32]


def text_key(text: str) -> str:
    """The hash of a text, the same in every process; lone surrogates are hashed as they are."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class VectorCache:
    """Rows of float32 by (model, text). Only the process that leads a study writes."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is the study's; the file is made when something is first kept."""
        self.file = folder / _NAME

    def get(self, model: str, texts: Sequence[str]) -> dict[str, Vectors]:
        """What is known of ``texts`` as ``model`` sees them, by text."""
        if not self.file.exists():
            return {}
        by_key = {text_key(text): text for text in texts}
        keys = list(by_key)
        found: dict[str, Vectors] = {}
        try:
            with self._open() as database:
                for start in range(0, len(keys), _AT_ONCE):
                    part = keys[start : start + _AT_ONCE]
                    marks = ",".join("?" * len(part))
                    rows = database.execute(
                        f"SELECT text, vector FROM vectors WHERE model = ? AND text IN ({marks})",
                        (model, *part),
                    )
                    for key, blob in rows:
                        found[by_key[key]] = np.frombuffer(blob, dtype="<f4")
        except sqlite3.OperationalError as problem:
            _LOG.warning("%s cannot be read (%s): computed again", self.file, problem)
        except (sqlite3.DatabaseError, ValueError) as problem:
            self._throw_away(problem)
            return {}
        return found

    def put(self, model: str, vectors: Mapping[str, Vectors]) -> None:
        """Keep rows by text. Raises StoreError when the disk refuses."""
        rows = [
            (model, text_key(text), np.ascontiguousarray(row, dtype="<f4").tobytes())
            for text, row in vectors.items()
        ]
        try:
            make_private_folder(self.file.parent)
            try:
                self._write(rows)
            except sqlite3.DatabaseError as problem:
                if isinstance(problem, sqlite3.OperationalError):
                    raise
                self._throw_away(problem)
                self._write(rows)
        except (OSError, sqlite3.Error) as problem:
            raise StoreError(
                f"Embeddings cannot be kept in {self.file}: {problem}. Free some space, or make "
                "the study folder writable."
            ) from problem

    def _write(self, rows: Sequence[tuple[str, str, bytes]]) -> None:
        with self._open() as database, database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS vectors (model TEXT, text TEXT, vector BLOB, "
                "PRIMARY KEY (model, text)) WITHOUT ROWID"
            )
            database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
        share_with_team(self.file)

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self.file)
        try:
            yield database
        finally:
            database.close()

    def _throw_away(self, problem: Exception) -> None:
        _LOG.warning("%s is damaged (%s) and made anew", self.file, problem)
        self.file.unlink(missing_ok=True)

    @property
    def bytes(self) -> int:
        """What it takes on disk."""
        return self.file.stat().st_size if self.file.exists() else 0

    def keep_only(self, models: Collection[str], texts: Iterable[str]) -> None:
        """Forget what other models made, and what was made of other texts."""
        if not self.file.exists():
            return
        keys = {text_key(text) for text in texts}
        try:
            with self._open() as database:
                with database:
                    known = database.execute("SELECT model, text FROM vectors").fetchall()
                    database.executemany(
                        "DELETE FROM vectors WHERE model = ? AND text = ?",
                        [row for row in known if row[0] not in models or row[1] not in keys],
                    )
                database.execute("VACUUM")
        except sqlite3.DatabaseError as problem:
            self._throw_away(problem)
