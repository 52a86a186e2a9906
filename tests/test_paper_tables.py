"""Tables for a paper hold the numbers of the records, in LaTeX that needs no mending."""

import re

import pandas as pd
import pytest
import tables as script
from synthetic_study import write_study


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    write_study(folder, 8, 30)
    paths = {name: folder / f"tables.{name}" for name in ("tex", "md")}
    arguments = ["--results", str(folder / "results.parquet"), "--pairwise", str(folder / "pairwise.csv")]
    script.main([*arguments, "--tex", str(paths["tex"]), "--md", str(paths["md"])])
    return folder, paths["tex"].read_text(), paths["md"].read_text()


def test_both_formats_hold_every_experiment_with_its_interval(written):
    folder, tex, markdown = written
    for row in pd.read_parquet(folder / "results.parquet").to_dict("records"):
        metric = "test_Dice" if row["track"] == "oracle" else "dice_all"
        cell = f"{row[metric]:.3f} [{row[f'{metric}_lo']:.3f}, {row[f'{metric}_hi']:.3f}]"
        assert cell in tex
        assert cell in markdown


def test_latex_is_balanced_and_escaped(written):
    _, tex, _ = written
    assert tex.count(r"\begin{tabular}") == tex.count(r"\end{tabular}") == 4
    assert "all\\_empty" in tex
    assert not re.search(r"(?<!\\)[_#%$]", re.sub(r"\\label\{[^}]*\}", "", tex))
    for body in re.findall(r"\\midrule\n(.*?)\\bottomrule", tex, re.S):
        columns = {len(re.findall(r"(?<!\\)&", line)) for line in body.strip().splitlines()}
        assert len(columns) == 1


def test_every_test_is_listed(written):
    folder, _, markdown = written
    pairwise = pd.read_csv(folder / "pairwise.csv")
    section = markdown.split("Differences in percentage points")[1]
    assert len(re.findall(r"^\|", section, re.M)) == len(pairwise) + 2
