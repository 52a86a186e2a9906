"""Pictures say what the tables say: the same numbers, the same pixels, the same bytes every time."""

import cv2
import numpy as np
import pandas as pd
import plot_data_efficiency
import plot_gallery
import plot_ranking
import pytest
from matplotlib.colors import to_rgb
from plot_data import drawn, row, table, texts
from scipy import ndimage
from small_datasets import HEIGHT, WIDTH, write_severstal

from defectbench.config.report import RankingSettings
from defectbench.data.ingest import ingest
from defectbench.data.packing import MaskPack
from defectbench.data.prediction_file import PredictionHeader, write_predictions
from defectbench.data.rle import encode_severstal
from defectbench.data.write_packs import pack_images, pack_masks
from defectbench.evaluation.calibration import Calibration
from defectbench.evaluation.pairwise import PAIRWISE
from defectbench.evaluation.postprocessing import PostProcessing
from defectbench.files import read_json, write_json
from defectbench.metrics.codes import HALF, threshold_code
from defectbench.metrics.counts import confusion
from defectbench.reporting import overlay, palette, words
from defectbench.reporting.plots import gallery, style
from defectbench.reporting.plots.data_efficiency import data_efficiency_figure, spread
from defectbench.reporting.plots.gallery_images import choose_images, read_counts, read_samples
from defectbench.reporting.plots.ranking import MOST_ROWS, ranking_figure
from defectbench.reporting.power_law import CURVES, FITS

BEST = "unet-resnet18_full_none_native_steps-9_s42"


ROWS = (
    row("unet-resnet18_80_none_native_steps-9_s42", 0.70, 80),
    row(BEST, 0.81),
    row("unet-resnet18_full_none_native_task-per-class_steps-9_s42", 0.79),
    row("sam-tiny_full_none_native_s1", 0.77),
    row("sam-tiny_full_none_native_s2", 0.75),
    row("all_empty_full_none_native_s42", 0.46, 0, "reference"),
    row("tophat_otsu_full_none_native_s42", 0.49, 336, "reference"),
)
NO_CURVES = pd.DataFrame(columns=list(CURVES))
NO_FITS = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in FITS.items()})
NO_PAIRS = pd.DataFrame(columns=list(PAIRWISE))
ORACLE = row(
    "sam-tiny_80_box_native_s42", 0.95, 80, "oracle", prompt_type="box", model="sam", variant="tiny",
    dice_all=None, dice_all_lo=None, dice_all_hi=None,
)  # fmt: skip


@pytest.mark.parametrize("metric", ["dice_all", "test_Dice", "test_mIoU"])
def test_the_ranking_shows_the_numbers_of_the_table_best_first(metric):
    figure = ranking_figure(table(*ROWS), NO_PAIRS, RankingSettings(metric=metric))
    (axes,) = figure.axes
    values, intervals = drawn(axes, "value"), drawn(axes, "interval")
    assert len(values) == len(intervals) == len(ROWS)
    for expected in ROWS:
        (x,), (y,) = values[expected["exp_id"]].get_data()
        ((ends),) = intervals[expected["exp_id"]].get_segments()
        assert x == expected[metric]
        assert ends.tolist() == [[expected[f"{metric}_lo"], y], [expected[f"{metric}_hi"], y]]
        assert f"{expected[metric]:.3f}" in texts(figure)
    by_place = sorted(values, key=lambda exp_id: values[exp_id].get_ydata()[0])
    by_value = sorted(ROWS, key=lambda r: (r["track"], -r[metric]))
    assert by_place == [r["exp_id"] for r in by_value]


def test_dots_are_hollow_where_a_test_shows_the_model_to_be_worse():
    worse = ROWS[0]["exp_id"]
    tests = pd.DataFrame([{"kind": "vs_best", "a": BEST, "b": worse, "claim": "a better"}], columns=list(PAIRWISE))
    figure = ranking_figure(table(*ROWS), tests, RankingSettings(metric="dice_all"))
    faces = {exp_id: dot.get_markerfacecolor() for exp_id, dot in drawn(figure.axes[0], "value").items()}
    assert [exp_id for exp_id, face in faces.items() if face == "white"] == [worse]
    assert "● no test shows another model to be better; ○ significantly worse than another" in " ".join(
        texts(figure).split()
    )
    equal = ranking_figure(table(*ROWS), tests.assign(claim="no claim"), RankingSettings(metric="dice_all"))
    assert "No model is significantly worse" in texts(equal)
    few = ranking_figure(table(*ROWS), tests.assign(claim="too few groups"), RankingSettings(metric="dice_all"))
    assert "Too few groups of test images for a test: 20 are needed" in texts(few)
    for figure in (equal, few):
        assert "white" not in [dot.get_markerfacecolor() for dot in drawn(figure.axes[0], "value").values()]
    other = ranking_figure(table(*ROWS), tests, RankingSettings(metric="test_mIoU"))
    assert "white" not in [dot.get_markerfacecolor() for dot in drawn(other.axes[0], "value").values()]
    assert "tested for another metric" in texts(other)


