"""The dense CRF: mean field computed pixel by pixel, and what it needs."""

import dataclasses
import hashlib
import re
import sys

import calibrate as calibrate_script
import cv2
import numpy as np
import pytest
import score as score_script
from evaluation_fixtures import CLASSES, make_dataset, noisy_maps, random_truth, write_run
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tiny_study import Project

from defectbench.config.base import MERGED, ConfigError
from defectbench.config.calibrate import CalibrateSettings, CrfSettings, PostProcessingSettings
from defectbench.data.manifest import read_manifest
from defectbench.data.packing import ImagePack
from defectbench.data.write_packs import pack_images
from defectbench.evaluation import policies
from defectbench.evaluation.calibration import Calibration, best_pipeline, calibrate
from defectbench.evaluation.dense_crf import SUREST, CrfError, ImageCrfs, _DenseCrf
from defectbench.evaluation.invariants import SuspiciousMetrics
from defectbench.evaluation.postprocessing import Candidates, PostProcessing
from defectbench.evaluation.truth import ValidationData
from defectbench.files import read_json
from defectbench.inference.prediction_file import PredictionFile
from defectbench.metrics.codes import codes_from_logits, threshold_code

pytest.importorskip("pydensecrf", reason="an extra that a C++ compiler installs")
# The authors' values, for large things.
CRF = CrfSettings(smoothness_weight=3, appearance_weight=10, appearance_std=80)


def mean_field(log_odds, image, crf):
    """Krähenbühl and Koltun's algorithm 1 with whole matrices, and the normalisation that the module's text names."""
    height, width = log_odds.shape
    at = np.stack(np.mgrid[:height, :width], axis=-1).reshape(-1, 2).astype(float)
    colours = (np.dstack([image] * 3) if image.ndim == 2 else image).reshape(-1, 3).astype(float)

    def kernel(features):
        k = np.exp(-((features[:, None] - features[None]) ** 2).sum(axis=-1) / 2)
        return k / np.sqrt(np.outer(k.sum(axis=1), k.sum(axis=1)))

    both = np.hstack([at / crf.appearance_std, colours / crf.appearance_levels])
    joined = crf.smoothness_weight * kernel(at / crf.smoothness_std) + crf.appearance_weight * kernel(both)
    unary = np.clip(log_odds, -SUREST, SUREST).ravel()
    q = 1 / (1 + np.exp(-unary))
    for _ in range(crf.iterations):
        q = 1 / (1 + np.exp(-(unary + joined @ q - joined @ (1 - q))))
    return q.reshape(height, width)


def noisy_square(seed=0, size=(24, 30), noise=1.5, step=60):
    """A brighter square, and log-odds that see it through noise."""
    rng = np.random.default_rng(seed)
    truth = np.zeros(size, bool)
    truth[6:17, 8:21] = True
    image = (100 + step * truth + rng.normal(0, 4, size)).clip(0, 255).astype(np.uint8)
    return truth, image, rng.normal(0, noise, size) + np.where(truth, 0.7, -0.7)


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize(
    "crf",
    [
        CRF,
        CRF.model_copy(update={"iterations": 1}),
        CrfSettings(),
        CrfSettings(smoothness_std=1.5, smoothness_weight=1, appearance_std=10, appearance_weight=2),
        CrfSettings(smoothness_weight=1, appearance_std=20, appearance_levels=20, appearance_weight=1),
        CrfSettings(smoothness_weight=2, appearance_weight=0),
        CrfSettings(smoothness_weight=0, appearance_weight=3, appearance_std=5),
    ],
    ids=str,
)
def test_probabilities_are_those_of_a_mean_field_by_whole_matrices(crf, colour):
    """The lattice is approximate: 0.01 on average, 0.1 at worst, where the CRF moves the map by far more."""
    _, image, log_odds = noisy_square()
    if colour:
        image = np.dstack([image, image[::-1], 255 - image])
    found, expected = _DenseCrf(image, crf).infer(log_odds), mean_field(log_odds, image, crf)
    assert np.abs(found - expected).mean() < 0.01
    assert np.abs(found - expected).max() < 0.1
    assert np.abs(expected - 1 / (1 + np.exp(-log_odds))).mean() > 0.1


def test_a_noisy_map_snaps_to_the_edge_of_the_image():
    truth, image, log_odds = noisy_square()
    codes = codes_from_logits(log_odds)
    plain = ImageCrfs(None).mask(codes, 128, None)
    np.testing.assert_array_equal(plain, log_odds.round(9) >= 0)
    assert (plain != truth).mean() > 0.2
    np.testing.assert_array_equal(ImageCrfs(image).mask(codes, 128, CRF), truth)
    # On a picture without the edge there is nothing to snap to.
    flat = ImageCrfs(np.full_like(image, 100)).mask(codes, 128, CRF)
    assert (flat != truth).mean() > 0.1


