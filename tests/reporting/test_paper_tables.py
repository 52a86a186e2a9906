"""Tables for a paper hold the numbers of the records, in LaTeX that needs no mending."""

import re

import pandas as pd
import pytest
import tables as script
from synthetic_study import write_study

from defectbench.files import write_text


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    write_study(folder, 8, 30)
    paths = {name: folder / f"tables.{name}" for name in ("tex", "md")}
    write_text(folder / "issues.csv", "file,row,problem\nstrip_7.png,,truncated: 50% of {it}\n")
    given = {
        name: folder / name for name in ("results.parquet", "ranks.csv", "pairwise.csv", "issues.csv", "leaks.csv")
    }
    arguments = [text for name, path in given.items() for text in (f"--{name.split('.')[0]}", str(path))]
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


def test_quarantined_samples_are_said_in_both_formats(written):
    _, tex, markdown = written
    assert r"1 problem(s) in the source files" in markdown
    assert r"The first: strip\_7.png: truncated: 50\% of \{it\}" in tex


def test_every_test_is_listed(written):
    folder, _, markdown = written
    pairwise = pd.read_csv(folder / "pairwise.csv")
    section = markdown.split("Differences in percentage points")[1]
    assert len(re.findall(r"^\|", section, re.M)) == len(pairwise) + 2