def test_the_ranking_says_on_how_many_images_and_what_the_number_is():
    said = texts(ranking_figure(table(*ROWS), NO_PAIRS, RankingSettings(metric="dice_all")))
    assert "mean Dice over all 86 test images, the 40 clean ones included; both masks empty = 1" in said
    assert "sam tiny, seed 1" in said
    assert "unet resnet18, task per class" in said
    assert "steps" not in said, "a setting that all runs of a family share tells nothing"


def test_the_oracle_track_has_a_panel_and_a_metric_of_its_own():
    first, second = ranking_figure(table(*ROWS, ORACLE), NO_PAIRS, RankingSettings(metric="dice_all")).axes
    assert ORACLE["exp_id"] not in drawn(first, "value")
    assert list(drawn(second, "value")) == [ORACLE["exp_id"]]
    assert drawn(second, "value")[ORACLE["exp_id"]].get_xdata()[0] == ORACLE["test_Dice"]
    automatic, oracle = data_efficiency_figure(table(*ROWS, ORACLE), NO_CURVES, NO_FITS).axes
    assert len(drawn(automatic, "value")) == 3
    assert len(drawn(oracle, "value")) == 1
    assert not drawn(oracle, "level")


def test_missing_values_and_intervals_are_said_not_drawn():
    unknown = row("sam-tiny_full_none_native_s3", 0.7, None, dice_all_lo=None, dice_all_hi=None)
    empty = row("sam-tiny_full_none_native_s4", 0.7, dice_all=None)
    figure = ranking_figure(table(ROWS[0], unknown, empty), NO_PAIRS, RankingSettings(metric="dice_all"))
    assert len(drawn(figure.axes[0], "value")) == 2
    assert list(drawn(figure.axes[0], "interval")) == [ROWS[0]["exp_id"]]
    assert "No bar: the interval could not be determined." in texts(figure)
    assert "1 more experiments, with lower values or none" in texts(figure)


def test_a_long_ranking_is_cut_and_says_so():
    rows = [row(f"unet-resnet18_full_none_native_s{seed}", 0.5 + seed / 1000) for seed in range(MOST_ROWS + 5)]
    figure = ranking_figure(table(*rows), NO_PAIRS, RankingSettings(metric="dice_all"))
    assert len(drawn(figure.axes[0], "value")) == MOST_ROWS
    assert "5 more experiments" in texts(figure)


@pytest.mark.parametrize("rows", [(), (ORACLE,), ROWS[-2:]], ids=["nothing", "oracle only", "references only"])
def test_empty_tracks_are_no_error(rows, tmp_path):
    style.save(ranking_figure(table(*rows), NO_PAIRS, RankingSettings(metric="dice_all")), tmp_path / "ranking.png")
    style.save(data_efficiency_figure(table(*rows), NO_CURVES, NO_FITS), tmp_path / "data_efficiency.png")
    assert all((tmp_path / f"{name}.png").stat().st_size > 0 for name in ("ranking", "data_efficiency"))


def test_data_efficiency_shows_every_training_and_joins_the_means_over_seeds():
    rows = [row(f"unet-resnet18_{n}_none_native_s{s}", 0.6 + n / 1000 + s / 50, n) for n in (50, 100) for s in (1, 2)]
    zero_shot = row("sam3-base_0_none_native_s42", 0.6, 0)
    (axes,) = data_efficiency_figure(table(*rows, zero_shot, *ROWS[-2:]), NO_CURVES, NO_FITS).axes
    (points,) = drawn(axes, "value").values()
    assert sorted(points.get_ydata()) == sorted(r["dice_all"] for r in rows)
    (mean,) = drawn(axes, "mean").values()
    np.testing.assert_allclose(mean.get_ydata(), [0.68, 0.73])
    np.testing.assert_allclose(mean.get_xdata(), [50, 100])
    (bars,) = drawn(axes, "interval").values()
    ends = sorted(tuple(segment[:, 1]) for segment in bars.get_segments())
    np.testing.assert_allclose(ends, sorted((r["dice_all_lo"], r["dice_all_hi"]) for r in rows))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["50", "100"]
    levels = {exp_id: line.get_ydata()[0] for exp_id, line in drawn(axes, "level").items()}
    assert levels == {r["exp_id"]: r["dice_all"] for r in (zero_shot, *ROWS[-2:])}


