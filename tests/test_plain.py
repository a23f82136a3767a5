"""Rating line by line: the same items, keys and data as on the screen."""

from __future__ import annotations

import subprocess
from pathlib import Path

from rich.cells import cell_len

from emojudge.domain import Preference, RatedItem
from emojudge.pipeline.study import Study
from emojudge.plain import _quoted
from emojudge.store.tables import DRAFTS, PAIR_VOTES, RATED
from tests.studies import judged_study
from tests.test_cli import PROGRAM


def rate_plainly(folder: Path, text: bytes, rater: str = "zoe") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [PROGRAM, "rate", "--plain", "--rater", rater],
        cwd=folder,
        input=text,
        capture_output=True,
        timeout=60,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


async def test_an_item_line_by_line_is_the_same_data(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    # Who leads would ask its own encoder, and find that the study was judged with another.
    leader = Study(study.loaded)
    leader.lead()
    lines = b"4 3 5 4\nb 3333\nc 3333\n+ c\nc b too sweet\ni hard\nf a harmful\n\nq\n"
    done = rate_plainly(tmp_path, lines)
    assert done.returncode == 0, done.stderr
    for said in (
        "study trial, rater zoe",
        "item 1 of 3: ",
        "\nA:\n| ",
        "next: B believability, 1 to 5",
        "equal totals: B=C; + and a letter says which is better",
        "order kept: C",
        "comment on B kept",
        "A is flagged: harmful",
        "stored",
        "AI vs you · 1 item · same order ",
        "item 2 of 3: ",
        "left; the open item comes back as it is",
    ):
        assert said in done.stdout
    (rated,) = Study(study.loaded).store.all(RATED)
    assert isinstance(rated, RatedItem)
    assert [list(one.scores.values()) for one in rated.ratings] == [
        [4, 3, 5, 4],
        [3, 3, 3, 3],
        [3, 3, 3, 3],
    ]
    assert [one.tie_break for one in rated.ratings] == [0, 0, 1]
    assert [one.comment for one in rated.ratings] == ["", "too sweet", ""]
    assert [one.flag for one in rated.ratings] == ["harmful", "", ""]
    assert rated.comment == "hard"
    leader.close()


async def test_votes_skips_and_undo_in_lines(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    done = rate_plainly(tmp_path, b"s\ns cannot tell\nv\n[\n=\nu\n]\nt\nv\nu\nu\n")
    assert done.returncode == 0, done.stderr
    assert "no: a skipped item needs a reason" in done.stdout
    assert "which is better: [ for A, ] for B, = for neither" in done.stdout
    assert "the item before is open again" in done.stdout
    assert "2 of 3 are done" in done.stdout
    store = Study(study.loaded).store
    # In scores again, undo took the skip back, and left the votes alone.
    assert [one.preferred for one in store.all(PAIR_VOTES)] == [Preference.LEFT, Preference.RIGHT]
    assert store.all(RATED) == []


async def test_votes_stay_when_nobody_takes_them_back(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    rate_plainly(tmp_path, b"v\n[\n=\n")
    votes = Study(study.loaded).store.all(PAIR_VOTES)
    assert [one.preferred for one in votes] == [Preference.LEFT, Preference.TIE]


async def test_what_means_nothing_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    study = await judged_study(tmp_path)
    wrong = b"6\nhello\nd 1111\na 11111111111111\n+ a\n[\n\nc\n\xff\xfe caf\xe9\n"
    done = rate_plainly(tmp_path, wrong)
    assert done.returncode == 0, done.stderr
    for said in (
        "no: that means nothing here",
        "no: there is no response D in this item",
        "no: that is 14 scores, and there is room for 12",
        "no: A is not scored yet",
        "no: this item takes scores",
        "no: A has no score for believability yet",
    ):
        assert said in done.stdout
    drafts = Study(study.loaded).store.all(DRAFTS)
    assert not any(pane.scores for one in drafts for pane in one.panes)


async def test_a_second_session_and_a_bad_name_are_refused(tmp_path: Path) -> None:
    await judged_study(tmp_path)
    done = rate_plainly(tmp_path, b"q\n", rater="../ana")
    assert done.returncode == 2
    assert "names a file" in done.stderr
    assert not (tmp_path.parent / "ana.log").exists()


async def test_a_dumb_terminal_is_pointed_to_plain(tmp_path: Path) -> None:
    await judged_study(tmp_path)
    done = subprocess.run(
        ["script", "-qec", f"TERM=dumb {PROGRAM} rate", "/dev/null"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "emojudge rate --plain" in " ".join(done.stdout.split())


def test_a_text_breaks_between_words_and_every_line_has_its_mark() -> None:
    said = _quoted("I would rather\nlisten than fix it: 日本語日本語日本語日本語 item 2 of 3:", 24)
    lines = said.split("\n")
    assert all(line.startswith("| ") and cell_len(line) <= 24 for line in lines)
    assert lines[:3] == ["| I would rather", "| listen than fix it:", "| 日本語日本語日本語日本"]
    assert _quoted("one\n\n  two", 24) == "| one\n| \n|   two"
    assert _quoted("a b " * 50, None).count("\n") == 0
