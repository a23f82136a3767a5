"""Shared blocks on a real filesystem that has them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from emojudge.deploy.copying import copy_file
from tests.conftest import require_tool
from tests.core_stores import check_contract, promote, replacer, write_models

_IMAGE_BYTES = 320 << 20


@pytest.fixture
def xfs(tmp_path: Path) -> Iterator[Path]:
    """A small XFS on a loop device; skips where nobody may mount."""
    tool = require_tool("mkfs.xfs")
    image, folder = tmp_path / "image", tmp_path / "mounted"
    folder.mkdir()
    with image.open("wb") as stream:
        stream.truncate(_IMAGE_BYTES)
    subprocess.run([tool, "-q", "-m", "reflink=1", str(image)], check=True)
    mounting = subprocess.run(
        ["mount", "-o", "loop", str(image), str(folder)], capture_output=True, text=True
    )
    if mounting.returncode != 0:
        pytest.skip(f"cannot mount here: {mounting.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def used(folder: Path) -> int:
    os.sync()
    state = os.statvfs(folder)
    return (state.f_blocks - state.f_bfree) * state.f_frsize


def test_a_copy_shares_its_blocks_and_is_hashed_as_it_stands(xfs: Path) -> None:
    size = 64 << 20
    source = xfs / "source"
    source.write_bytes(os.urandom(1 << 20) * 64)
    before = used(xfs)
    counted: list[int] = []
    with source.open("rb") as stream:
        copy = copy_file(stream.fileno(), xfs / "copy", counted.append)
    assert used(xfs) - before < size / 8
    assert sum(counted) == copy.size == size
    assert (xfs / "copy").read_bytes() == source.read_bytes()
    # The copy is its own file: what happens to the source later does not reach it.
    with source.open("r+b") as stream:
        stream.write(b"changed")
    assert not (xfs / "copy").read_bytes().startswith(b"changed")


def test_a_promotion_from_the_same_filesystem(xfs: Path) -> None:
    models = write_models(xfs)
    core = replacer(xfs)
    core.adopt(models["F16"], "F16")
    promote(core, models["Q8"])
    check_contract(xfs)
    assert core.scrub()[0].wrong == ""
