"""Plots of the experiments' records show what independent computations from the same records give."""

import dataclasses
from dataclasses import replace

import numpy as np
import pandas as pd
import plot_ablations
import plot_cost
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve

from defectbench.data.packing import MaskPack
from defectbench.evaluation.pixel_curves import percentile_interval
from defectbench.inference.prediction_file import PredictionFile
from defectbench.metrics.codes import N_BINS, probabilities_from_codes, threshold_code
from defectbench.reporting import palette
from defectbench.reporting.plots import band
from defectbench.reporting.plots.ablations import ablations_figure
from defectbench.reporting.plots.by_class import by_class_figure
from defectbench.reporting.plots.cost import cost_figure, pareto_front
from defectbench.reporting.plots.image_scores import image_scores_figure
from defectbench.reporting.plots.precision_recall import RECALL, precision_recall_figure, resolved_precision
from defectbench.reporting.plots.reliability import (
    FEWEST,
    average_calibration_error,
    calibration_bins,
    reliability_figure,
)
from defectbench.reporting.plots.score_histograms import MOST_MODELS, score_histograms_figure
from defectbench.reporting.plots.success import success_figure
from defectbench.reporting.plots.training import training_figure
from defectbench.reporting.records import RecordsError, read_records

FIGURES = {
    "cost": cost_figure,
    "success": success_figure,
    "image_scores": image_scores_figure,
    "score_histograms": score_histograms_figure,
    "by_class": by_class_figure,
    "precision_recall": precision_recall_figure,
    "reliability": reliability_figure,
    "training": training_figure,
}


def drawn(axes, kind):
    artists = [*axes.lines, *axes.collections]
    return {a.get_gid().removeprefix(f"{kind} "): a for a in artists if (a.get_gid() or "").startswith(f"{kind} ")}


def pixels(record, pack_of):
    """True and predicted values of all test pixels, from the maps themselves."""
    truth, codes = [], []
    with PredictionFile(record.folder / "test.pred.parquet") as file:
        for image_id, maps in file:
            truth.append(pack_of[image_id].ravel())
            codes.append(maps.max(axis=0).ravel())
    return np.concatenate(truth), np.concatenate(codes)


@pytest.fixture(scope="module")
def masks(study):
    pack = MaskPack(study.folder / "packed")
    return {image_id: pack[image_id].any(axis=0) for image_id in pack.image_ids}


def test_every_experiment_of_the_automatic_track_is_drawn_and_none_of_another(records):
    automatic = {record.exp_id for record in records if record.row["track"] == "automatic"}
    for name in ("success", "precision_recall", "reliability", "training"):
        figure = FIGURES[name](records)
        assert set(drawn(figure.axes[0], "curve")) == automatic, name
    said = " ".join(text.get_text() for text in success_figure(records).texts)
    assert "oracle track" in said


def test_success_is_the_share_of_defective_images_that_reach_t(records):
    record = records[0]
    rows = pd.read_parquet(record.folder / "per_image.parquet").query("role == 'test' and policy == 'calibrated'")
    rows = rows[rows["n_truth"] > 0]
    iou = (rows["tp"] / (rows["tp"] + rows["fp"] + rows["fn"])).to_numpy()
    x, y = drawn(success_figure(records).axes[0], "curve")[record.exp_id].get_data()
    np.testing.assert_allclose(y, [(iou >= t).mean() for t in x])
    at = {round(t, 2): share for t, share in zip(x, y, strict=True)}
    assert at[0.5] == pytest.approx(record.row["IoU@50"])
    assert at[0.75] == pytest.approx(record.row["IoU@75"])


def test_precision_at_recall_is_that_of_scikit_learn_and_its_mean_height_the_average_precision(records, masks):
    for record in records[:3]:
        truth, codes = pixels(record, masks)
        precision, recall, _ = precision_recall_curve(truth, codes)
        left, right = precision_recall_figure(records).axes[:2]
        x, y = drawn(left, "curve")[record.exp_id].get_data()
        np.testing.assert_allclose(y, [precision[:-1][recall[:-1] >= wanted - 1e-9][-1] for wanted in x])
        assert y.mean() == pytest.approx(average_precision_score(truth, codes), abs=0.003)
        assert y.mean() == pytest.approx(record.row["AUPRC"], abs=0.003)
        p, f1 = drawn(right, "curve")[record.exp_id].get_data()
        k = round(p[100] * N_BINS)
        assert f1[100] == pytest.approx(f1_score(truth, codes >= threshold_code(k)))


