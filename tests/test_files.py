"""``emojudge agree`` and ``emojudge rank`` on files as people have them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emojudge.errors import UsageError
from emojudge.ranking.agree_file import (
    FIGURES,
    LongForm,
    agree_file,
    chosen_form,
    chosen_level,
    named_columns,
)
from emojudge.ranking.rank_file import rank_file
from tests.test_cli import PROGRAM, assert_one_paragraph, emojudge, imported_by

# The three-coder example in the README of fast-krippendorff: one row an item.
THREE_CODERS = """\
unit,one,two,three
1,,1,
2,,,
3,,2,2
4,,1,1
5,,3,3
6,3,3,4
7,4,4,4
8,1,3,
9,2,,2
10,1,,1
11,1,,1
12,3,,3
13,3,,3
14,,,
15,3,,4
"""
KNOWN = {"nominal": 0.691358, "ordinal": 0.806721, "interval": 0.810845}
# The table of statsmodels' documentation of cohens_kappa, one row an item.
TABLE = [[0, 4, 1], [0, 8, 0], [0, 1, 5]]
PAIRS = [(a, b) for a in range(3) for b in range(3) for _ in range(TABLE[a][b])]
WIKIPEDIA = "left,right,winner,weight\n" + "".join(
    f"{a},{b},left,{count}\n"
    for a, b, count in [
        *(("A", "B", 2), ("A", "D", 1), ("B", "A", 3), ("B", "C", 5)),
        *(("C", "B", 3), ("C", "D", 1), ("D", "A", 4), ("D", "C", 3)),
    ]
)


def file_of(folder: Path, content: str, name: str = "file.csv") -> Path:
    file = folder / name
    file.write_text(content)
    return file


def columns_file(folder: Path, *rows: tuple[Any, ...], columns: str = "a,b") -> Path:
    lines = [",".join("" if cell is None else str(cell) for cell in row) for row in rows]
    return file_of(folder, "\n".join([columns, *lines]) + "\n")


# agree


@pytest.mark.parametrize("level", list(KNOWN))
def test_three_coders(tmp_path: Path, level: str) -> None:
    file = file_of(tmp_path, THREE_CODERS)
    done = emojudge("agree", file, "--columns", "one,two,three", "--level", level, "--json")
    found = json.loads(done.stdout)
    assert round(found["krippendorff_alpha"], 6) == KNOWN[level]
    assert (found["items"], found["raters"], found["level"]) == (15, 3, level)
    assert set(FIGURES) == set(found["ci"])
    assert list(found)[:2] == ["items", "raters"]
    low, high = found["ci"]["krippendorff_alpha"]
    assert low < found["krippendorff_alpha"] < high
    for two_rater in ("weighted_kappa", "pearson", "spearman", "kendall"):
        assert found[two_rater] is None
        assert found["ci"][two_rater] is None
    assert any("two raters" in note for note in found["notes"])


def long_rows(content: str) -> list[dict[str, Any]]:
    header, *rows = [line.split(",") for line in content.splitlines()]
    return [
        {"unit": row[0], "coder": coder, "score": int(cell)}
        for row in rows
        for coder, cell in zip(header[1:], row[1:], strict=True)
        if cell
    ]


def test_the_long_form_gives_the_same(tmp_path: Path) -> None:
    wide = agree_file(file_of(tmp_path, THREE_CODERS), ["one", "two", "three"])
    lines = "\n".join(json.dumps(row) for row in long_rows(THREE_CODERS))
    long = agree_file(file_of(tmp_path, lines, "x.jsonl"), LongForm("unit", "coder", "score"))
    assert long.figures == wide.figures
    assert long.raters == 3
    # Items without any rating have no row there.
    assert (wide.items, long.items) == (15, 13)


def test_two_raters_have_every_figure(tmp_path: Path) -> None:
    found = agree_file(columns_file(tmp_path, *PAIRS), ["a", "b"])
    assert all(value is not None for value in found.figures.values())
    assert found.figures["pairwise_agreement"] == 13 / 19
    for name, interval in found.intervals.items():
        value = found.figures[name]
        assert interval is not None
        assert value is not None
        assert -1 <= interval[0] < value < interval[1] <= 1
    nominal = agree_file(columns_file(tmp_path, *PAIRS), ["a", "b"], "nominal")
    assert nominal.figures["weighted_kappa"] == pytest.approx(0.4842, abs=5e-5)
    assert nominal.figures["pearson"] is None


def test_labels_are_categories_for_nominal_and_an_error_for_the_rest(tmp_path: Path) -> None:
    words = [tuple(["no", "maybe", "yes"][cell] for cell in pair) for pair in PAIRS]
    file = columns_file(tmp_path, *words)
    found = agree_file(file, ["a", "b"], "nominal")
    plain = agree_file(columns_file(tmp_path, *PAIRS), ["a", "b"], "nominal")
    assert found.figures == pytest.approx(plain.figures)
    file = columns_file(tmp_path, *words)
    with pytest.raises(UsageError) as refused:
        agree_file(file, ["a", "b"])
    assert "line 2, column 'a': 'no' is not a finite number" in str(refused.value)
    assert "--level nominal" in str(refused.value)


def test_labels_that_are_all_numbers_are_compared_as_numbers(tmp_path: Path) -> None:
    file = columns_file(tmp_path, ("1", "1.0"), ("2", "02"), ("3", "1"))
    assert agree_file(file, ["a", "b"], "nominal").figures["pairwise_agreement"] == 2 / 3


def test_kappa_does_not_apply_to_continuous_values(tmp_path: Path) -> None:
    file = columns_file(tmp_path, *((n / 7, n / 7 + n % 3) for n in range(30)))
    for level in ("ordinal", "interval"):
        found = agree_file(file, ["a", "b"], chosen_level(level))
        assert found.figures["weighted_kappa"] is None
        assert found.figures["gwet_ac2"] is None
        assert found.figures["pearson"] is not None
        assert any("continuous" in note for note in found.notes)


@pytest.mark.parametrize(
    ("rows", "none", "note"),
    [
        ([(2, 2)] * 5, {"krippendorff_alpha", "gwet_ac2", "weighted_kappa"}, "All ratings are"),
        ([(2, n) for n in (1, 2, 3, 2)], {"weighted_kappa", "pearson"}, "a gave the same value"),
        ([(1, None), (None, 2)], set(FIGURES), "No item has two ratings"),
        ([(1, None)], set(FIGURES), "No item has two ratings"),
        (
            [(1, 2)],
            set(FIGURES) - {"krippendorff_alpha", "gwet_ac2", "pairwise_agreement"},
            "1 item",
        ),
        ([(1, 2), (2, 2), (3, None)], set(), "1 of 3 items have fewer than two ratings"),
    ],
)
def test_what_cannot_be_told_is_null_with_a_reason(
    tmp_path: Path, rows: list[tuple[Any, ...]], none: set[str], note: str
) -> None:
    found = agree_file(columns_file(tmp_path, *rows), ["a", "b"])
    assert {name for name in none if found.figures[name] is not None} == set()
    assert any(note in one for one in found.notes), found.notes
    text = json.dumps(found.as_json(), allow_nan=False)
    assert "NaN" not in text
    for name, value in found.figures.items():
        assert value is not None or found.intervals[name] is None


def test_the_lines_for_people(tmp_path: Path) -> None:
    done = emojudge("agree", columns_file(tmp_path, *PAIRS), "--columns", "a,b")
    lines = done.stdout.splitlines()
    assert lines[0] == "19 items, 2 raters, ordinal"
    assert lines[2].split() == ["value", "95%", "interval", "items"]
    kappa = next(line for line in lines if line.startswith("weighted κ"))
    assert kappa.split()[2] == "0.450"
    assert kappa.endswith(" 19")
    assert "\x1b" not in done.stdout
    assert lines[-1].startswith("Intervals from 19 items are rough")


def test_notes_are_dim_on_a_terminal_and_plain_without_colour(tmp_path: Path) -> None:
    file = columns_file(tmp_path, *PAIRS)
    for environment, styled in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        main, side = pty.openpty()
        subprocess.run(
            [PROGRAM, "agree", file, "--columns", "a,b"],
            stdin=side,
            stdout=side,
            env={**os.environ, **environment},
            check=True,
        )
        os.close(side)
        shown = b""
        while True:
            try:
                shown += os.read(main, 65536)
            except OSError:
                break
        os.close(main)
        assert (b"\x1b[2mIntervals" in shown) is styled
        assert b"Intervals from 19" in shown


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("a,b\n1,2\n1,x\n", "line 3, column 'b': 'x' is not a finite number"),
        ("a,b\n1,NaN\n", "line 2, column 'b': 'NaN' is not a finite number"),
        ("a,b\n1,1e200\n", "line 2, column 'b': 1e+200 is too large"),
        ("a,b\n", "holds no ratings in a, b"),
        ("a,b\n,\n", "holds no ratings in a, b"),
        ("a,bb\n1,2\n", "no column 'b'. Did you mean 'bb'?"),
        ("", "is empty"),
    ],
)
def test_ratings_that_cannot_be_used(tmp_path: Path, content: str, text: str) -> None:
    with pytest.raises(UsageError) as refused:
        agree_file(file_of(tmp_path, content), ["a", "b"])
    assert text in str(refused.value)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("i,r,v\nx,ana,1\ny,ana,2\nx,ana,1\n", "lines 2 and 4: two ratings of item 'x' by rater"),
        ("i,r,v\nx,,1\n", "line 2, column 'r' is empty"),
        ("i,r,v\nx,ana,1\ny,ana,2\n", "holds one rater, ana"),
        ("i,r,v\nx,ana,\n", "holds no ratings in v"),
        ("i,r,v\n", "holds no ratings in v"),
    ],
)
def test_long_files_that_cannot_be_used(tmp_path: Path, content: str, text: str) -> None:
    with pytest.raises(UsageError) as refused:
        agree_file(file_of(tmp_path, content), LongForm("i", "r", "v"))
    assert text in str(refused.value)


def test_options_that_do_not_go_together() -> None:
    assert named_columns('a, "b,c",d') == ["a", "b,c", "d"]
    assert chosen_form(None, "i", "r", "v") == LongForm("i", "r", "v")
    for options in (
        (None, None, None, None),
        ("a,b", "i", "r", "v"),
        ("a,b", None, "r", None),
        (None, "i", "r", None),
    ):
        with pytest.raises(UsageError, match="--columns a,b where each rater"):
            chosen_form(*options)
    for columns, text in (("a", "two or more"), ("a,,b", "two or more"), ("a,b,a", "'a' twice")):
        with pytest.raises(UsageError, match=text):
            named_columns(columns)
    with pytest.raises(UsageError, match="Did you mean 'nominal'"):
        chosen_level("nominl")


# rank


def test_wikipedias_example(tmp_path: Path) -> None:
    found = json.loads(emojudge("rank", file_of(tmp_path, WIKIPEDIA), "--json").stdout)
    scores = {one["name"]: one["score"] for one in found["items"]}
    assert [one["name"] for one in found["items"]] == ["D", "B", "C", "A"]
    assert [one["rank"] for one in found["items"]] == [1, 2, 3, 4]
    assert sum(scores.values()) == pytest.approx(1)
    scale = np.exp(np.mean(np.log(list(scores.values()))))
    scaled = {name: round(score / scale, 3) for name, score in scores.items()}
    assert scaled == {"A": 0.640, "B": 1.043, "C": 0.660, "D": 2.270}
    for one in found["items"]:
        assert 0 < one["ci"][0] < one["score"] < one["ci"][1] < 1
    assert found["votes"] == 8


def test_winners_in_any_case_ties_and_other_delimiters(tmp_path: Path) -> None:
    comma = rank_file(file_of(tmp_path, "left,right,winner\na,b, LEFT \nb,a,Tie\na,b,right\n"))
    other = rank_file(
        file_of(
            tmp_path, "left;right;winner;weight\na;b;left;1,0\nb;a;tie;1\na;b;right;1\nx;b;tie;0\n"
        )
    )
    assert comma.items[0].score == pytest.approx(0.5)
    assert [(one.name, one.rank) for one in comma.items] == [("a", 1), ("b", 1)]
    assert other.items == comma.items
    assert other.notes == ("1 vote of weight 0 left out.",)


def test_an_undefeated_name_is_said(tmp_path: Path) -> None:
    votes = "left,right,winner\n" + "a,b,left\nb,c,left\nc,b,left\n"
    found = rank_file(file_of(tmp_path, votes))
    assert [one.name for one in found.items] == ["a", "b", "c"]
    assert found.notes[0].startswith("a never lost to the others; b, c never won against")
    ties = rank_file(file_of(tmp_path, "left,right,winner\na,b,tie\na,b,tie\n"))
    assert [(one.score, one.rank, one.ci) for one in ties.items] == [(0.5, 1, None)] * 2
    assert "no intervals" in ties.notes[0]
    json.dumps(ties.as_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("left,right,winner\n", "holds no votes"),
        ("left,right,winner\na,a,left\n", "line 2: 'a' is compared with itself"),
        (
            "left,right,winner\na,b,a\n",
            "column 'winner': 'a' is not a winner; it takes left, right",
        ),
        ("left,right,winner\na,b,a\n", "It is the name on the left: write 'left'"),
        ("left,right,winner\na,b,draw\n", "'draw' is not a winner"),
        ("left,right,winner\na,b,\n", "line 2, column 'winner' is empty"),
        ("left,right,winner\na,,left\n", "line 2, column 'right' is empty"),
        ("left,right,wins\na,b,left\n", "no column 'winner'"),
        ("left,right,winner,weight\na,b,left,-1\n", "line 2, column 'weight': -1 is negative"),
        ("left,right,winner,weight\na,b,left,NaN\n", "column 'weight': 'NaN' is not a finite"),
        ("left,right,winner,weight\na,b,left,\n", "line 2, column 'weight' is empty"),
        ("left,right,winner,weight\na,b,left,0\n", "every vote has weight 0"),
        (
            "left,right,winner\na,b,left\nc,d,tie\ne,c,left\n",
            "fall into 2 groups that never meet: (a, b); (c, d, e)",
        ),
    ],
)
def test_votes_that_cannot_be_ranked(tmp_path: Path, content: str, text: str) -> None:
    with pytest.raises(UsageError) as refused:
        rank_file(file_of(tmp_path, content))
    assert text in str(refused.value)


def test_the_table_is_aligned_whatever_the_names(tmp_path: Path) -> None:
    names = ["日本", "é" * 3, "\x1b[31mred", "e\u0301e\u0301"]
    votes = [f"{a},{b},tie\n{a},{b},left\n" for a in names for b in names if a != b]
    done = emojudge("rank", file_of(tmp_path, "left,right,winner\n" + "".join(votes)))
    assert "\x1b" not in done.stdout
    wide = next(line for line in done.stdout.splitlines() if "日本" in line)
    plain = next(line for line in done.stdout.splitlines() if "ééé" in line)
    # Two wide characters take two cells more than their count.
    assert wide.index("0.") + 2 == plain.index("0.")
    assert wide.index(".") + 2 == plain.index(".")


def test_many_votes_need_no_model_and_no_screen(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    left = draw.integers(0, 60, 10_000)
    right = (left + draw.integers(1, 60, 10_000)) % 60
    winner = draw.choice(["left", "right", "tie"], 10_000)
    rows = [f"m{a},m{b},{c}\n" for a, b, c in zip(left, right, winner, strict=True)]
    file = file_of(tmp_path, "left,right,winner\n" + "".join(rows))
    assert not imported_by("rank", str(file)) & {"torch", "llama_cpp", "textual", "rich"}
    found = rank_file(file)
    assert len(found.items) == 60
    assert all(one.ci is not None for one in found.items)


def test_standard_input_and_errors_are_one_paragraph(tmp_path: Path) -> None:
    done = subprocess.run(
        [PROGRAM, "rank", "-", "--json"], input=WIKIPEDIA, capture_output=True, text=True
    )
    assert json.loads(done.stdout)["items"][0]["name"] == "D"
    broken = file_of(tmp_path, "left,right,winner\né,b,left\n")
    broken.write_bytes(broken.read_text().encode("cp1252"))
    assert_one_paragraph(emojudge("rank", broken), 2, "--encoding cp1252")
    tied = emojudge("rank", broken, "--encoding", "cp1252", "--json")
    assert json.loads(tied.stdout)["items"][0]["name"] == "é"
    assert_one_paragraph(emojudge("agree", tmp_path / "no.csv", "--columns", "a,b"), 2, "no file")


@pytest.mark.parametrize("command", ["agree", "rank", "import", "export"])
def test_help_is_quick(command: str) -> None:
    assert not imported_by(command, "--help") & {"numpy", "scipy", "evalica", "textual"}
