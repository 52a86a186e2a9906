"""The picture of the choices on val shows the numbers of calibration.json."""

from dataclasses import asdict

import numpy as np
import plot_calibration
import pytest
from evaluation_fixtures import CLASSES, make_dataset, noisy_maps, random_truth
from plot_data import drawn, row, table, texts

from defectbench.config.base import MERGED
from defectbench.config.calibrate import CalibrateSettings
from defectbench.config.report import ResultsSettings
from defectbench.evaluation.calibration import calibrate
from defectbench.files import write_json
from defectbench.reporting.plots.calibration import MOST_ROWS, Row, calibration_figure, read_rows

MERGED_EXP, CLASSES_EXP, NO_SCORES = (
    "unet-resnet18_full_none_native_s42",
    "unet-resnet18_full_none_native_task-per-class_s42",
    "all_empty_full_none_native_s42",
)


@pytest.fixture
def study(tmp_path):
    """Results and calibrations of a merged model, a model of classes and a method without scores."""
    dataset = make_dataset(tmp_path / "data", random_truth())
    merged, per_class = (noisy_maps(dataset.truth, merged) for merged in (True, False))
    for exp_id, maps, header in (
        (MERGED_EXP, merged, {}),
        (CLASSES_EXP, per_class, {"classes": CLASSES}),
        (NO_SCORES, merged, {"has_scores": False}),
    ):
        val, _ = dataset.predict_both(maps, **header)
        write_json(tmp_path / exp_id / "calibration.json", asdict(calibrate(val, CalibrateSettings())))
    rows = row(CLASSES_EXP, 0.9), row(MERGED_EXP, 0.8), row(NO_SCORES, 0.5, 0, "reference")
    table(*rows).to_parquet(tmp_path / "results.parquet")
    folders = [tmp_path / exp_id for exp_id in (MERGED_EXP, CLASSES_EXP, NO_SCORES)]
    ResultsSettings(experiments=folders).write(tmp_path / "results.yaml")
    return tmp_path, read_rows(table(*rows), folders)


def test_curves_and_dots_are_where_calibration_json_says(study):
    _, rows = study
    assert [row.exp_id for row in rows] == [CLASSES_EXP, MERGED_EXP]
    curves, gains, merged_curve, merged_gains = calibration_figure(rows, "tiny").axes
    for index, axes in ((0, curves), (1, merged_curve)):
        found, exp_id = rows[index].calibration, rows[index].exp_id
        for name in (CLASSES, (MERGED,))[index]:
            line = drawn(axes, "curve")[f"{exp_id} {name}"]
            np.testing.assert_allclose(line.get_ydata(), found["curve"][name])
            np.testing.assert_allclose(line.get_xdata(), np.arange(1, 256) / 256)
            shaded = next(patch for patch in axes.patches if patch.get_gid() == f"range {exp_id} {name}")
            assert [shaded.get_x(), shaded.get_x() + shaded.get_width()] == pytest.approx(
                found["threshold_range"][name]
            )
            dot = drawn(axes, "threshold")[f"{exp_id} {name}"]
            assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (found["threshold"][name], found["value"][name])
    for axes, name, found in ((gains, "pits", rows[0].calibration), (merged_gains, MERGED, rows[1].calibration)):
        drawn_gains = next(a for key, a in drawn(axes, "gains").items() if key.endswith(name)).get_ydata()
        expected = sorted((v - found["value"][name] for v in found["candidates"][name].values()), reverse=True)
        np.testing.assert_allclose(drawn_gains, expected)
        assert drawn_gains[0] == pytest.approx(found["post_processed"][name]["value"] - found["value"][name])


def test_the_choices_are_written_beside_their_colours(study):
    _, rows = study
    shown = texts(calibration_figure(rows, "tiny"))
    for name in CLASSES:
        assert f"{name}: p ≥ {rows[0].calibration['threshold'][name]:.3f}" in shown
    assert f"({rows[1].calibration['value_at_half'][MERGED]:.3f} at p = 0.5)" in shown
    assert "7 images" in shown


def test_a_class_without_true_pixels_and_a_study_without_post_processing_say_so(study):
    _, rows = study
    undefined = {key: rows[0].calibration[key] | {"cracks": None} for key in ("value", "value_at_half")}
    off = {"candidates": {}, "post_processed": {}}
    figure = calibration_figure([Row("a", "model", rows[0].calibration | undefined | off)], "tiny")
    assert len(figure.axes) == 1
    assert list(drawn(figure.axes[0], "curve")) == ["a pits"]
    assert "no true pixel on val" in texts(figure)
    assert "No post-processing was tried" in texts(figure)


def test_a_large_study_shows_the_best_and_counts_the_rest(study):
    _, rows = study
    many = [Row(f"e{i}", f"model {i}", rows[1].calibration) for i in range(60)]
    figure = calibration_figure(many, "tiny")
    assert len(figure.axes) == 2 * MOST_ROWS
    assert f"{60 - MOST_ROWS} more experiments" in texts(figure)


def test_without_scores_there_is_a_message():
    assert "no threshold to choose" in texts(calibration_figure([], "tiny")).replace("\n", " ")


def test_the_script_draws_the_same_bytes_twice(study, capsys):
    folder, _ = study
    inputs = ["--experiments", str(folder / "results.yaml"), "--results", str(folder / "results.parquet")]
    for name in ("a", "b"):
        plot_calibration.main([*inputs, "--png", str(folder / f"{name}.png"), "--svg", str(folder / f"{name}.svg")])
    assert str(folder / "b.png") in capsys.readouterr().out
    for suffix in ("png", "svg"):
        assert (folder / f"a.{suffix}").read_bytes() == (folder / f"b.{suffix}").read_bytes()