def test_the_labels_that_are_nearly_enough_are_marked_on_the_fitted_line():
    rows = [row(f"unet-resnet18_{n}_none_native_s1", 1 - 2 * n**-0.5, n) for n in (50, 100, 400)]
    (name,) = words.label_rows(table(*rows), "automatic", "dice_all")["series"].unique()
    n = np.geomspace(50, 400, 60)
    law = pd.DataFrame({"series": name, "n_labels": n, "score": 1 - 2 * n**-0.5})
    law = law.assign(score_lo=law["score"] - 0.02, score_hi=law["score"] + 0.02)
    known = {"track": "automatic", "series": name, "n_enough": 217.0, "n_enough_lo": 190.0, "n_enough_hi": 250.0}
    fits = pd.DataFrame([known | {"exponent_lo": low} for low in (0.4, -0.1)], columns=list(FITS))
    figure = data_efficiency_figure(table(*rows), law, fits[:1])
    (mark,) = drawn(figure.axes[0], "enough").values()
    (x,), (y,) = mark.get_data()
    assert (x, y) == (217, pytest.approx(1 - 2 * 217**-0.5, abs=1e-3))
    assert "labels for 95 % of the fitted score" in texts(figure)
    assert not drawn(data_efficiency_figure(table(*rows), law, fits[1:]).axes[0], "enough"), "no fall was shown"


def test_one_number_of_labels_gives_points_and_a_note():
    figure = data_efficiency_figure(table(ROWS[1], ROWS[2], ROWS[-1]), NO_CURVES, NO_FITS)
    assert len(drawn(figure.axes[0], "value")) == 2
    assert not drawn(figure.axes[0], "mean")
    assert "No model was trained on two numbers of labels yet" in texts(figure)


def test_names_beside_the_lines_keep_their_order_and_their_distance():
    places = [0.5, 0.1, 0.51, 0.49, 0.9]
    moved = spread(places, 0.1)
    assert np.argsort(moved).tolist() == np.argsort(places).tolist()
    assert np.diff(sorted(moved)).min() > 0.1 - 1e-9
    np.testing.assert_allclose(moved, [0.5, 0.1, 0.6, 0.4, 0.9])
    np.testing.assert_allclose(spread([0.98, 0.99, 1.0], 0.1), [0.8, 0.9, 1.0])


def test_colours_follow_the_order_of_first_appearance_whatever_the_names():
    hues = palette.family_colours(["none", "b", "a", "b"], ["reference", "automatic", "oracle", "automatic"])
    assert hues == {"none": palette.MUTED, "b": palette.HUES[0], "a": palette.HUES[1]}
    assert list(palette.series_colours(hues, ["b", "b", "a"], ["b1", "b2", "a1"]).items()) == [
        ("b1", palette.HUES[0]),
        ("b2", palette.lighter(palette.HUES[0], 0.275)),
        ("a1", palette.HUES[1]),
    ]
    shades = palette.series_colours(hues, ["a", "a"], ["a1", "a2"])
    assert shades["a1"] == hues["a"], "a family keeps its colour where no other is shown"
    single = palette.series_colours({"b": palette.HUES[0], "none": palette.MUTED}, ["b", "b"], ["b1", "b2"])
    assert list(single.values()) == list(palette.HUES[:2])


def test_exponents_in_names_keep_their_sign():
    rows = [row(f"unet-resnet18_full_none_native_lr-{lr}_s42", 0.7) for lr in ("1e-05", "0.001")]
    assert set(words.label_rows(table(*rows), "automatic", "dice_all")["label"]) == {
        "unet resnet18, lr 1e-05",
        "unet resnet18, lr 0.001",
    }


