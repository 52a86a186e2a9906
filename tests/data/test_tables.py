"""Tables for people and programs: what is written is read again, and no cell is a formula of a spreadsheet."""

import csv
import io
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_study import ROOT

from defectbench.config.ingest import YoloFolder
from defectbench.config.split import SplitFile, SplitSettings
from defectbench.data.given_roles import read_roles
from defectbench.data.tables import csv_text, read_names, read_table

FORMULAS = ["=1+1", "=cmd|' /c calc'!A0", "+1", "-2+3", "@SUM(1)", "\t=1", "＝1+1", "a.png;=1+1", "b\t@x", "c; +1"]
NAMES = [*FORMULAS, "it's.png", "'quoted'", "'=1", "''=1", "NA", "007", "-", "", " x ", 'a "b", c', "Größe", "1\n=2"]
# LibreOffice and Excel split at the separator of the country or the one that is chosen.
SEPARATORS = (",", ";", "\t")
signs = st.text(st.sampled_from("=+-@;\t,'\" ab\n＝é"), max_size=8)


def first_signs(text: str, separator: str) -> set[str]:
    """How the cells begin that a spreadsheet sees, after blanks."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    cells = [cell for row in rows for cell in row]
    assert cells
    return {cell.lstrip()[:1] for cell in cells if not re.fullmatch(r"[-+]?[\d.]+(e[-+]\d+)?", cell)}


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("name", FORMULAS)
def test_no_cell_is_a_formula(name, separator):
    text = csv_text(pd.DataFrame({"image_id": [name, "a.png"], name: [-1.5, 2]}))
    assert not first_signs(text, separator) & {*"=+-@\t\r＝＋－＠"}


@given(st.lists(signs, min_size=1, max_size=4))
def test_no_cell_of_any_text_is_a_formula(names):
    text = csv_text(pd.DataFrame({"image_id": names, "n": range(len(names))}))
    for separator in SEPARATORS:
        assert not first_signs(text, separator) & {*"=+-@\t＝"}


@pytest.mark.parametrize("names", [NAMES, *([name] for name in NAMES)])
def test_the_names_are_read_as_they_were(names, tmp_path):
    names = [*names, "x"]  # with a name in it a column is no column of numbers
    table = pd.DataFrame({"image_id": names, "n": range(len(names)), "=x": [-0.5] * len(names)})
    path = tmp_path / "table.csv"
    path.write_text(csv_text(table), newline="")
    assert read_names(path)["image_id"].tolist() == names
    read = read_table(path)
    assert read.columns.tolist() == ["image_id", "n", "=x"]
    assert read[["n", "=x"]].equals(table[["n", "=x"]])
    assert read["image_id"].fillna("").tolist() == names


@given(st.lists(signs, min_size=1, max_size=4))
def test_any_names_are_read_as_they_were(tmp_path_factory, names):
    path = tmp_path_factory.getbasetemp() / "names.csv"
    path.write_text(csv_text(pd.DataFrame({"image_id": names, "n": 1})), newline="")
    assert read_names(path)["image_id"].tolist() == names


def test_numbers_keep_their_kind(tmp_path):
    table = pd.DataFrame({"row": pd.Series([5, None, "=x"], dtype=object), "flag": [True, None, False], "n": [1, 2, 3]})
    assert csv_text(table).splitlines() == ["row,flag,n", "5,True,1", ",,2", "'=x,False,3"]


def test_our_own_split_is_taken_as_a_split_file_and_so_is_one_with_the_names_as_they_are(tmp_path):
    roles = {"=1.png": "train", "-2.png": "val", "'=3.png": "test", "it's.png": "train"}
    table = pd.DataFrame(roles.items(), columns=["image_id", "role"])
    dataset = YoloFolder(name="parts", format="yolo", root=tmp_path, classes={0: "dent"})
    settings = SplitSettings(file=SplitFile(path="split.csv", image_column="image_id", role_column="role"))
    for text in (csv_text(table), table.to_csv(index=False)):
        (tmp_path / "split.csv").write_text(text)
        assert read_roles(roles, settings, dataset).roles.to_dict() == roles


def test_tables_are_written_by_one_function():
    others = {"workflow/defectbench/data/tables.py"}
    # For other programs, which take names as they are.
    others |= {f"workflow/defectbench/data/{name}.py" for name in ("submission", "writers/severstal_csv")}
    found = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "workflow").rglob("*.py")
        if re.search(r"\.to_csv\(|csv\.writer\(|DictWriter", path.read_text())
    }
    assert found == others