def test_precision_above_the_last_threshold_is_measured_but_its_band_is_not():
    """A confident network: four in five defective pixels, and few others, are above p = 255/256."""
    rng = np.random.default_rng(0)
    histograms = np.zeros((70, 2, N_BINS), np.int64)
    histograms[:, 1, 255], histograms[:, 0, 255] = rng.poisson(400, 70), rng.poisson(20, 70)
    histograms[:, 1, 1:255], histograms[:, 0, :255] = rng.poisson(0.4, (70, 254)), rng.poisson(40, (70, 255))
    exact = np.full(len(RECALL), 0.9)
    low, high = percentile_interval(histograms, band.bootstrap_of(np.arange(70)), resolved_precision, exact)
    drawn_at = RECALL[~np.isnan(low)]
    share = histograms[:, 1, 255].sum() / histograms[:, 1].sum()
    assert share == pytest.approx(0.8, abs=0.01)
    assert drawn_at.min() == pytest.approx(share, abs=0.02)
    assert drawn_at.max() > 0.99
    known = ~np.isnan(low)
    assert (low[known] < 0.9).all()
    assert (high[known] > 0.9).all()
    few = band.bootstrap_of(np.arange(70) % 59)
    assert np.isnan(percentile_interval(histograms, few, resolved_precision, exact)).all()


def test_reliability_counts_the_pixels_of_each_bin(records, masks):
    record = records[1]
    truth, codes = pixels(record, masks)
    p = probabilities_from_codes(codes)
    # Bins of sixteen candidate thresholds.
    cuts = [threshold_code(k) for k in range(16, N_BINS, 16)]
    bins = np.searchsorted(cuts, codes, side="right")
    x, y = drawn(reliability_figure(records).axes[0], "curve")[record.exp_id].get_data()
    for b in np.unique(bins):
        assert np.isnan(x[b]) == np.isnan(y[b]) == ((bins == b).sum() < FEWEST)
        if np.isfinite(x[b]):
            assert y[b] == pytest.approx(truth[bins == b].mean())
            assert x[b] == pytest.approx(p[bins == b].mean(), abs=1 / N_BINS)


def test_the_calibration_error_is_not_drowned_by_background():
    """By hand: a million background pixels at p = 0, 1,000 pixels at p = 0.85 that mean 0.43, 99 that do not count."""
    histogram = np.zeros((2, N_BINS), np.int64)
    histogram[:, 0] = 1_000_000, 0
    k = 217  # the bin of p = (217 + 0.5)/256 = 0.8496
    histogram[:, k] = 570, 430
    histogram[:, 100] = 0, FEWEST - 1
    predicted, observed = calibration_bins(histogram)
    assert (~np.isnan(predicted)).sum() == (~np.isnan(observed)).sum() == 2
    assert predicted[[0, 13]] == pytest.approx([0.5 / 256, 217.5 / 256])
    assert observed[[0, 13]] == pytest.approx([0, 0.43])
    expected = (0.5 / 256 + 217.5 / 256 - 0.43) / 2
    assert average_calibration_error(predicted, observed) == pytest.approx(expected)
    assert expected > 0.2


def test_histograms_are_of_the_test_images_with_their_groups(records, masks):
    groups, histograms = records[0].image_histograms()
    assert histograms.shape == (40, 2, N_BINS)
    assert histograms[:, 1].sum() == sum(mask.sum() for mask in masks.values())
    assert len(set(groups)) == 14


