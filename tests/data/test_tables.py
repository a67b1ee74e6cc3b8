"""Delimited text in every layout: encodings, delimiters, quotes, headers, preambles, ragged rows."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nudgenet.data.read import read
from nudgenet.errors import SourceError
from nudgenet.records import Raw
from nudgenet.settings import Settings

PEOPLE = "name,age,city\nZoë,31,Köln\nAnna,27,Bonn\nOtto,45,Ulm\n"


def read_bytes(folder: Path, data: bytes | str, *, columns: list[str] | None = None, **values: object) -> Raw:
    path = folder / "people.csv"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return read(path, Settings(**values), columns=columns)


def decision(raw: Raw, what: str) -> str:
    return next(entry.chosen for entry in raw.decisions if entry.what == what)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252", "utf-32"]
)
def test_encodings(tmp_path: Path, encoding: str) -> None:
    raw = read_bytes(tmp_path, PEOPLE.encode(encoding))
    assert raw.table.column_names == ["name", "age", "city"]
    assert raw.table["name"].to_pylist() == ["Zoë", "Anna", "Otto"]
    said = [entry.what for entry in raw.decisions]
    assert ("encoding" in said) == (not encoding.startswith("utf-8"))


def test_cp1252_signs(tmp_path: Path) -> None:
    raw = read_bytes(tmp_path, "price,what\n5 €,“a”\n7 €,b\n".encode("cp1252"))
    assert raw.table["price"].to_pylist() == ["5 €", "7 €"]
    assert decision(raw, "encoding") == "cp1252"


def test_other_alphabets(tmp_path: Path) -> None:
    people = "имя,возраст,город\nАнна,31,Москва\nОтто,52,Казань\n"
    raw = read_bytes(tmp_path, people.encode("koi8-r"))
    assert raw.table.column_names == ["имя", "возраст", "город"]
    entry = next(entry for entry in raw.decisions if entry.what == "encoding")
    assert (entry.chosen, entry.override) == ("koi8-r", "--set encoding=NAME")


@pytest.mark.parametrize("name", ["people.csv", "people.jsonl", "people.arff"])
def test_a_named_encoding(tmp_path: Path, name: str) -> None:
    text = {
        "people.csv": "name,age\nŽofie,1\nJiří,2\n",
        "people.jsonl": '{"name": "Žofie", "age": 1}\n{"name": "Jiří", "age": 2}\n',
        "people.arff": "@relation r\n@attribute name string\n@attribute age numeric\n@data\nŽofie,1\nJiří,2\n",
    }[name]
    (tmp_path / name).write_bytes(text.encode("cp852"))
    raw = read(tmp_path / name, Settings(encoding="cp852"))
    assert raw.table["name"].to_pylist() == ["Žofie", "Jiří"]
    assert decision(raw, "encoding") == "cp852"


def test_damaged_utf8_is_repaired_and_counted(tmp_path: Path) -> None:
    raw = read_bytes(tmp_path, "name,age\nZoë,1\nJürgen,2\nX".encode() + b"\xff" + b"y,3\n")
    assert raw.table["name"].to_pylist() == ["Zoë", "Jürgen", "X�y"]
    assert "1 character of" in raw.warnings[0]


def test_nul_bytes_are_taken_out_and_counted(tmp_path: Path) -> None:
    raw = read_bytes(tmp_path, b"a,b\n1,x\0\n2,y\n")
    assert raw.table["b"].to_pylist() == ["x", "y"]
    assert "1 NUL byte was" in raw.warnings[0]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " ", "   ", " \t ", "\x01"])
def test_delimiters(tmp_path: Path, delimiter: str) -> None:
    lines = [["height", "weight", "sex"], ["1.75", "70", "f"], ["1.80", "82", "m"], ["1.69", "58", "f"]]
    raw = read_bytes(tmp_path, "".join(delimiter.join(line) + "\n" for line in lines))
    assert raw.table.to_pydict() == {
        "height": ["1.75", "1.80", "1.69"],
        "weight": ["70", "82", "58"],
        "sex": ["f", "m", "f"],
    }


def test_decimal_commas_do_not_split_cells(tmp_path: Path) -> None:
    raw = read_bytes(tmp_path, "a;b\n3,5;1,25\n4,0;2,75\n5,5;3,25\n")
    assert raw.table.to_pydict() == {"a": ["3,5", "4,0", "5,5"], "b": ["1,25", "2,75", "3,25"]}
    assert decision(raw, "delimiter") == "semicolon"


def test_one_column_of_text_is_not_torn_apart(tmp_path: Path) -> None:
    raw = read_bytes(tmp_path, "city\nNew York\nLos Angeles\nBonn\n\nSan Francisco\n\n\n")
    assert raw.table.to_pydict() == {"city": ["New York", "Los Angeles", "Bonn", None, "San Francisco"]}


def test_leading_blanks_and_trailing_delimiter(tmp_path: Path) -> None:
    raw = read_bytes(tmp_path, '"a", "b", c,\n1, "x, y", 3,\n2, "say ""hi""", 4,\n')
    assert raw.table.to_pydict() == {"a": ["1", "2"], "b": ["x, y", 'say "hi"'], "c": ["3", "4"]}
    assert decision(raw, "trailing delimiter") == "empty columns left out: 1"


