"""Ratings out of a study and into another: nothing is lost, and nothing wrong gets in."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from emojudge.config_file import load_config
from emojudge.domain import Criterion, RatedItem
from emojudge.errors import LockHeld, TableFileError, UsageError
from emojudge.pipeline.exchange import Format, chosen_format, export_text, import_ratings
from emojudge.pipeline.rating import RaterSession
from emojudge.pipeline.rating_rows import COLUMNS
from emojudge.pipeline.study import Study
from emojudge.store.tables import RATED
from tests.studies import judged_study
from tests.test_cli import assert_one_paragraph, emojudge

COMMENTS = [
    "plain",
    'two\nlines, "quoted"; and\r\na third\rone',
    "=HYPERLINK(1)",
    "'=already",
    "''@twice",
    "'just an apostrophe",
    "+1 -1 @ana",
    "\tindented",
    "\u202eedirrevo\u202c 🫂👩‍👩‍👧",
    "line\u2028separator \x1b[31m \x85",
    "＝wide",
]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose AI phase is done, made once; tests take copies."""
    folder = tmp_path_factory.mktemp("judged") / "study"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
        asyncio.run(judged_study(folder))
    return folder


@pytest.fixture
def study(judged: Path, tmp_path: Path) -> Study:
    """A study that nobody has rated."""
    return copied(judged, tmp_path / "one")


def copied(folder: Path, to: Path) -> Study:
    """A copy of a study, as it was before anybody rated."""
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns("ratings"))
    return Study(load_config(to))


def rate_item(session: RaterSession, comments: list[str]) -> RatedItem:
    item = session.next_item()
    assert item is not None
    for pane in range(len(item.panes)):
        if comments:
            session.comment(comments.pop(0))
        for criterion in range(len(Criterion)):
            session.score((pane + criterion) % 5 + 1)
    return session.submit()


@pytest.fixture
def rated(study: Study) -> Study:
    """Ana rated three items; Ben rated one and skipped one."""
    comments = list(COMMENTS)
    ana = RaterSession(study, "ana")
    for _ in range(3):
        rate_item(ana, comments)
    ana.close()
    ben = RaterSession(study, "ben")
    rate_item(ben, comments)
    ben.next_item()
    ben.skip("-could not\nfollow it; sorry")
    ben.close()
    assert not comments
    study.follow()
    return study


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_round_trip_loses_nothing(
    judged: Path, rated: Study, tmp_path: Path, form: Format
) -> None:
    text = export_text(rated, form)
    file = tmp_path / f"ratings.{form}"
    file.write_text(text, newline="")
    copy = copied(judged, tmp_path / "two")
    assert not copy.store.all(RATED)
    done = import_ratings(copy, file)
    assert (len(done.new), done.already_there, done.notes) == (5, 0, ())
    assert export_text(copy, form) == text
    assert {one.id: one for one in copy.store.all(RATED)} == {
        one.id: one for one in rated.store.all(RATED)
    }
    again = import_ratings(copy, file)
    assert (len(again.new), again.already_there) == (0, 5)
    assert Study(copy.loaded).view().counted_items == rated.view().counted_items


def test_imported_items_count_as_seen(judged: Path, rated: Study, tmp_path: Path) -> None:
    file = tmp_path / "ratings.csv"
    file.write_text(export_text(rated, "csv"), newline="")
    copy = copied(judged, tmp_path / "two")
    import_ratings(copy, file)
    ben = RaterSession(copy, "ben")
    item = ben.next_item()
    assert item is not None
    assert item.number == 3
    settled = {one.prompt_id for one in ben.rated()}
    assert len(settled) == 2
    assert item.prompt_id not in settled or item.repeat_of is not None
    ben.close()


def test_no_cell_of_an_export_starts_a_formula(rated: Study) -> None:
    text = export_text(rated, "csv")
    for row in csv.reader(io.StringIO(text, newline="")):
        assert not any(cell[:1] in tuple("=+-@\t\r\n＝＋－＠") for cell in row if cell), row
    assert text.splitlines()[0] == ",".join(COLUMNS)


ROW = {
    "rater": "cleo",
    "prompt_id": "towels",
    "sample": "0",
    "believability": "4",
    "connection": "3",
    "expressive_strength": "5",
    "appropriateness": "2",
}


def rows_file(folder: Path, *changes: dict[str, str | None], name: str = "rows.jsonl") -> Path:
    """A file of rows; None removes a column from a row."""
    rows = [{**ROW, **change} for change in changes]
    lines = [json.dumps({k: v for k, v in row.items() if v is not None}) for row in rows]
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


PANES: list[dict[str, str | None]] = [{"candidate": "tiny-F16"}, {"candidate": "tiny-Q8_0"}]


