"""Galleries show the right images and pixels: selected by rule, with the masks of the right policy."""

import cv2
import numpy as np
import pandas as pd
import plot_data_efficiency
import plot_gallery
import plot_gallery_bands
import plot_gallery_models
import plot_ranking
import pytest
import yaml
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from plot_data import BEST, NO_CURVES, NO_FITS, NO_PAIRS, NO_RANKS, ROWS, table
from pydantic import ValidationError
from scipy import ndimage
from small_datasets import HEIGHT, WIDTH, write_severstal
from synthetic_study import write_study

from defectbench.config.report import ReportSettings
from defectbench.data.ingest import ingest
from defectbench.data.packing import MaskPack
from defectbench.data.rle import encode_severstal
from defectbench.data.write_packs import pack_images, pack_masks
from defectbench.evaluation.calibration import Calibration
from defectbench.evaluation.postprocessing import PostProcessing
from defectbench.files import read_json, write_json
from defectbench.inference.prediction_file import PredictionFile, PredictionHeader, write_predictions
from defectbench.metrics.codes import HALF, threshold_code
from defectbench.metrics.counts import confusion
from defectbench.reporting import overlay
from defectbench.reporting.image_choice import read_maps, select_images
from defectbench.reporting.plots import gallery, style
from defectbench.reporting.plots.gallery_images import read_counts, read_samples, select_by_band, select_by_rank
from defectbench.reporting.plots.gallery_models import draw_gallery_models
from defectbench.reporting.records import read_records


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study"), 8, 40)


@pytest.fixture(scope="module")
def records(made_up):
    return read_records(pd.read_parquet(made_up.folder / "results.parquet"), made_up.experiments)


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
    chosen = select_by_rank(counts(*defective, *clean), 4)
    assert [choice.image_id for choice in chosen] == ["d10", "d5", "d0", "c3"]
    assert [choice.dice for choice in chosen] == [1, pytest.approx(2 / 3), 0, 0]
    assert "rank 6 of 11 defective images" in chosen[1].caption
    assert [c.image_id for c in select_by_rank(counts(*defective, clean[0]), 3)] == ["d10", "d5", "d0"]
    assert [c.image_id for c in select_by_rank(counts(*clean), 4)] == ["c3"]
    assert [c.image_id for c in select_by_rank(counts(*defective[:2]), 6)] == ["d1", "d0"]


def calibrated(classes, **steps):
    """calibration.json at k = 100 with the post-processing ``steps``; without any where there are none."""
    chosen = {name: {"k": 100, **PostProcessing(**steps).record(), "value": 0.9} for name in classes if steps}
    unused = {key: {} for key in ("threshold", "value", "value_at_half", "curve", "candidates")}
    unused |= {"recall": None, "noise_draws": 0, "threshold_range": {}, "value_range": {}}
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
    manifest, *_ = ingest(dataset, tmp_path / "found.csv")
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
    NO_RANKS.to_csv(tmp_path / "ranks.csv", index=False)
    NO_CURVES.to_csv(tmp_path / "curves.csv", index=False)
    NO_FITS.to_csv(tmp_path / "fits.csv", index=False)
    (tmp_path / "results.yaml").write_text(f"experiments: [elsewhere, {folder}]")
    (tmp_path / "report.yaml").write_text("gallery_images: 3")
    (tmp_path / "ranking.yaml").write_text("metric: dice_all")
    return tmp_path


def run_plot_gallery(study, name="gallery.png"):
    arguments = {"settings": "report.yaml", "experiments": "results.yaml", "results": "results.parquet"}
    paths = {**arguments, "pack": "packed", "png": name}
    plot_gallery.main([part for key, path in paths.items() for part in (f"--{key}", str(study / path))])
    return study / name


def test_the_gallery_shows_every_pixel_where_it_is(study):
    page = cv2.imread(str(run_plot_gallery(study)), cv2.IMREAD_COLOR_RGB)
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
    choices = select_by_rank(read_counts(folder, policy), 3)
    figure = gallery.draw_gallery(rows, [folder], pack, 3)
    words = " ".join(" ".join(text.get_text() for text in figure.texts).split())
    return words, read_samples(folder, pack, choices, calibration, policy)