def test_quotes(tmp_path: Path) -> None:
    raw = read_bytes(tmp_path, 'a,b\n"x ""y"" z",1\n"two\nlines",2\n5" pipe,3\n"",4\n')
    assert raw.table["a"].to_pylist() == ['x "y" z', "two\nlines", '5" pipe', None]


def test_single_quotes_and_escaped_quotes(tmp_path: Path) -> None:
    single = read_bytes(tmp_path, "k,v\n1,'a, b'\n2,'c, d'\n3,'e'\n")
    assert single.table["v"].to_pylist() == ["a, b", "c, d", "e"]
    escaped = read_bytes(tmp_path, 'k,v\n1,"a \\", b"\n2,"c"\n3,"d \\", e"\n')
    assert escaped.table["v"].to_pylist() == ['a ", b', "c", 'd ", e']


def test_an_unclosed_quote_does_not_swallow_rows(tmp_path: Path) -> None:
    rows = "".join(f"{i}\ttext {i}\n" for i in range(50))
    raw = read_bytes(tmp_path, "id\ttext\n" + rows + '50\t"broken\n' + rows)
    assert raw.table.num_rows == 101
    assert raw.table["text"].to_pylist()[50] == '"broken'


def test_an_unclosed_quote_beyond_the_sample(tmp_path: Path) -> None:
    rows = "".join(f"{i},a text that is long enough,{i}\n" for i in range(15_000))
    raw = read_bytes(tmp_path, 'id,text,n\n"1","quoted",3\n' + rows + '7,"broken,8\n' + rows)
    assert raw.table.num_rows == 30_002
    assert raw.table["n"].to_pylist()[15_001] == "8"


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
def test_line_ends(tmp_path: Path, end: str) -> None:
    raw = read_bytes(tmp_path, PEOPLE.replace("\n", end))
    assert raw.table["age"].to_pylist() == ["31", "27", "45"]


def test_mixed_line_ends(tmp_path: Path) -> None:
    assert read_bytes(tmp_path, "a,b\r\n1,2\r3,4\n5,6").table["b"].to_pylist() == ["2", "4", "6"]


def test_preamble_is_skipped_and_said(tmp_path: Path) -> None:
    raw = read_bytes(tmp_path, "Report of 2020\n\n# made by hand\nname,age,city\nA,1,x\nB,2,y\nC,3,x\n")
    assert raw.table.column_names == ["name", "age", "city"] and raw.table.num_rows == 3
    assert decision(raw, "preamble") == "skipped above the table: 2 lines"


def test_a_comment_line_can_name_the_columns(tmp_path: Path) -> None:
    raw = read_bytes(tmp_path, "#x, y\n1,2\n3,4\n5,6\n")
    assert raw.table.to_pydict() == {"x": ["1", "3", "5"], "y": ["2", "4", "6"]}


def test_two_header_lines_are_joined_and_said(tmp_path: Path) -> None:
    raw = read_bytes(tmp_path, "height,weight,sex\nm,kg,code\n1.7,70,f\n1.8,80,m\n1.6,60,f\n1.9,90,m\n")
    assert raw.table.column_names == ["height m", "weight kg", "sex code"] and raw.table.num_rows == 4
    assert decision(raw, "header") == "the first two lines name the columns"


def test_a_survey_with_two_header_lines(tmp_path: Path) -> None:
    body = "".join(f"{i},Yes,,Dogs,\n{i},No,Cats,,Fish\n" for i in range(5))
    raw = read_bytes(tmp_path, "id,Married?,Which pets?,,\n,Response,Cats,Dogs,Fish\n" + body)
    assert raw.table.column_names == ["id", "Married? Response", "Which pets? Cats", "Dogs", "Fish"]