def test_an_outline_is_the_boundary_of_the_mask_and_nothing_else():
    mask = np.zeros((8, 10), bool)
    mask[2:7, 0:6] = True
    mask[4, 3] = False
    expected = [
        (y, x)
        for y, x in np.argwhere(mask)
        if any(
            not (0 <= v < 8 and 0 <= u < 10) or not mask[v, u]
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
        )
    ]
    np.testing.assert_array_equal(np.argwhere(overlay.boundary(mask)), expected)


def test_overlays_touch_only_the_masks():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (20, 30), dtype=np.uint8)
    truth, prediction = rng.random((2, 20, 30)) < 0.3
    drawn_truth = overlay.draw_truth(image, truth[None], ["#00E0A0"])
    np.testing.assert_array_equal(drawn_truth[~truth], overlay.as_rgb(image)[~truth])
    colour = np.rint(255 * np.array(to_rgb("#00E0A0")))
    np.testing.assert_array_equal(
        drawn_truth[overlay.boundary(truth)], np.tile(colour, (overlay.boundary(truth).sum(), 1))
    )
    picture = overlay.draw_prediction(image, truth, prediction)
    np.testing.assert_array_equal(picture[~truth & ~prediction], overlay.as_rgb(image)[~truth & ~prediction])
    alarm = overlay.boundary(prediction) & ~truth
    assert (picture[alarm] == np.rint(255 * np.array(to_rgb(overlay.FALSE_ALARM)))).all()


def counts(*rows):
    return pd.DataFrame([dict(zip(("image_id", "n_truth", "tp", "fp", "fn"), r, strict=True)) for r in rows])


def test_images_are_chosen_by_rule():
    defective = [(f"d{i}", 10, i, 0, 10 - i) for i in range(11)]
    clean = [("c1", 0, 0, 0, 0), ("c2", 0, 0, 7, 0), ("c3", 0, 0, 9, 0)]
    chosen = choose_images(counts(*defective, *clean), 4)
    assert [choice.image_id for choice in chosen] == ["d10", "d5", "d0", "c3"]
    assert [choice.dice for choice in chosen] == [1, pytest.approx(2 / 3), 0, 0]
    assert "rank 6 of 11 defective images" in chosen[1].caption
    assert [c.image_id for c in choose_images(counts(*defective, clean[0]), 3)] == ["d10", "d5", "d0"]
    assert [c.image_id for c in choose_images(counts(*clean), 4)] == ["c3"]
    assert [c.image_id for c in choose_images(counts(*defective[:2]), 6)] == ["d1", "d0"]


def calibrated(classes, **steps):
    """calibration.json at k = 100 with the post-processing ``steps``; without any where there are none."""
    chosen = {name: {"k": 100, **PostProcessing(**steps).record(), "value": 0.9} for name in classes if steps}
    unused = {key: {} for key in ("threshold", "value", "value_at_half", "curve", "candidates")}
    header = {"role": "val", "objective": "dice_all", "has_scores": True, "used_val_labels": True, "n_images": 9}
    thresholds = dict.fromkeys(classes, 100)
    return {**header, **unused, "val_ids_sha256": "", "thresholds": thresholds, "post_processed": chosen}