def test_the_threshold_is_where_pixels_without_neighbours_divide():
    """With no weight on neighbours the mask is that of the threshold, whatever it is."""
    _, image, log_odds = noisy_square()
    codes = codes_from_logits(log_odds)
    alone = CrfSettings(smoothness_weight=0, appearance_weight=0)
    for k in (1, 40, 128, 200, 255):
        np.testing.assert_array_equal(ImageCrfs(image).mask(codes, k, alone), codes >= threshold_code(k))


def test_yes_or_no_maps_can_be_changed_by_the_image():
    truth, image, log_odds = noisy_square()
    codes = np.where(log_odds >= 0, 65535, 0).astype(np.uint16)
    strong = CRF.model_copy(update={"appearance_weight": 40})
    assert (ImageCrfs(image).mask(codes, 128, strong) == truth).mean() > 0.99


def test_a_grey_image_and_its_rgb_copy_give_the_same_masks():
    _, image, log_odds = noisy_square(step=15)
    codes = codes_from_logits(log_odds)
    grey, rgb = (ImageCrfs(picture).mask(codes, 100, CRF) for picture in (image, np.dstack([image] * 3)))
    np.testing.assert_array_equal(grey, rgb)


@settings(max_examples=25)
@given(arrays(np.uint8, (7, 9)), arrays(np.uint16, (7, 9)), st.integers(1, 255))
def test_a_mask_that_is_empty_or_full_stays_so(image, codes, k):
    cut = threshold_code(k)
    assert not _DenseCrf(image, CRF).infer((np.minimum(codes, cut - 1) - float(cut)) / 512).round(6).max() > 0.5
    assert _DenseCrf(image, CRF).infer((np.maximum(codes, cut) - float(cut)) / 512).round(6).min() >= 0.5


@settings(max_examples=10)
@given(arrays(np.uint8, (8, 8)), arrays(np.uint16, (2, 8, 8)))
def test_a_crf_that_is_used_again_answers_as_a_new_one(image, maps):
    crfs = ImageCrfs(image)
    again = [crfs.mask(codes, 128, CRF) for codes in (maps[0], maps[1], maps[0])]
    new = [ImageCrfs(image).mask(codes, 128, CRF) for codes in (maps[0], maps[1], maps[0])]
    np.testing.assert_array_equal(again, new)


# --- as a candidate of post-processing --------------------------------------------------------------------------------


def test_crfs_multiply_the_candidates_and_are_counted_as_each_pipeline_alone_would():
    truth, image, log_odds = noisy_square()
    codes = codes_from_logits(log_odds)
    search = Candidates(PostProcessingSettings(min_areas=(4,), crf=({}, {"iterations": 1})))
    assert len(search.pipelines) == len(set(map(str, search.pipelines))) == 3 * 16
    found = search.count(codes, 120, truth, ImageCrfs(image))
    for steps, (tp, fp, fn) in zip(search.pipelines, found, strict=True):
        mask = steps.mask(codes, 120, ImageCrfs(image))
        assert (tp, fp, fn) == ((mask & truth).sum(), (mask & ~truth).sum(), (truth & ~mask).sum())


def test_in_words_and_in_ties():
    assert str(PostProcessing(crf=CrfSettings(), min_area=9)) == "CRF, area >= 9 px"
    assert str(CrfSettings(appearance_levels=5, iterations=2)) == "CRF appearance_levels 5 iterations 2"
    # Of equals the one without a CRF, though it has more steps.
    grid = [(128, PostProcessing(crf=CRF)), (128, PostProcessing(opening=1, closing=2, min_area=5))]
    assert best_pipeline(grid, np.array([0.5, 0.5]), 128) == 1


@pytest.fixture
def dataset(tmp_path):
    """Images that show the true masks, packed, and manifest and split."""
    truth, rng = random_truth(), np.random.default_rng(3)
    images = {}
    for of_role in truth.values():
        for image_id, masks in of_role.items():
            shown = masks.any()
            masks[:] = False
            masks[0, 2:7, 3:11] = shown
            grey = 90 + 80 * masks.any(axis=0) + rng.normal(0, 4, masks.shape[1:])
            images[image_id] = cv2.imencode(".png", grey.clip(0, 255).astype(np.uint8))[1].tobytes()
    dataset = make_dataset(tmp_path / "data", truth)
    manifest = read_manifest(dataset.manifest)
    frame = manifest.frame.assign(sha256=[hashlib.sha256(images[i]).hexdigest() for i in manifest.frame["image_id"]])
    for image_id, path in zip(frame["image_id"], frame["path"], strict=True):
        (dataset.folder / path).parent.mkdir(exist_ok=True)
        (dataset.folder / path).write_bytes(images[image_id])
    pack_images(dataclasses.replace(manifest, frame=frame), dataset.folder, dataset.folder / "packed")
    return dataset


ONLY_CRF = {
    "opening_radii": [],
    "closing_radii": [],
    "fill_holes": False,
    "min_areas": [],
    "thresholds": [0.5],
    "crf": [CRF.model_dump()],
}


