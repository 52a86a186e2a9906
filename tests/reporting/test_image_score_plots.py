"""Plots of image scores: histograms of IoU and Dice, galleries by bands of IoU, and training curves."""

import dataclasses

import numpy as np
import pandas as pd
import plot_gallery_bands
import pytest
import yaml
from matplotlib.backends.backend_agg import FigureCanvasAgg
from pydantic import ValidationError
from synthetic_study import write_study

from defectbench.config.report import ReportSettings
from defectbench.reporting.plots.gallery import draw_gallery
from defectbench.reporting.plots.gallery_images import choose_in_bands
from defectbench.reporting.plots.score_histograms import MOST, score_histograms_figure
from defectbench.reporting.plots.training import training_figure
from defectbench.reporting.records import read_records


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study"), 8, 40)


@pytest.fixture(scope="module")
def records(study):
    return read_records(pd.read_parquet(study.folder / "results.parquet"), study.experiments)


def counts(*ious):
    """Rows of per_image.parquet with these IoU; None is a clean image with a false alarm."""
    rows = [(0, 7, 0, 0) if iou is None else (round(100 * iou), 0, 100 - round(100 * iou), 100) for iou in ious]
    table = pd.DataFrame(rows, columns=["tp", "fp", "fn", "n_truth"])
    return table.assign(image_id=[f"{number:02}" for number in range(len(rows))])


def words(figure):
    FigureCanvasAgg(figure).draw()
    return " ".join(text.get_text() for text in figure.texts)


def test_histograms_hold_the_share_of_defective_images_in_each_bin(records):
    figure = score_histograms_figure(records)
    left, right = figure.axes[:2]
    record = max((r for r in records if r.row["track"] == "automatic"), key=lambda r: r.row["dice_all"])
    rows = pd.read_parquet(record.folder / "per_image.parquet").query("role == 'test' and policy == 'calibrated'")
    rows = rows[(rows["n_truth"] > 0) & (rows["class"] == "merged")]
    iou = rows["tp"] / (rows["tp"] + rows["fp"] + rows["fn"])
    for axes, score, values in ((left, "IoU", iou), (right, "Dice", 2 * iou / (1 + iou))):
        (bars,) = axes.containers
        assert bars[0].get_gid() == f"bars {record.exp_id} {score}"
        tops = [bar.get_height() for bar in bars]
        starts = [round(bar.get_x(), 2) for bar in bars]
        assert sum(tops) == pytest.approx(100)
        expected = [100 * ((values >= low) & (values < low + 0.05 + (low > 0.94))).mean() for low in starts]
        assert tops == pytest.approx(expected)
    n_automatic = sum(record.row["track"] == "automatic" for record in records)
    n_oracle = sum(record.row["track"] == "oracle" for record in records)
    assert len(figure.axes) == 2 * (min(n_automatic, MOST) + min(n_oracle, MOST))
    assert len({axes.get_ylim() for axes in figure.axes}) == 1


def test_bands_hold_what_lies_in_them_the_best_first():
    table = counts(0.95, 0.75, 0.58, None, 0.71, 0.1, 0.78, 0.72, 0.9)
    found = choose_in_bands(table, [(0.9, 1.0), (0.7, 0.8), (0.55, 0.6)], 6)
    assert [[choice.image_id for choice in own] for own in found.values()] == [["00", "08"], ["06", "04"], ["02"]]
    assert list(found)[1] == "IoU 0.7 to 0.8: 4 of 8 defective images"
    assert found["IoU 0.55 to 0.6: 1 of 8 defective images"][0].dice == pytest.approx(2 * 0.58 / 1.58)
    assert choose_in_bands(table, [(0.2, 0.3)], 6) == {"IoU 0.2 to 0.3: 0 of 8 defective images": []}
    assert [len(own) for own in choose_in_bands(table, [(0.7, 0.8), (0.0, 1.0)], 1).values()] == [1, 1]


def test_a_gallery_by_bands_says_how_many_images_each_has(study):
    table, pack = pd.read_parquet(study.folder / "results.parquet"), study.folder / "packed"
    said = words(draw_gallery(table, study.experiments, pack, 4, [(0.0, 0.5), (0.5, 1.0)]))
    assert "IoU 0 to 0.5:" in said
    assert "IoU 0.5 to 1:" in said
    assert "evenly spaced ranks of Dice" not in said
    assert "0 of" in words(draw_gallery(table, study.experiments, pack, 4, [(0.0001, 0.0002)]))


def test_the_script_draws_the_bands_of_the_settings(study, tmp_path):
    ReportSettings(gallery_bands=[[0, 0.5]]).write(tmp_path / "report.yaml")
    folders = [str(folder) for folder in study.experiments]
    (tmp_path / "results.yaml").write_text(yaml.safe_dump({"experiments": folders}))
    files = {"settings": tmp_path / "report.yaml", "experiments": tmp_path / "results.yaml"}
    files |= {"results": study.folder / "results.parquet", "pack": study.folder / "packed", "png": tmp_path / "x.png"}
    plot_gallery_bands.main([text for name, path in files.items() for text in (f"--{name}", str(path))])
    assert (tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("bands", [[[0.8, 0.7]], [[0.5, 0.5]], [[0.5, 1.5]], [[0.5]]])
def test_bands_that_are_none_are_refused(bands):
    with pytest.raises(ValidationError):
        ReportSettings(gallery_bands=bands)


def test_a_training_curve_begins_before_training_and_marks_a_later_evaluation(records, tmp_path):
    record = next(r for r in records if r.row["track"] == "automatic")
    history = {"epoch": [0, 1, 2], "step": [0, 50, 100], "val_iou_fixed": [0.9, 0.3, 0.2], "train_loss": [np.nan, 1, 2]}
    pd.DataFrame(history).to_csv(tmp_path / "history.csv", index=False)
    figure = training_figure([dataclasses.replace(record, folder=tmp_path)])
    lines = {line.get_gid(): line.get_xydata().tolist() for line in figure.axes[0].lines if line.get_gid()}
    assert lines[f"curve {record.exp_id}"] == [[0, 0.9], [50, 0.3], [100, 0.2]]
    assert lines[f"marked {record.exp_id}"] == [[50, 0.3]]
    losses = {line.get_gid(): line.get_xydata().tolist() for line in figure.axes[1].lines if line.get_gid()}
    assert losses[f"curve {record.exp_id}"] == [[50, 1], [100, 2]]
