"""A model of losing power: what may be on the disk at a moment, from the calls that were made.

Each folder and each file is durable up to its last fsync. Of what came later, a file may hold
nothing, half or all of what was written; of a folder's entries, any number of the last ones may
be missing. A rename between folders is never half done: if its old name is gone, its new one is
there. That is what journaling filesystems promise and no more, so code that passes does not rely
on one of them ordering things better.
"""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_CALL = re.compile(r"^(?:\d+ +)?(?P<call>\w+)\((?P<rest>.*)\) += (?P<result>-?\d+)")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_FD = re.compile(r"^(\d+)")
_NUMBER = re.compile(r"(-?\d+|AT_FDCWD)")
CALLS = (
    "openat", "open", "close", "write", "pwrite64", "ftruncate", "rename", "symlink", "unlink",
    "unlinkat", "mkdir", "rmdir", "fsync", "chmod", "fchmod", "dup", "fcntl",
)  # fmt: skip
OPTIONS = ("-xx", "-s", "4194304")


@dataclass(eq=False)
class Node:
    """A file, folder or link. Of a file, ``synced`` is what is surely on the disk."""

    kind: str
    content: bytes = b""
    synced: bytes = b""
    target: str = ""
    entries: dict[str, Node] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A name set (or taken away: ``node`` None) in a folder; ``pair`` joins a rename's halves."""

    folder: Node
    name: str
    node: Node | None
    pair: int | None = None


@dataclass(frozen=True)
class Written:
    """All that a file holds from now on."""

    node: Node
    content: bytes


@dataclass(frozen=True)
class Synced:
    """An fsync of a file or a folder."""

    node: Node


Event = Entry | Written | Synced