def test_the_band_of_a_share_is_the_exact_interval_at_0_and_1_too():
    values = np.column_stack([np.zeros(45), np.ones(45), np.arange(45) < 15]).astype(float)
    low, high = band.ratio_band(values, np.ones_like(values), band.bootstrap_of(np.arange(45)))
    exact = [binomtest(k, 45).proportion_ci(method="exact") for k in (0, 45, 15)]
    np.testing.assert_allclose(low, [interval.low for interval in exact], atol=0.025)
    np.testing.assert_allclose(high, [interval.high for interval in exact], atol=0.025)


points = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=12)


@given(points)
def test_the_pareto_front_holds_what_nothing_dominates(pairs):
    costs, scores = zip(*pairs, strict=True)
    found = {pairs[i] for i in pareto_front(costs, scores)}
    assert found == {(c, s) for c, s in pairs if not any(d <= c and t >= s and (d, t) != (c, s) for d, t in pairs)}
    assert len(pareto_front(costs, scores)) == len(found)


def test_cost_shows_every_value_with_its_interval(records):
    figure = cost_figure(records)
    own = [record for record in records if record.row["track"] == "automatic"]
    values, intervals = drawn(figure.axes[0], "value"), drawn(figure.axes[0], "interval")
    assert set(values) == set(intervals) == {record.exp_id for record in own}
    for record in own:
        (x,), (y,) = values[record.exp_id].get_data()
        assert (x, y) == (record.row["infer_ms_p50"], record.row["dice_all"])


def test_times_of_another_device_are_hollow_and_on_no_front(records):
    own = [record for record in records if record.row["track"] == "automatic"]
    fastest = min(own, key=lambda record: record.row["infer_ms_p50"])
    moved = replace(fastest, row=fastest.row | {"device": "another"})
    figure = cost_figure([moved if record is fastest else record for record in records])
    faces = {exp_id: dot.get_markerfacecolor() for exp_id, dot in drawn(figure.axes[0], "value").items()}
    assert [exp_id for exp_id, face in faces.items() if face == "white"] == [fastest.exp_id]
    (line,) = drawn(figure.axes[0], "front").values()
    others = [record.row for record in own if record is not fastest]
    kept = pareto_front([row["infer_ms_p50"] for row in others], [row["dice_all"] for row in others])
    np.testing.assert_allclose(line.get_xdata(), [others[i]["infer_ms_p50"] for i in kept])
    assert "hollow: another" in " ".join(text.get_text() for text in figure.texts)


def test_times_of_a_busy_machine_are_named(records):
    busy = [r.name for r in records if r.row["track"] == "automatic" and r.row["load"] > 1]
    assert busy
    said = " ".join(" ".join(text.get_text() for text in cost_figure(records).texts).split())
    assert f"as other work ran (load above 1 per CPU), of {', '.join(busy)}." in said
    idle = [replace(record, row=record.row | {"load": 1.0}) for record in records]
    assert "other work ran" not in " ".join(text.get_text() for text in cost_figure(idle).texts)


def test_times_whose_parts_are_of_several_devices_make_no_front(records):
    own = [record for record in records if record.row["track"] == "automatic"]
    figure = cost_figure([replace(record, row=record.row | {"device": "mixed"}) for record in own])
    assert not drawn(figure.axes[0], "front")
    assert drawn(figure.axes[1], "front")
    assert {dot.get_markerfacecolor() for dot in drawn(figure.axes[0], "value").values()} == {"white"}
    few = [replace(record, row=record.row | {"device": "mixed"}) for record in own[1:]]
    texts = " ".join(text.get_text() for text in cost_figure([own[0], *few]).texts)
    assert "that front is of CPU; hollow: mixed" in " ".join(texts.split())


def test_a_family_has_one_colour_in_all_pictures(records):
    hues = palette.family_colours([r.row["family"] for r in records], [r.row["track"] for r in records])
    first = {record.row["family"]: record.exp_id for record in reversed(records) if record.row["track"] == "automatic"}
    assert len(first) > 2
    cost, success = cost_figure(records), success_figure(records)
    for family, exp_id in first.items():
        assert drawn(cost.axes[0], "value")[exp_id].get_markerfacecolor() == hues[family]
        assert drawn(success.axes[0], "curve")[exp_id].get_color() == hues[family]