@pytest.fixture
def study(tmp_path):
    """Four packed images, two of them defective, with the predictions of one experiment."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[3:9, 30:40] = 1
    rows = [f"{name}.png,{c},{encode_severstal(mask)}" for name, c in ((0, 1), (2, 4))]
    dataset = write_severstal(tmp_path / "source", rows)
    manifest, _ = ingest(dataset, tmp_path / "found.csv")
    pack_images(manifest, dataset.root, tmp_path / "packed")
    pack_masks(manifest, tmp_path / "packed")
    folder = tmp_path / BEST
    masks, per_image = MaskPack(tmp_path / "packed"), []
    with write_predictions(folder / "test.pred.parquet", PredictionHeader("test", masks.class_names, True)) as writer:
        for shift, image_id in enumerate(masks.image_ids):
            codes = np.where(np.roll(masks[image_id], shift, axis=1), threshold_code(100), threshold_code(99))
            codes[0, :2, :3] = 65535 if shift == 3 else 0
            writer.add(image_id, codes.astype(np.uint16))
            truth = masks[image_id].any(axis=0)
            for policy, cut in (("calibrated", threshold_code(100)), ("at_0.5", HALF)):
                tp, fp, fn = confusion(truth, (codes >= cut).any(axis=0))
                record = {"image_id": image_id, "n_truth": int(truth.sum()), "tp": tp, "fp": fp, "fn": fn}
                per_image.append({"role": "test", "class": "merged", "policy": policy} | record)
    pd.DataFrame(per_image).to_parquet(folder / "per_image.parquet")
    write_json(folder / "calibration.json", calibrated(masks.class_names))
    table(*ROWS).to_parquet(tmp_path / "results.parquet")
    NO_PAIRS.to_csv(tmp_path / "pairwise.csv", index=False)
    NO_CURVES.to_csv(tmp_path / "curves.csv", index=False)
    NO_FITS.to_csv(tmp_path / "fits.csv", index=False)
    (tmp_path / "results.yaml").write_text(f"experiments: [elsewhere, {folder}]")
    (tmp_path / "report.yaml").write_text("gallery_images: 3")
    (tmp_path / "ranking.yaml").write_text("metric: dice_all")
    return tmp_path


def draw_gallery(study, name="gallery.png"):
    arguments = {"settings": "report.yaml", "experiments": "results.yaml", "results": "results.parquet"}
    paths = {**arguments, "pack": "packed", "png": name}
    plot_gallery.main([part for key, path in paths.items() for part in (f"--{key}", str(study / path))])
    return study / name


def test_the_gallery_shows_every_pixel_where_it_is(study):
    page = cv2.imread(str(draw_gallery(study)), cv2.IMREAD_COLOR_RGB)
    scale = 526 // WIDTH  # three pictures of 40 pixels side by side in 1600
    truth = MaskPack(study / "packed")["0.png"].astype(bool)
    image = cv2.imread(str(study / "source/train_images/0.png"), cv2.IMREAD_GRAYSCALE)
    colours = list(overlay.class_colours(MaskPack(study / "packed").class_names).values())
    merged = truth.any(axis=0)
    pictures = [
        overlay.as_rgb(image),
        overlay.draw_truth(image, truth, colours),
        overlay.draw_prediction(image, merged, merged),
    ]
    left = round(style.MARGIN * style.DPI)
    # The first pixel of the image picks the rows where the first sample may begin.
    enlarged = [picture.repeat(scale, axis=0).repeat(scale, axis=1) for picture in pictures]
    starts = [y for y in range(len(page)) if (page[y : y + 1, left : left + WIDTH * scale] == enlarged[0][:1]).all()]
    top = starts[0]
    for i, picture in enumerate(enlarged):
        x = left + i * (WIDTH * scale + 10)
        np.testing.assert_array_equal(page[top : top + HEIGHT * scale, x : x + WIDTH * scale], picture)


def gallery_of(study, policy="calibrated"):
    """The gallery's words and samples."""
    rows = pd.read_parquet(study / "results.parquet").assign(policy=policy)
    folder, pack = study / BEST, study / "packed"
    calibration = Calibration(**read_json(folder / "calibration.json"))
    choices = choose_images(read_counts(folder, policy), 3)
    figure = gallery.draw_gallery(rows, [folder], pack, 3)
    words = " ".join(" ".join(text.get_text() for text in figure.texts).split())
    return words, read_samples(folder, pack, choices, calibration, policy)


def test_the_masks_of_a_model_that_saw_no_labels_are_those_at_half(study):
    """Its codes on defects are below p = 0.5: at the calibrated threshold they are hits."""
    words, samples = gallery_of(study)
    assert "Threshold chosen on val images: p ≥ 0.39 (" in words
    assert any(sample.choice.tp for sample in samples)
    words, samples = gallery_of(study, "at_0.5")
    assert "Threshold p ≥ 0.5, as in its metrics: this model was shown no labels" in words
    assert not any(sample.choice.tp for sample in samples)
    assert "0 pixels hit" in words


def test_the_gallery_shows_masks_before_and_after_post_processing(study):
    words, samples = gallery_of(study)
    assert "No post-processing." in words
    assert all(sample.post_processed is None for sample in samples)
    classes = MaskPack(study / "packed").class_names
    write_json(study / BEST / "calibration.json", calibrated(classes, min_area=20))
    words, samples = gallery_of(study)
    assert "image, truth, prediction of any class, the same after post-processing" in words
    assert f"at p ≥ 0.39 ({classes[0]})" in words
    assert f"area >= 20 px ({classes[0]})" in words
    for sample in samples:
        labels, _ = ndimage.label(sample.prediction, np.ones((3, 3)))
        expected = sample.prediction & (np.bincount(labels.ravel()) >= 20)[labels]
        np.testing.assert_array_equal(sample.post_processed, expected)
    # The false alarm of 6 pixels on a clean image is gone.
    assert samples[-1].choice.fp == 6
    assert samples[-1].caption.endswith("post-processed: Dice 1.000")
    # Chosen, but to do nothing: no second picture of the same.
    write_json(study / BEST / "calibration.json", calibrated(classes, min_area=0))
    assert "No post-processing." in gallery_of(study)[0]


