"""Anybody's tables: what spreadsheets write is read, what is wrong is said with its place."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emojudge import tabular
from emojudge.errors import TableFileError
from emojudge.tabular import neutralise, read_table, restored, write_csv, write_jsonl


def written(folder: Path, content: str | bytes, name: str = "table.csv") -> Path:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def cells(file: Path, encoding: str | None = None) -> list[dict[str, str | None]]:
    return [dict(row.cells) for row in read_table(file, encoding).rows]


PLAIN = [{"a": "1", "b": "x"}, {"a": "2", "b": None}]


@pytest.mark.parametrize(
    "content",
    [
        "a,b\n1,x\n2,\n",
        "a;b\r\n1;x\r\n2;\r\n",
        "a\tb\n1\tx\n2\n",
        "sep=;\r\na;b\r\n1;x\r\n2;\r\n",
        '"sep=\t"\r\na\tb\r\n1\tx\r\n2\t\r\n',
        " a , b \n1,x\n2,\n\n,\n,,\n",
        "a,b,\n1,x,\n2,,\n",
        '{"a": 1, "b": "x"}\n\n{"a": 2, "b": null}\n',
        b"\xef\xbb\xbfa,b\n1,x\n2,\n",
        "a;b\n1;x\n2;\n".encode("utf-16"),
        "a\tb\r\n1\tx\r\n2\t\r\n".encode("utf-16-le").join([b"\xff\xfe", b""]),
        '\ufeff{"a": 1, "b": "x"}\n{"a": 2}\n',
    ],
)
def test_the_same_rows_from_what_programs_write(tmp_path: Path, content: str | bytes) -> None:
    assert cells(written(tmp_path, content, "table.txt")) == PLAIN


def test_delimiters_inside_quotes_of_the_header_do_not_count(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, '"a,b,c\n,,";d;e\n1;2;3\n'))
    assert table.columns == ("a,b,c\n,,", "d", "e")
    assert table.rows[0].line == 3


def test_line_numbers_are_an_editors(tmp_path: Path) -> None:
    file = written(tmp_path, 'sep=,\na,b\n\n"two\nlines",x\r\n"1\n\n2",y\n3,z\n')
    assert [row.line for row in read_table(file).rows] == [4, 6, 9]
    lines = written(tmp_path, '\n{"a": "u\u2028v\x85w"}\n\n{"a": 1}\n', "t.jsonl")
    assert [(row.line, row.cells["a"]) for row in read_table(lines).rows] == [
        (2, "u\u2028v\x85w"),
        (4, "1"),
    ]


def test_numbers_keep_their_digits_and_may_have_decimal_commas(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "a;b\n1,5;-2,25e3\n 7 ;.5\n"))
    assert [table.number(row, name) for row in table.rows for name in "ab"] == [1.5, -2250, 7, 0.5]
    exact = written(
        tmp_path, '{"a": 0.10000000000000000001, "b": 123456789012345678901}', "t.jsonl"
    )
    assert cells(exact) == [{"a": "0.10000000000000000001", "b": "123456789012345678901"}]


@pytest.mark.parametrize(
    "text", ["x", "NaN", "inf", "-Infinity", "1e999", "1_000", "0x10", "1,5", "1.2.3", "٣", "½"]
)
def test_what_is_no_number_is_said_with_its_place(tmp_path: Path, text: str) -> None:
    file = written(tmp_path, f'a,b\n1,"{text}"\n')
    table = read_table(file)
    with pytest.raises(TableFileError) as refused:
        table.number(table.rows[0], "b")
    assert f"{file}, line 2, column 'b': {text!r} is not a finite number" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("t.csv", "", "t.csv is empty"),
        ("t.csv", " \n\n", "t.csv is empty"),
        ("t.csv", "a,b\n1,2,3\n", "line 2: 3 cells, but the header has 2 columns"),
        ("t.csv", "a;b\n1,5\n1;2;x;y\n", "line 3: 4 cells, but the header has 2 columns"),
        ("t.csv", "a,b,a\n", "line 1: two columns are called 'a'"),
        ("t.csv", 'a,b\n1,2\n"x"y,3\n', "line 3: ',' expected after '\"'"),
        ("t.csv", 'a,b\n1,"open\n\n', "line 2: unexpected end of data"),
        ("t.csv", "a,b\n1,x\0\n", "line 2: a NUL character"),
        ("t.csv", "a,b\n1,2\n".encode("utf-16-le"), "--encoding utf-16-le"),
        ("t.csv", "a,b\n1,2\n\u00e9,3\n".encode("cp1252"), "line 3: byte 0xe9 at offset 8 is not"),
        ("t.csv", b"PK\x03\x04rest", "is a spreadsheet file or an archive"),
        ("t.jsonl", '{"a": 1}\n{"a": NaN}\n', "line 2: NaN is not a number"),
        ("t.jsonl", '{"a": 1}\n{"a": [1]}\n', "line 2: the value of 'a' is a list or an object"),
        ("t.jsonl", '{"a": 1, "a": 2}\n', "line 1: the key 'a' stands in it twice"),
        ("t.jsonl", '{"a": 1}\n[1]\n', "line 2: not a JSON object"),
        ("t.jsonl", '{"a": 1}\n{"a"\n', "line 2: not valid JSON"),
        ("t.jsonl", "[" * 100_000, "line 1: nested too deeply"),
        ("anything", '[{"a": 1}]', "line 1: not a JSON object"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, name: str, content: str | bytes, text: str) -> None:
    file = written(tmp_path, content, name)
    with pytest.raises(TableFileError) as refused:
        read_table(file)
    assert text in str(refused.value)
    assert str(file) in str(refused.value)


def test_other_encodings_are_read_when_named(tmp_path: Path) -> None:
    file = written(tmp_path, "a;b\n1;\u20ac\u00e9\n".encode("cp1252"))
    with pytest.raises(TableFileError, match="--encoding cp1252"):
        read_table(file)
    assert cells(file, encoding="cp1252") == [{"a": "1", "b": "\u20ac\u00e9"}]
    with pytest.raises(TableFileError, match="no text encoding 'klingon'"):
        read_table(file, "klingon")
    with pytest.raises(TableFileError, match="is not ascii"):
        read_table(file, "ascii")


def test_files_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, "a,b\n1,2\n", "votes.csv")
    with pytest.raises(TableFileError, match=r"Did you mean 'votes.csv'"):
        read_table(tmp_path / "vote.csv")
    with pytest.raises(TableFileError, match="is a folder"):
        read_table(tmp_path)
    with pytest.raises(TableFileError, match="Not a directory"):
        read_table(file / "x.csv")
    monkeypatch.setattr(tabular, "MAX_BYTES", 4)
    with pytest.raises(TableFileError, match="larger than"):
        read_table(file)


def test_a_long_cell_is_read(tmp_path: Path) -> None:
    assert cells(written(tmp_path, f"a,b\n{'x' * 300_000},1\n"))[0]["a"] == "x" * 300_000
    assert csv.field_size_limit() < 300_000


def test_unknown_columns_name_the_nearest_and_all(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "item;ana;ben\n1;2;3\n"))
    table.require("ana", "ben")
    with pytest.raises(TableFileError) as refused:
        table.require("ana", "bem")
    assert "no column 'bem'. Did you mean 'ben'? Its columns are item, ana, ben" in str(
        refused.value
    )


# Writing

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "'=1", "''+x", "'-"]
cell_texts = st.one_of(
    st.sampled_from(FORMULAS),
    st.text(alphabet="'=+-@\t\r\n;,\" a\u202e🫂", max_size=6),
    st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
)


@given(cell_texts)
def test_neutralising_is_harmless_and_reversible(text: str) -> None:
    harmless = neutralise(text)
    assert restored(harmless) == text
    assert not harmless.startswith(tuple("=+-@\t\r\n＝＋－＠"))
    assert harmless in (text, f"'{text}")


@given(st.lists(st.tuples(cell_texts, cell_texts), min_size=1, max_size=4))
def test_texts_survive_a_csv_file(
    tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str]]
) -> None:
    stream = io.StringIO(newline="")
    write_csv(stream, ["n", "a", "b"], ({"n": 1, "a": a, "b": b} for a, b in texts))
    file = tmp_path_factory.getbasetemp() / "survives.csv"
    file.write_bytes(stream.getvalue().encode())
    rows = read_table(file, neutralised=True).rows
    assert [(row.cells["a"] or "", row.cells["b"] or "") for row in rows] == texts


def test_numbers_stay_numbers_and_nul_is_refused() -> None:
    stream = io.StringIO(newline="")
    write_csv(stream, ["a", "b"], [{"a": -1.5, "b": "-1.5"}, {"a": None, "b": "x\ry"}])
    assert stream.getvalue() == 'a,b\r\n-1.5,\'-1.5\r\n,"x\ry"\r\n'
    with pytest.raises(TableFileError, match="NUL"):
        write_csv(stream, ["a"], [{"a": "\0"}])


def test_jsonl_keeps_every_character_and_type(tmp_path: Path) -> None:
    stream = io.StringIO(newline="")
    text = "=\0\r\n\u2028\u202e'🫂"
    write_jsonl(stream, ["a", "b", "c"], [{"a": text, "b": -1.5}])
    file = written(tmp_path, stream.getvalue(), "t.jsonl")
    assert cells(file) == [{"a": text, "b": "-1.5", "c": None}]
