"""Text, numbers and tables as other people save them."""

import codecs

import pytest

from defectbench.data.foreign_text import TextError, decode_text, has_no_value, parse_number, parse_whole, read_table

TEXT = "ImageId,Größe\r\nä.png,1\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_that_say_what_they_are(encoding):
    assert decode_text(TEXT.encode(encoding)) == TEXT


def test_big_endian_utf_16_with_a_mark():
    assert decode_text(codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be")) == TEXT


@pytest.mark.parametrize(("encoding", "line"), [("cp1252", 1), ("latin-1", 1)])
def test_other_encodings_are_refused_with_the_line(encoding, line):
    with pytest.raises(TextError, match=rf"not UTF-8 text \(line {line}\); save it as UTF-8"):
        decode_text(TEXT.encode(encoding))


def test_utf_16_without_a_mark_is_refused():
    with pytest.raises(TextError, match="without a byte order mark"):
        decode_text("a,b".encode("utf-16-le"))


@pytest.mark.parametrize("text", ["0", "0.000e+00", "0.0", "+0", " 0 ", "-0.0", "0E0"])
def test_whole_numbers_as_tools_write_them(text):
    assert parse_whole(text) == 0


@pytest.mark.parametrize("text", ["", "nan", "inf", "1_0", "0x1", "1 2", "٣", "1e999", "9" * 5000, "0.5"])
def test_what_is_no_whole_number(text):
    with pytest.raises(TextError):
        parse_whole(text)


def test_a_decimal_comma_is_named():
    with pytest.raises(TextError, match="a point, not a comma"):
        parse_number("0,5")


def write(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "text",
    [
        "a,b\nx,1 2\n,\ny,\n",
        "a;b\r\nx;1 2\r\n\r\ny;\r\n",
        "a\tb\nx\t1 2\n\ny\t\n\n\n",
        '"a","b"\n"x","1 2"\n\n"y",""',
        "b,a,\n1 2,x,\n,,\n,y,\n",
        "a , b\nx ,1 2,,\n\ny,,\n",
        "a,b\rx,1 2\r\ry,\r",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_one_table_written_differently(tmp_path, text, encoding):
    table = read_table(write(tmp_path, text, encoding), ["a", "b"])
    assert table[["a", "b"]].to_dict("index") == {2: {"a": "x", "b": "1 2"}, 4: {"a": "y", "b": ""}}


@pytest.mark.parametrize("row", ["x,1,2", "x"])
def test_a_row_of_another_length_is_refused(tmp_path, row):
    with pytest.raises(TextError, match=f"row 3 has {row.count(',') + 1} cells, the header 2: {row}"):
        read_table(write(tmp_path, f"a,b\nx,1\n{row}\n"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [("", "no header"), ("a,a\n1,2\n", "one name: a"), ('a,b\n"1,2\n', "cannot be read as a table")],
)
def test_what_is_no_table(tmp_path, text, problem):
    with pytest.raises(TextError, match=problem):
        read_table(write(tmp_path, text))


def test_the_needed_columns_decide_between_separators(tmp_path):
    assert read_table(write(tmp_path, "a;b,c,d,e\nx;1,2,3,4\n"), ["a"])["a"].tolist() == ["x"]


def test_very_long_cells(tmp_path):
    code = "1 1 " * 100_000
    assert read_table(write(tmp_path, f"a\n{code}\n"))["a"].item() == code.strip()


def test_names_such_as_na_are_text(tmp_path):
    assert read_table(write(tmp_path, "a\nNA\nnan\n001\n"))["a"].tolist() == ["NA", "nan", "001"]


def test_what_tools_write_for_nothing():
    assert all(map(has_no_value, ["", " ", "-1", "-1.0", "NaN", "None", "NULL", "<NA>"]))
    assert not any(map(has_no_value, ["0", "1 1", "nano"]))