def test_the_masks_of_a_model_that_saw_no_labels_are_those_at_half(study):
    """Its codes on defects are below p = 0.5: at the calibrated threshold they are hits."""
    words, samples = gallery_of(study)
    assert "Threshold chosen on val images: p ≥ 0.39 (" in words
    assert any(sample.choice.tp for sample in samples)
    words, samples = gallery_of(study, "at_0.5")
    assert "Threshold p ≥ 0.5, as in its metrics: this model saw no labels" in words
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
        run_plot_gallery(study)
    assert "per_image.parquet has other counts" in capsys.readouterr().err
    assert not (study / "gallery.png").exists()


def test_a_gallery_without_automatic_experiments_says_so(study):
    table(*ROWS[-2:]).to_parquet(study / "results.parquet")
    assert run_plot_gallery(study).is_file()


def test_the_same_numbers_give_the_same_bytes(study):
    results = ["--results", str(study / "results.parquet")]
    for name in ("first", "second"):
        pictures = ["--png", str(study / name / "plot.png"), "--svg", str(study / name / "plot.svg")]
        tests = ["--pairwise", str(study / "pairwise.csv"), "--ranks", str(study / "ranks.csv")]
        plot_ranking.main(["--settings", str(study / "ranking.yaml"), *results, *tests, *pictures])
        run_plot_gallery(study, f"{name}/gallery.png")
        pictures = [part.replace("plot.", "data.") for part in pictures]
        fits = ["--curves", str(study / "curves.csv"), "--fits", str(study / "fits.csv")]
        plot_data_efficiency.main([*results, *pictures, *fits])
    names = sorted(path.name for path in (study / "first").iterdir())
    assert names == ["data.png", "data.svg", "gallery.png", "plot.png", "plot.svg"]
    for name in names:
        assert (study / "first" / name).read_bytes() == (study / "second" / name).read_bytes(), name


def test_gallery_images_are_chosen_by_rule_and_once():
    scores = pd.DataFrame({0: np.linspace(1, 0, 21), 1: np.linspace(1, 0, 21)}, index=[f"i{k:02d}" for k in range(21)])
    scores.loc["i20"] = [0.0, 1.0]  # clean
    scores.loc["i07"] = [0.0, 1.0]
    scores.loc["i13"] = [0.2, 0.9]
    defective = pd.Series(True, index=scores.index)
    defective["i20"] = False
    shown = {}
    for item in select_images(scores, defective):
        shown.setdefault(item.reason, []).append(item.image_id)
    assert shown["models disagree most"] == ["i07", "i13"]
    assert shown["clean, models disagree most"] == ["i20"]
    assert shown["best"] == ["i00", "i01", "i02"]
    assert shown["worst"] == ["i19", "i18", "i17"]
    assert len(shown["median"]) == 3
    assert set(shown["median"]) <= {"i08", "i09", "i10", "i11", "i12"}
    alone = [item.reason for item in select_images(scores[[0]], defective)]
    assert "models disagree most" not in alone


def test_the_gallery_of_models_shows_each_image_with_its_dice_before_and_after(made_up, records, tmp_path):
    figure = draw_gallery_models(records, made_up.folder / "packed")
    said = [text.get_text() for text in figure.texts]
    models = [record for record in records if record.row["track"] == "automatic"][:4]
    heads = [text for text in said if ".png: " in text]
    assert {text.split(": ")[1] for text in heads} >= {"models disagree most", "best", "median", "worst"}
    assert len(figure.axes) == len(heads) * (2 + 2 * len(models))
    first = heads[0].split(":")[0]
    for record in models:
        rows = record.counts().set_index("image_id").loc[first]
        total = 2 * rows["tp"] + rows["fp"] + rows["fn"]
        value = 2 * rows["tp"] / total if total else 1.0
        assert f"{value:.3f}  {record.name}" in said
    assert any(text.endswith("post-processed") for text in said)
    arguments = ["--experiments", str(made_up.folder / "results.yaml"), "--pack", str(made_up.folder / "packed")]
    results = ["--results", str(made_up.folder / "results.parquet")]
    plot_gallery_models.main([*arguments, *results, "--png", str(tmp_path / "gallery.png")])
    assert (tmp_path / "gallery.png").stat().st_size > 0