def test_losses_of_different_sizes_have_a_logarithmic_axis(records, tmp_path):
    assert training_figure(records).axes[1].get_yscale() == "linear"
    own = next(record for record in records if len(record.history))
    changed = replace(own)
    vars(changed)["history"] = own.history.assign(train_loss=100.0)
    figure = training_figure([changed if record is own else record for record in records])
    assert figure.axes[1].get_yscale() == "log"


def test_bars_by_size_are_those_of_metrics_json(records):
    axes = by_class_figure(records).axes[0]
    record = max((r for r in records if r.row["track"] == "automatic"), key=lambda r: r.row["dice_all"])
    heights = [bar.get_height() for bar in axes.containers[0]]
    expected = [quartile["mIoU"] for quartile in record.metrics["by_size"]["quartiles"]]
    np.testing.assert_allclose(heights, expected)


def test_ablations_say_what_was_tested_and_what_was_not(records):
    a, b = records[0], records[1]
    row = {"kind": "ablation", "a": a.row["experiment"], "b": b.row["experiment"], "difference": 2.5}
    row |= {"difference_lo": 1.0, "difference_hi": 4.0, "claim": "a better"}
    tests = pd.DataFrame([row, row | {"a": records[2].row["experiment"], "claim": "no claim"}])
    figure = ablations_figure(records, tests)
    faces = [dot.get_markerfacecolor() for dot in drawn(figure.axes[0], "value").values()]
    assert faces == [palette.HUES[0], "white"]
    (x,), _ = next(iter(drawn(figure.axes[0], "value").values())).get_data()
    assert x == 2.5
    described = {dot.get_markerfacecolor() for axes in figure.axes[1:] for dot in drawn(axes, "value").values()}
    assert described == {palette.MUTED}
    gains = {gid: dot.get_xdata()[0] for gid, dot in drawn(figure.axes[1], "value").items()}
    assert gains[a.name] == pytest.approx(100 * (a.metrics["dice_all_pp"] - a.metrics["dice_all"]))


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_to_show_is_said(name, records, tmp_path):
    references = [record for record in records if record.row["track"] == "reference"]
    figure = FIGURES[name](references)
    assert not figure.axes
    assert len(figure.texts) >= 2


def test_texts_of_plots_do_not_overlap(records):
    for name, draw in FIGURES.items():
        figure = draw(records)
        renderer = FigureCanvasAgg(figure).get_renderer()
        boxes = [text.get_window_extent(renderer) for text in figure.texts if text.get_text()]
        for i, first in enumerate(boxes):
            assert not any(_overlap(first, second) for second in boxes[i + 1 :]), name


def _overlap(first, second):
    across = min(first.x1, second.x1) - max(first.x0, second.x0)
    up = min(first.y1, second.y1) - max(first.y0, second.y0)
    return across > 1 and up > 3


def test_scripts_write_the_same_bytes_every_time(study, tmp_path):
    arguments = ["--experiments", str(study.folder / "results.yaml")]
    arguments += ["--results", str(study.folder / "results.parquet")]
    tests = ["--pairwise", str(study.folder / "pairwise.csv")]
    for script, more in ((plot_cost, []), (plot_ablations, tests)):
        name = script.__name__
        for folder in ("first", "second"):
            stem = tmp_path / folder / name
            script.main([*arguments, *more, "--png", f"{stem}.png", "--svg", f"{stem}.svg"])
        for suffix in (".png", ".svg"):
            first, second = (tmp_path / folder / f"{name}{suffix}" for folder in ("first", "second"))
            assert first.read_bytes() == second.read_bytes()


def test_a_row_without_a_folder_is_refused(study):
    results = pd.read_parquet(study.folder / "results.parquet")
    with pytest.raises(RecordsError, match="make the results again"):
        read_records(results, study.experiments[1:])


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
    assert len(figure.axes) == 2 * (min(n_automatic, MOST_MODELS) + min(n_oracle, MOST_MODELS))
    assert len({axes.get_ylim() for axes in figure.axes}) == 1


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