def _unhex(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


class Recording:
    """A folder as it was, and what a traced process did to it, event by event."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.after: tuple[str, int] | None = None
        """What the operation acknowledged, for whoever judges."""
        self.start = self._read(root)
        self.before = {id(one): (one, dict(one.entries)) for one in self._folders(self.start)}
        self.events: list[Event] = []
        self._open: dict[int, tuple[Node, int, bool]] = {}
        self._pairs = 0

    def _read(self, path: Path) -> Node:
        if path.is_symlink():
            return Node("link", target=str(path.readlink()))
        if path.is_dir():
            entries = {one.name: self._read(one) for one in path.iterdir()}
            return Node("folder", entries=entries)
        content = path.read_bytes()
        return Node("file", content, content)

    def _folders(self, node: Node) -> Iterator[Node]:
        if node.kind == "folder":
            yield node
            for one in node.entries.values():
                yield from self._folders(one)

    # Following the calls

    def follow(self, lines: list[str], process: int) -> None:
        """Take in the lines of strace that belong to ``process``."""
        for line in lines:
            number, _, rest = line.partition(" ")
            match = _CALL.match(rest.strip())
            if number != str(process) or match is None or int(match["result"]) < 0:
                continue
            method = getattr(self, f"_do_{match['call']}", None)
            if method is not None:
                method(match["rest"], int(match["result"]))

    def _find(self, path: str) -> tuple[Node, str] | None:
        """The folder of a path and its last name; None outside the root."""
        try:
            parts = Path(path).relative_to(self.root).parts
        except ValueError:
            return None
        node = self.start
        for part in parts[:-1]:
            node = node.entries[part]
            if node.kind == "link":
                return None
        return (node, parts[-1]) if parts else (Node("folder", entries={".": self.start}), ".")

    def _strings(self, rest: str) -> list[str]:
        return [os.fsdecode(_unhex(one[0])) for one in _STRING.findall(rest)]

    def _descriptor(self, rest: str) -> int:
        match = _FD.match(rest)
        assert match is not None, rest
        return int(match[1])

    def _at(self, rest: str, path: str) -> tuple[Node, str] | None:
        if rest.startswith("AT_FDCWD") or path.startswith("/"):
            return self._find(path)
        held = self._open.get(self._descriptor(rest))
        return (held[0], path) if held is not None and held[0].kind == "folder" else None

    def _set(self, folder: Node, name: str, node: Node | None, pair: int | None = None) -> None:
        if node is None:
            folder.entries.pop(name)
        else:
            folder.entries[name] = node
        self.events.append(Entry(folder, name, node, pair))

    def _do_openat(self, rest: str, result: int) -> None:
        path = self._strings(rest)[0]
        place = self._at(rest, path)
        self._open.pop(result, None)
        if place is None:
            return
        folder, name = place
        if name not in folder.entries:
            assert "O_CREAT" in rest, rest
            self._set(folder, name, Node("file"))
        node = folder.entries[name]
        if "O_TRUNC" in rest and node.content:
            self._write(node, b"")
        self._open[result] = (node, 0, "O_APPEND" in rest)

    def _write(self, node: Node, content: bytes) -> None:
        node.content = content
        self.events.append(Written(node, content))

    def _do_write(self, rest: str, result: int) -> None:
        held = self._open.get(self._descriptor(rest))
        if held is None:
            return
        node, at, append = held
        data = _unhex(_STRING.search(rest)[1])[:result]  # type: ignore[index]
        at = len(node.content) if append else at
        self._write(node, node.content[:at].ljust(at, b"\0") + data + node.content[at + result :])
        self._open[self._descriptor(rest)] = (node, at + result, append)

    def _do_ftruncate(self, rest: str, result: int) -> None:
        held = self._open.get(self._descriptor(rest))
        if held is not None:
            size = int(rest.split(",")[1])
            self._write(held[0], held[0].content[:size])

    def _do_close(self, rest: str, result: int) -> None:
        self._open.pop(self._descriptor(rest), None)

    def _do_fcntl(self, rest: str, result: int) -> None:
        if "F_DUPFD" in rest and self._descriptor(rest) in self._open:
            self._open[result] = self._open[self._descriptor(rest)]

    def _do_fsync(self, rest: str, result: int) -> None:
        held = self._open.get(self._descriptor(rest))
        if held is not None:
            self.events.append(Synced(held[0]))

    def _do_rename(self, rest: str, result: int) -> None:
        old, new = self._strings(rest)
        source, target = self._find(old), self._find(new)
        assert source is not None
        assert target is not None
        node = source[0].entries[source[1]]
        self._pairs += 1
        self._set(target[0], target[1], node, self._pairs)
        self._set(source[0], source[1], None, self._pairs)

    def _do_symlink(self, rest: str, result: int) -> None:
        target, path = self._strings(rest)
        place = self._find(path)
        if place is not None:
            self._set(*place, Node("link", target=target))

    def _do_unlink(self, rest: str, result: int) -> None:
        place = self._find(self._strings(rest)[0])
        if place is not None:
            self._set(*place, None)

    def _do_unlinkat(self, rest: str, result: int) -> None:
        place = self._at(rest, self._strings(rest)[0])
        if place is not None:
            self._set(*place, None)

    _do_rmdir = _do_unlink

    def _do_mkdir(self, rest: str, result: int) -> None:
        place = self._find(self._strings(rest)[0])
        if place is not None:
            node = Node("folder")
            self._set(*place, node)
            self.before[id(node)] = (node, {})

    # What may be on the disk

    @property
    def syncs(self) -> list[int]:
        """The places of all fsyncs among the events."""
        return [place for place, one in enumerate(self.events) if isinstance(one, Synced)]

    def lose_power(self, at: int, draw: random.Random, without: int | None = None) -> Lost:
        """A state after ``at`` events; the fsync at place ``without`` counts as never made."""
        return Lost(self, at, draw, without)


class Lost:
    """One state that the disk may be in."""

    def __init__(
        self, recording: Recording, at: int, draw: random.Random, without: int | None
    ) -> None:
        self._start = recording.start
        self._draw = draw
        self._content: dict[int, tuple[bytes, bytes]] = {}
        changes: dict[int, list[Entry]] = {}
        durable: dict[int, int] = {}
        for place, event in enumerate(recording.events[:at]):
            key = id(event.folder if isinstance(event, Entry) else event.node)
            match event:
                case Entry():
                    changes.setdefault(key, []).append(event)
                case Written(node, content):
                    self._content[key] = (self._content.get(key, (node.synced, b""))[0], content)
                case Synced(node) if place != without:
                    if node.kind == "folder":
                        durable[key] = len(changes.get(key, []))
                    elif key in self._content:
                        self._content[key] = (self._content[key][1],) * 2
        kept = {
            key: made[: draw.randint(durable.get(key, 0), len(made))]
            for key, made in changes.items()
        }
        there = {one.pair for made in kept.values() for one in made if one.node is not None}
        self._entries = {key: dict(entries) for key, (_, entries) in recording.before.items()}
        for key, made in kept.items():
            entries = self._entries.setdefault(key, {})
            for one in made:
                if one.node is not None:
                    entries[one.name] = one.node
                elif one.pair is None or one.pair in there:
                    entries.pop(one.name, None)

    def _bytes(self, node: Node) -> bytes:
        if id(node) not in self._content:
            return node.synced
        synced, content = self._content[id(node)]
        if synced == content:
            return content
        if content.startswith(synced):
            more = content[len(synced) :]
            return synced + self._draw.choice((b"", more[: len(more) // 2], more))
        return self._draw.choice((b"", content[: len(content) // 2], content, synced))

    def build(self, folder: Path) -> None:
        """Make this state real, in the place of ``folder``."""
        remove(folder)
        self._build(self._start, folder)

    def _build(self, node: Node, path: Path) -> None:
        if node.kind == "link":
            path.symlink_to(node.target)
        elif node.kind == "file":
            path.write_bytes(self._bytes(node))
        else:
            path.mkdir()
            for name, one in self._entries.get(id(node), {}).items():
                self._build(one, path / name)


def remove(folder: Path) -> None:
    """Remove a folder whatever its modes."""
    for root, _, _ in os.walk(folder):
        os.chmod(root, 0o700)  # noqa: PTH101 - os.walk gives strings
    shutil.rmtree(folder, ignore_errors=False)