def test_rows_from_elsewhere_are_filled_in_from_the_study(study: Study, tmp_path: Path) -> None:
    file = rows_file(tmp_path, *PANES, *({**one, "prompt_id": "letter"} for one in PANES))
    done = import_ratings(study, file)
    assert [(one.id, one.number) for one in done.new] == [
        ("cleo:towels:0", 1),
        ("cleo:letter:0", 2),
    ]
    responses = {one.id: one for one in study.view().responses}
    for rating in done.new[0].ratings:
        assert responses[rating.response_id].prompt_id == "towels"
        assert responses[rating.response_id].candidate == rating.candidate
    assert len(study.view().counted_items) == 2
    assert import_ratings(study, file).already_there == 2
    session = RaterSession(study, "cleo")
    item = session.next_item()
    assert item is not None
    assert (item.number, item.prompt_id) == (3, "quiet-house")
    session.close()


def test_a_spreadsheet_with_semicolons_and_a_mark(study: Study, tmp_path: Path) -> None:
    columns = [*ROW, "candidate", "seconds"]
    lines = [";".join(columns)]
    for pane in PANES:
        lines.append(";".join([*ROW.values(), str(pane["candidate"]), "12,5"]))
    file = tmp_path / "sheet.csv"
    file.write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    assert import_ratings(study, file).new[0].seconds == 12.5


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"connection": "6"}, "line 2, column 'connection': 6 is not a whole number from 1 to 5"),
        ({"connection": "2.5"}, "line 2, column 'connection': 2.5 is not a whole number"),
        ({"connection": "NaN"}, "line 2, column 'connection': 'NaN' is not a finite number"),
        ({"connection": None}, "line 2, column 'connection': empty"),
        ({"candidate": "tiny-Q8"}, "no candidate 'tiny-Q8'. Did you mean 'tiny-Q8_0'?"),
        ({"candidate": None}, "line 2, column 'candidate': empty"),
        ({"candidate": "tiny-F16"}, "lines 1 and 2: two rows rate the same candidate"),
        ({"candidate_sha256": "0" * 64}, "line 2, column 'candidate_sha256': this study has no"),
        ({"prompt_id": "towel"}, "no prompt 'towel'. Did you mean 'towels'?"),
        ({"sample": "1"}, "line 1: the item of cleo has 1 rated candidates"),
        ({"sample": "-1"}, "line 2, column 'sample': -1 is not a whole number"),
        ({"rater": "../ben"}, "line 2, column 'rater': '../ben' cannot name a rater"),
        ({"rater": None}, "line 2, column 'rater' is empty"),
        ({"seconds": "-1"}, "line 2, column 'seconds': -1 is negative"),
        ({"submitted": "noon"}, "line 2, column 'submitted': 'noon' is not a time"),
        ({"skipped": "why"}, "line 2, column 'skipped': the rows of one item share it"),
        ({"adaptive": "perhaps"}, "line 2, column 'adaptive'"),
    ],
)
def test_what_is_refused(
    study: Study, tmp_path: Path, change: dict[str, str | None], text: str
) -> None:
    file = rows_file(tmp_path, PANES[0], {**PANES[1], **change})
    with pytest.raises(TableFileError) as refused:
        import_ratings(study, file)
    assert text in str(refused.value)
    assert str(refused.value).startswith(str(file))
    assert not study.store.all(RATED)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"item": "ben:1"}, "column 'item': 'ben:1' is not an item of cleo"),
        ({"item": "cleo:4", "number": "5"}, "column 'number': 5 does not go with the item cleo:4"),
        ({"skipped": "why"}, "a skipped item has no ratings"),
        ({"skipped": " "}, "a skipped item needs a reason"),
    ],
)
def test_items_that_contradict_themselves(
    study: Study, tmp_path: Path, change: dict[str, str | None], text: str
) -> None:
    rows = [{**one, **change} for one in (PANES if "item" in change else PANES[:1])]
    with pytest.raises(TableFileError) as refused:
        import_ratings(study, rows_file(tmp_path, *rows))
    assert text in str(refused.value)


def test_a_missing_column_and_one_nobody_knows(study: Study, tmp_path: Path) -> None:
    file = rows_file(tmp_path, *({**one, "conection": "1", "connection": None} for one in PANES))
    with pytest.raises(TableFileError, match=r"no column 'connection'\. Did you mean 'conection'"):
        import_ratings(study, file)
    noted = import_ratings(study, rows_file(tmp_path, *({**one, "coment": "x"} for one in PANES)))
    assert "coment" in noted.notes[0]