def test_maps_of_single_images_are_those_of_the_whole_file(records):
    path = records[0].folder / "test.pred.parquet"
    with PredictionFile(path) as file:
        every = dict(file)
    wanted = set(list(every)[3:30:9])
    found = read_maps(path, wanted)
    assert set(found) == wanted
    assert all((found[image_id] == every[image_id]).all() for image_id in wanted)


def counts_of_ious(*ious):
    """Rows of per_image.parquet with these IoU; None is a clean image with a false alarm."""
    rows = [(0, 7, 0, 0) if iou is None else (round(100 * iou), 0, 100 - round(100 * iou), 100) for iou in ious]
    table = pd.DataFrame(rows, columns=["tp", "fp", "fn", "n_truth"])
    return table.assign(image_id=[f"{number:02}" for number in range(len(rows))])


def text_of(figure):
    FigureCanvasAgg(figure).draw()
    return " ".join(text.get_text() for text in figure.texts)


def test_bands_hold_what_lies_in_them_the_best_first():
    table = counts_of_ious(0.95, 0.75, 0.58, None, 0.71, 0.1, 0.78, 0.72, 0.9)
    found = select_by_band(table, [(0.9, 1.0), (0.7, 0.8), (0.55, 0.6)], 6)
    assert [[choice.image_id for choice in own] for own in found.values()] == [["00", "08"], ["06", "04"], ["02"]]
    assert list(found)[1] == "IoU 0.7 to 0.8: 4 of 8 defective images"
    assert found["IoU 0.55 to 0.6: 1 of 8 defective images"][0].dice == pytest.approx(2 * 0.58 / 1.58)
    assert select_by_band(table, [(0.2, 0.3)], 6) == {"IoU 0.2 to 0.3: 0 of 8 defective images": []}
    assert [len(own) for own in select_by_band(table, [(0.7, 0.8), (0.0, 1.0)], 1).values()] == [1, 1]


def test_a_gallery_by_bands_says_how_many_images_each_has(made_up):
    table, pack = pd.read_parquet(made_up.folder / "results.parquet"), made_up.folder / "packed"
    said = text_of(gallery.draw_gallery(table, made_up.experiments, pack, 4, [(0.0, 0.5), (0.5, 1.0)]))
    assert "IoU 0 to 0.5:" in said
    assert "IoU 0.5 to 1:" in said
    assert "evenly spaced ranks of Dice" not in said
    assert "0 of" in text_of(gallery.draw_gallery(table, made_up.experiments, pack, 4, [(0.0001, 0.0002)]))


def test_the_script_draws_the_bands_of_the_settings(made_up, tmp_path):
    ReportSettings(gallery_bands=[[0, 0.5]]).write(tmp_path / "report.yaml")
    folders = [str(folder) for folder in made_up.experiments]
    (tmp_path / "results.yaml").write_text(yaml.safe_dump({"experiments": folders}))
    files = {"settings": tmp_path / "report.yaml", "experiments": tmp_path / "results.yaml"}
    files |= {
        "results": made_up.folder / "results.parquet",
        "pack": made_up.folder / "packed",
        "png": tmp_path / "x.png",
    }
    plot_gallery_bands.main([text for name, path in files.items() for text in (f"--{name}", str(path))])
    assert (tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("bands", [[[0.8, 0.7]], [[0.5, 0.5]], [[0.5, 1.5]], [[0.5]]])
def test_bands_that_are_none_are_refused(bands):
    with pytest.raises(ValidationError):
        ReportSettings(gallery_bands=bands)