def run(dataset, *pack):
    """calibrate, then score, as the rules do; returns calibration.json and metrics.json."""
    maps = noisy_maps(dataset.truth, merged=False)
    for role in ("val", "test"):
        dataset.predict(role, maps[role], classes=CLASSES)
    folder = dataset.folder
    (folder / "calibrate.yaml").write_text(f"post_processing: {ONLY_CRF}\n")
    (folder / "score.yaml").write_text("{}\n")
    write_run(folder / "run")
    common = ["--manifest", str(dataset.manifest), "--split", str(dataset.split), *pack]
    files = {"predictions": "val.pred.parquet", "out": "calibration.json", "settings": "calibrate.yaml"}
    calibrate_script.main(
        [*common, *(text for key, name in files.items() for text in (f"--{key}", str(folder / name)))]
    )
    files = {"val": "val.pred.parquet", "test": "test.pred.parquet", "calibration": "calibration.json"}
    files |= {"run": "run/run.json", "settings": "score.yaml", "metrics": "metrics.json"}
    files |= {name: f"{name}.parquet" for name in ("per-image", "hist", "pooled", "components", "froc")}
    score_script.main([*common, *(text for key, name in files.items() for text in (f"--{key}", str(folder / name)))])
    return read_json(folder / "calibration.json"), read_json(folder / "metrics.json")


def test_calibration_chooses_it_on_val_and_scoring_repeats_it(dataset):
    """score itself checks that the objective on val is what calibration.json says."""
    with pytest.warns(SuspiciousMetrics):
        found, metrics = run(dataset, "--pack", str(dataset.folder / "packed"))
    assert found["post_processed"]["pits"]["crf"] == CRF.model_dump()
    assert metrics["post_processing"]["pits"] == str(CRF)
    assert metrics["dice_all_pp"] > metrics["dice_all"]
    images, calibration = ImagePack(dataset.folder / "packed"), Calibration(**found)
    for image_id, codes in PredictionFile(dataset.folder / "test.pred.parquet"):
        by_policy = policies.masks(codes, calibration, images[image_id])
        k, steps = calibration.pipeline("pits")
        expected = steps.mask(codes[0], k, ImageCrfs(images[image_id]))
        np.testing.assert_array_equal(by_policy[policies.POST_PROCESSED][0], expected)


def test_the_scripts_say_that_the_images_are_wanted(dataset, capsys):
    with pytest.raises(SystemExit):
        run(dataset)
    assert "post-processing by a dense CRF needs the images: give the pack with --pack" in capsys.readouterr().err


def test_val_images_come_with_their_maps_and_test_data_are_refused_still(dataset):
    maps = noisy_maps(dataset.truth, merged=True)
    _, test = dataset.predict_both(maps)
    images = ImagePack(dataset.folder / "packed")
    val = ValidationData(PredictionFile(dataset.folder / "val.pred.parquet"), dataset.read(), images)
    for sample in val:
        np.testing.assert_array_equal(sample.image, images[sample.image_id])
    chosen = CalibrateSettings(post_processing=PostProcessingSettings(crf=({},)))
    assert "CRF" in calibrate(val, chosen).candidates[MERGED]
    with pytest.raises(TypeError, match="ValidationData only, not HeldOutData"):
        calibrate(test, chosen)


@pytest.mark.parametrize("crf", [[], [{}]])
def test_the_rules_read_the_images_only_if_a_crf_may_be_chosen(tmp_path, crf):
    project = Project(tmp_path)
    configfile = project.config(calibrate={"post_processing": {"crf": crf}}, experiments=[{"model": "all_empty"}])
    metrics, submission = (
        f"runs/tiny_steel/reference/all_empty_full_none_native_s42/{name}"
        for name in ("metrics.json", "submission.csv")
    )
    planned = project.dry_run(metrics, submission, "--printshellcmds", configfile=configfile)
    for name in ("calibrate", "score", "submission"):
        (command,) = re.findall(rf"python -m defectbench\.job \S*scripts/{name}\.py --.*", planned)
        assert ("--pack runs/tiny_steel/packed " in command) == bool(crf)


# --- without the extra ------------------------------------------------------------------------------------------------


def test_without_the_extra_the_configuration_is_refused(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert PostProcessingSettings().crf == ()
    with pytest.raises(ValueError, match=r"pydensecrf2 is not installed; pip install 'defectbench\[crf\]'"):
        PostProcessingSettings(crf=({},))


def test_without_the_extra_all_else_works_and_a_crf_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydensecrf", None)
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    image, codes = np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint16)
    codes[1] = 65535
    assert ImageCrfs(image).mask(codes, 128, None).sum() == 5
    with pytest.raises(CrfError, match=r"pip install 'defectbench\[crf\]'"):
        ImageCrfs(image).mask(codes, 128, CRF)


@pytest.mark.parametrize("text", ["[{iterations: 0}]", "[{smoothness_std: 0}]", "[{appearance_wait: 1}]", "1"])
def test_settings_that_make_no_sense_are_refused(tmp_path, text):
    path = tmp_path / "calibrate.yaml"
    path.write_text(f"post_processing: {{crf: {text}}}\n")
    with pytest.raises(ConfigError, match=r"post_processing\.crf"):
        CalibrateSettings.read(path)
