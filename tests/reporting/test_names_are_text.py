"""Names of files, classes and experiments are text in every output: no formula, picture, HTML or command."""

import importlib
import xml.etree.ElementTree
from pathlib import Path

import cv2
import findings as findings_script
import leaderboard as leaderboard_script
import page as page_script
import pandas as pd
import pytest
import tables as tables_script
from html_outline import Outline
from markdown_it import MarkdownIt
from synthetic_study import write_study

from defectbench.files import write_text
from defectbench.reporting.paper import as_latex
from defectbench.reporting.plots import style
from defectbench.reporting.plots.registry import PLOTS

CLASSES = (r"$\frac{$ <img src=x onerror=alert(1)>", "_=1+1 ![x](http://host.example/y.png)|`")
IMAGE = r"=$\a{:05d}$ ![x](y) <b>&lt;.png"
RENDERER = MarkdownIt("commonmark", {"xhtmlOut": False}).enable("table")
PROBLEM = "=1+1 <script>alert(1)</script> ![x](y) \x1b[2J"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Eight experiments on 12 test images, with such names everywhere."""
    study = write_study(tmp_path_factory.mktemp("study"), 8, 12, classes=CLASSES, image_name=IMAGE)
    results = pd.read_parquet(study.folder / "results.parquet")
    results["name"] = [f"{exp_id} [x](y) <i>{CLASSES[0]}" for exp_id in results["exp_id"]]
    results["problems"] = [PROBLEM, *[None] * (len(results) - 1)]
    results.to_parquet(study.folder / "results.parquet")
    rows = pd.DataFrame({"file": [IMAGE], "row": [1], "problem": [PROBLEM]})
    rows.to_csv(study.folder / "issues.csv", index=False)
    return study


def file_of(study, option: str) -> Path:
    """The file or folder that a script takes as ``option``."""
    others = {"experiments": "results.yaml", "points": "operating_points.csv", "pack": "packed"}
    others |= dict.fromkeys(("results", "manifest"), f"{option}.parquet")
    return study.folder / others.get(option, f"{option}.csv")


def arguments(study, *options: str) -> list[str]:
    return [text for option in options for text in (f"--{option}", str(file_of(study, option)))]


def plots_to_draw() -> list[str]:
    """The plots that need nothing but the files of the made-up study."""
    return [
        name
        for name, plot in PLOTS.items()
        if plot.settings is None and plot.only_with == "results" and name != "data_efficiency"
    ]


@pytest.mark.parametrize("name", plots_to_draw())
def test_every_plot_is_drawn_as_well_formed_files(study, name, tmp_path):
    plot, script = PLOTS[name], importlib.import_module(f"plot_{name}")
    files = {suffix: tmp_path / f"{name}.{suffix}" for suffix in plot.formats}
    pictures = [text for suffix, path in files.items() for text in (f"--{suffix}", str(path))]
    script.main([*arguments(study, *plot.inputs, *plot.folders), *pictures])
    assert cv2.imread(str(files["png"])) is not None
    if "svg" in files:
        tags = {element.tag.partition("}")[2] for element in xml.etree.ElementTree.parse(files["svg"]).iter()}
        assert not tags & {"script", "img", "a", "foreignObject"}


@style.house_style
def test_text_of_figures_is_never_a_formula():
    # A formula would be narrower than its signs.
    widths = [style.text_width([text]) for text in ("$a^2$", "$", "a^2")]
    assert widths[0] > widths[2] + widths[1]
    assert style.text_width([CLASSES[0]]) > 0


def shown_in(markdown: str) -> Outline:
    """The page as it is rendered, without anything that a name could have made."""
    outline = Outline(RENDERER.render(markdown))
    tags = {tag for tag, _ in outline.elements}
    assert tags <= {"h1", "h2", "p", "ul", "li", "strong", "code", "table", "thead", "tbody", "tr", "th", "td"}
    assert "\x1b" not in markdown
    return outline


def test_reports_show_the_names(study, tmp_path):
    tables = ("results", "ranks", "pairwise", "issues", "leaks")
    write_text(study.folder / "fits.csv", "label\n")
    leaderboard_script.main([*arguments(study, *tables), "--out", str(tmp_path / "leaderboard.md")])
    findings_script.main([*arguments(study, *tables, "seeds", "fits"), "--out", str(tmp_path / "findings.md")])
    paths = ["--tex", str(tmp_path / "tables.tex"), "--md", str(tmp_path / "tables.md")]
    tables_script.main([*arguments(study, *tables), *paths])
    for name in ("leaderboard", "findings", "tables"):
        outline = shown_in((tmp_path / f"{name}.md").read_text())
        assert f"[x](y) <i>{CLASSES[0]}" in outline.text
        assert "<script>alert(1)</script> ![x](y) \\x1b[2J" in outline.text
    latex = (tmp_path / "tables.tex").read_text()
    assert r"\$\textbackslash{}frac\{\$" in latex
    assert "\x1b" not in latex


def test_the_page_shows_the_names(study, tmp_path):
    write_text(tmp_path / "ranking.rst", "Caption.")
    out = tmp_path / "index.html"
    study_arguments = [f"made up {PROBLEM}" if text == "made_up" else text for text in study.page_arguments]
    page_script.main([*study_arguments, "--captions", str(tmp_path), "--out", str(out)])
    outline = Outline(out.read_text())
    assert len(outline.all("script")) == 2
    assert not outline.all("b") + outline.all("iframe") + [i for i in outline.all("i") if "class" not in i]
    assert not [key for _, attributes in outline.elements for key in attributes if key.startswith("on")]
    assert {image["src"].partition(",")[0] for image in outline.all("img")} <= {"data:image/png;base64"}
    assert f"[x](y) <i>{CLASSES[0]}" in outline.text
    assert CLASSES[1] in outline.text


def test_a_name_is_no_option_of_the_row_before_it_in_latex():
    cells = pd.DataFrame({"experiment": ["[2em] x", "*y", "z"], "n": ["[0.1, 0.2]"] * 3})
    rows = [line for line in as_latex({"t": ("[x]", cells)}, []).splitlines() if line.endswith("\\\\")]
    assert [row[:3] for row in rows] == ["exp", "{}[", "{}*", "z &"]