def test_a_response_of_another_candidate_is_refused(study: Study, tmp_path: Path) -> None:
    other = study.view().responses[0]
    panes = [{**one, "response_id": other.id} for one in PANES]
    with pytest.raises(TableFileError, match="response is of another candidate or prompt"):
        import_ratings(study, rows_file(tmp_path, *panes))


def test_different_items_need_replace(study: Study, tmp_path: Path) -> None:
    import_ratings(study, rows_file(tmp_path, *PANES))
    changed = rows_file(tmp_path, PANES[0], {**PANES[1], "connection": "1"})
    with pytest.raises(TableFileError, match="connection is 3 there, 1 here"):
        import_ratings(study, changed)
    tried = import_ratings(study, changed, replace=True, dry_run=True)
    assert (len(tried.replaced), tried.dry_run) == (1, True)
    assert study.store.all(RATED)[0].ratings[1].scores[Criterion.CONNECTION] == 3
    assert len(import_ratings(study, changed, replace=True).replaced) == 1
    assert [one.ratings[1].scores[Criterion.CONNECTION] for one in study.store.all(RATED)] == [1]


def test_the_same_prompt_is_not_rated_twice_under_two_ids(study: Study, tmp_path: Path) -> None:
    import_ratings(study, rows_file(tmp_path, *PANES))
    other = rows_file(tmp_path, *({**one, "item": "cleo:7"} for one in PANES))
    with pytest.raises(TableFileError, match="cleo has rated this prompt already, as cleo:towels"):
        import_ratings(study, other)
    import_ratings(study, other, replace=True)
    assert [one.id for one in study.store.all(RATED)] == ["cleo:7"]
    session = RaterSession(study, "cleo")
    assert session.item is None
    assert [one.id for one in session.items()] == ["cleo:7"]
    session.close()
    both = rows_file(
        tmp_path, *({**one, "item": item} for item in ("cleo:7", "cleo:8") for one in PANES)
    )
    with pytest.raises(TableFileError, match="lines 1 and 3: cleo rates sample 0"):
        import_ratings(study, both)


def test_an_item_in_hand_is_not_overwritten_by_another(study: Study, tmp_path: Path) -> None:
    session = RaterSession(study, "cleo")
    item = session.next_item()
    assert item is not None
    session.close()
    prompt = next(one for one in ("towels", "letter") if one != item.prompt_id)
    file = rows_file(tmp_path, *({**one, "item": item.id, "prompt_id": prompt} for one in PANES))
    with pytest.raises(TableFileError, match="was shown something else as cleo:1"):
        import_ratings(study, file)


def test_who_is_rating_keeps_the_lock_and_nothing_is_written(study: Study, tmp_path: Path) -> None:
    session = RaterSession(Study(study.loaded), "cleo")
    others = [{**one, "rater": "abel"} for one in PANES]
    file = rows_file(tmp_path, *PANES, *others)
    with pytest.raises(LockHeld, match="cleo"):
        import_ratings(study, file)
    assert not study.store.all(RATED)
    assert len(import_ratings(study, file, dry_run=True).new) == 2
    session.close()
    assert len(import_ratings(study, file).new) == 2


def test_ratings_of_responses_that_are_not_here_are_said(study: Study, tmp_path: Path) -> None:
    panes = [{**one, "response_id": f"other{place}"} for place, one in enumerate(PANES)]
    done = import_ratings(study, rows_file(tmp_path, *panes))
    assert "2 ratings of responses that this study does not hold" in done.notes[0]


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(UsageError, match="Did you mean 'jsonl'"):
        chosen_format("json")


def test_the_commands(judged: Path, rated: Study, tmp_path: Path) -> None:
    out = emojudge("export", "--format", "jsonl", cwd=tmp_path / "one")
    assert out.returncode == 0
    assert out.stdout == export_text(rated, "jsonl")
    assert emojudge("export", "--out", "all.csv", cwd=tmp_path / "one").stdout == ""
    file = tmp_path / "one" / "all.csv"
    copy = copied(judged, tmp_path / "two")
    done = emojudge("import", file, "--json", "--dry-run", cwd=tmp_path / "two")
    assert json.loads(done.stdout)["new"] == 5
    assert not (tmp_path / "two" / "ratings").exists()
    said = emojudge("import", file, cwd=tmp_path / "two").stdout
    assert said.splitlines()[0] == (
        "5 new items and 0 replaced written: 12 ratings by ana, ben, 1 skipped"
    )
    copy.follow()
    assert export_text(copy, "csv").encode() == file.read_bytes()
    broken = rows_file(tmp_path, {**PANES[0], "connection": "9"})
    refused = emojudge("import", broken, cwd=tmp_path / "two")
    assert_one_paragraph(refused, 2, "line 1, column 'connection'")