def test_the_gallery_refuses_counts_of_other_predictions(study, capsys):
    path = study / BEST / "per_image.parquet"
    pd.read_parquet(path).assign(fp=lambda rows: rows["fp"] + 1).to_parquet(path)
    with pytest.raises(SystemExit):
        draw_gallery(study)
    assert "per_image.parquet has other counts" in capsys.readouterr().err
    assert not (study / "gallery.png").exists()


def test_a_gallery_without_automatic_experiments_says_so(study):
    table(*ROWS[-2:]).to_parquet(study / "results.parquet")
    assert draw_gallery(study).is_file()


@pytest.mark.parametrize("width", [0.5, 2.0, 3.7])
def test_names_that_are_too_long_keep_both_ends(width):
    name = "unet-resnet18 full task-per-class loss-dice-bce lr-0.001 mode-crops"
    first, second = (style.shortened(f"{name} {end}", width) for end in ("s1", "s2"))
    assert first != second
    assert first.startswith("un")
    assert style.text_width([first]) <= width
    assert style.shortened("unet", width) == "unet"


def test_the_same_numbers_give_the_same_bytes(study):
    results = ["--results", str(study / "results.parquet")]
    for name in ("first", "second"):
        pictures = ["--png", str(study / name / "plot.png"), "--svg", str(study / name / "plot.svg")]
        tests = ["--pairwise", str(study / "pairwise.csv")]
        plot_ranking.main(["--settings", str(study / "ranking.yaml"), *results, *tests, *pictures])
        draw_gallery(study, f"{name}/gallery.png")
        pictures = [part.replace("plot.", "data.") for part in pictures]
        fits = ["--curves", str(study / "curves.csv"), "--fits", str(study / "fits.csv")]
        plot_data_efficiency.main([*results, *pictures, *fits])
    names = sorted(path.name for path in (study / "first").iterdir())
    assert names == ["data.png", "data.svg", "gallery.png", "plot.png", "plot.svg"]
    for name in names:
        assert (study / "first" / name).read_bytes() == (study / "second" / name).read_bytes(), name


def test_given_names_are_the_labels_of_runs_and_series():
    ids = ["unet-resnet18_80_none_native_s1", "unet-resnet18_80_none_native_s2", "unet-resnet18_full_none_native_s1"]
    names = ["baseline_subset-80_s1", "baseline_subset-80_s2", "baseline_subset-full_s1"]
    rows = [
        row(exp_id, 0.7, name=name, subset_size=subset)
        for exp_id, name, subset in zip(ids, names, ("80", "80", "full"), strict=True)
    ]
    rows = words.track(table(*rows, row("sam-tiny_full_none_native_s1", 0.6)), "automatic", "dice_all")
    assert rows["label"].tolist() == [*names, "sam tiny"]
    assert rows["series_label"].tolist() == ["baseline"] * 3 + ["sam tiny"]


def test_a_series_of_several_names_has_that_of_none():
    rows = [row(f"unet-resnet18_80_none_native_s{seed}", 0.7, name=f"run-{seed}", subset_size="80") for seed in (1, 2)]
    rows = words.track(table(*rows), "automatic", "dice_all")
    assert rows["label"].tolist() == ["run-1", "run-2"]
    assert set(rows["series_label"]) == {"unet resnet18"}


def test_runs_with_shortened_ids_are_one_series():
    rows = [
        row(exp_id, 0.7, unabridged_id=unabridged, model="unet", variant="resnet18")
        for exp_id, unabridged in (
            ("unet-resnet18_80_none_native_lr-1_s42", "unet-resnet18_80_none_native_lr-1_loss-dice_s42"),
            ("unet-resnet18_full_none_native_01234567_s42", "unet-resnet18_full_none_native_lr-1_loss-dice_s42"),
        )
    ]
    assert words.track(table(*rows), "automatic", "dice_all")["series"].nunique() == 1