@pytest.mark.parametrize(
    ("text", "has_header"),
    [
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n6.3,2.8,virginica\n", False),
        ("p,x,e\nx,x,p\np,s,e\nx,s,e\n", False),
        ("country,1990,1991,1992\nA,1,2,3\nB,4,5,6\n", True),
        ("day,count\n2020-01-01,x\n2020-01-02,y\n", True),
        ("10,0,5\n10,0,5\n", False),
        ("gender,answer\nf,yes\nm,no\nf,no\n", True),
    ],
)
def test_header_or_not(tmp_path: Path, text: str, has_header: bool) -> None:
    raw = read_bytes(tmp_path, text)
    assert raw.has_header == has_header
    assert raw.table.num_rows == text.count("\n") - has_header
    if not has_header:
        assert raw.table.column_names[0] == "column_1"
    assert any(entry.what == "header" and entry.override.startswith("--set header=") for entry in raw.decisions)


def test_the_user_has_the_last_word_on_the_header(tmp_path: Path) -> None:
    assert read_bytes(tmp_path, "a,b\n1,2\n", header=False).table["column_1"].to_pylist() == ["a", "1"]
    assert read_bytes(tmp_path, "1,2\n3,4\n", header=True).table.column_names == ["1", "2"]


def test_when_predicting_the_training_names_decide_on_the_header(tmp_path: Path) -> None:
    text = "a,b\nc,d\n"
    assert not read_bytes(tmp_path, text, columns=["column_1", "column_2"]).has_header
    assert read_bytes(tmp_path, "1990,1991\n3,4\n", columns=["1990", "1991"]).table.num_rows == 1
    assert read_bytes(tmp_path, "b,new\n1,2\n", columns=["a", "b"]).has_header


def test_names_become_unique_and_that_is_said(tmp_path: Path) -> None:
    raw = read_bytes(tmp_path, "a,,a,a_2,\n1,2,3,4,5\n6,7,8,9,10\n")
    assert raw.table.column_names == ["a", "column_2", "a_3", "a_2", "column_5"]
    assert sum(entry.what == "column names" for entry in raw.decisions) == 2


def test_row_names_of_r_get_a_column(tmp_path: Path) -> None:
    raw = read_bytes(tmp_path, '"mpg","cyl"\n"Mazda",21,6\n"Fiat",30,4\n"Volvo",22,4\n')
    assert raw.table.to_pydict()["column_1"] == ["Mazda", "Fiat", "Volvo"]
    assert raw.table["mpg"].to_pylist() == ["21", "30", "22"]


def test_ragged_rows_are_kept_in_place_and_counted(tmp_path: Path) -> None:
    raw = read_bytes(tmp_path, "a,b,c\n1,2,3\n4,5\n6,7,8\n9,10,11,12\n13,14,15\n")
    assert raw.table["a"].to_pylist() == ["1", "4", "6", "9", "13"]
    assert raw.table["c"].to_pylist() == ["3", None, "8", "11", "15"]
    assert "1 row has fewer than 3 cells (first: data row 2)" in raw.warnings[0]
    assert "1 row has more than 3 cells (first: data row 4, 4 cells)" in raw.warnings[1]


def test_a_totals_line_is_warned_about_and_kept(tmp_path: Path) -> None:
    raw = read_bytes(tmp_path, "shop,sales\nA,1\nB,2\nC,3\nD,4\nTotal,10\n")
    assert raw.table.num_rows == 5
    assert "totals line" in raw.warnings[0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b" \n \n", "is empty"),
        (b"a,b,c\n", "a header and no rows"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "a web page"),
        (bytes(range(256)) * 20, "binary"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "an image"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read_bytes(tmp_path, data)


CELL = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x24F, exclude_characters="\x7f\x85\xa0\xad"), min_size=1, max_size=8
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(CELL, st.integers(-999, 999), CELL), min_size=3, max_size=12),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_round_trip(
    tmp_path: Path, rows: list[tuple[str, int, str]], delimiter: str, quoting: int, encoding: str, end: str
) -> None:
    """Whatever the csv module writes is read back, cell by cell."""
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, quoting=quoting, lineterminator=end)  # type: ignore[arg-type]
    writer.writerow(["first name", "count", "last name"])
    writer.writerows(rows)
    raw = read_bytes(tmp_path, stream.getvalue().encode(encoding))
    assert raw.table.column_names == ["first name", "count", "last name"]
    assert raw.table.to_pylist() == [
        {"first name": first, "count": str(count), "last name": last} for first, count, last in rows
    ]
