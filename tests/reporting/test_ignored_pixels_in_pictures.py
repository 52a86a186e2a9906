"""Ignored pixels in galleries and on the page: striped, and of no colour of hits, false alarms and misses."""

import base64
import io
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from small_datasets import HEIGHT, WIDTH, write_masks

from defectbench.config.calibrate import CalibrateSettings
from defectbench.config.score import ScoreSettings
from defectbench.data.ingest import ingest
from defectbench.data.manifest import write_manifest
from defectbench.data.packing import ImagePack, MaskPack
from defectbench.data.stripes import DARK, LIGHT
from defectbench.data.write_packs import pack_images, pack_masks
from defectbench.evaluation.calibration import calibrate
from defectbench.evaluation.scoring import score
from defectbench.evaluation.truth import HeldOutData, ValidationData, read_truth
from defectbench.files import write_json
from defectbench.inference.prediction_file import PredictionFile, PredictionHeader, write_predictions
from defectbench.metrics.codes import codes_from_probabilities
from defectbench.reporting import overlay
from defectbench.reporting.image_choice import SelectedImage
from defectbench.reporting.page.pictures import image_pictures, prediction_overlays
from defectbench.reporting.plots.gallery_images import read_samples, select_by_rank

DENT = np.s_[3:12, 4:20]
VOID = np.zeros((HEIGHT, WIDTH), bool)
VOID[6:20, 12:34] = True


@pytest.fixture
def experiment(tmp_path):
    """Folder, calibration and scores of a model that predicts the dent and, with more confidence, ignored pixels."""
    index = np.zeros((HEIGHT, WIDTH), np.uint8)
    index[DENT] = 1
    index[VOID] = 255
    manifest, *_ = ingest(write_masks(tmp_path, {"0": index, "1": index}, ignore=255), tmp_path / "found.csv")
    write_manifest(tmp_path / "manifest.parquet", manifest)
    pack_images(manifest, tmp_path, tmp_path / "pack")
    pack_masks(manifest, tmp_path / "pack")
    split = pd.DataFrame({"image_id": ["0.png", "1.png"], "role": ["val", "test"], "group": ["a", "b"]})
    split.to_csv(tmp_path / "split.csv", index=False)
    p = np.full((1, HEIGHT, WIDTH), 0.1)
    p[0][DENT], p[0][VOID], p[0, 21:, :5] = 0.8, 0.95, 0.9
    for role, image_id in (("val", "0.png"), ("test", "1.png")):
        with write_predictions(tmp_path / f"{role}.pred.parquet", PredictionHeader(role, ("merged",), True)) as writer:
            writer.add(image_id, codes_from_probabilities(p))
    truth = read_truth(tmp_path / "manifest.parquet", tmp_path / "split.csv")
    val, test = (
        kind(PredictionFile(tmp_path / f"{role}.pred.parquet"), truth)
        for role, kind in (("val", ValidationData), ("test", HeldOutData))
    )
    calibration = calibrate(val, CalibrateSettings(post_processing=None))
    write_json(tmp_path / "calibration.json", asdict(calibration))
    return tmp_path, calibration, score(val, test, calibration, ScoreSettings()).per_image.to_pandas()


def test_the_gallery_shows_the_masks_that_were_counted(experiment):
    folder, calibration, per_image = experiment
    rows = per_image.query("role == 'test' and policy == 'at_0.5' and `class` == 'merged'")
    choices = select_by_rank(rows, 1)
    (sample,) = read_samples(folder, folder / "pack", choices, calibration, "at_0.5")
    assert choices[0].fp == 3 * 5
    assert not sample.prediction[VOID].any()
    assert not sample.truth[:, VOID].any()
    plain = ImagePack(folder / "pack")["1.png"]
    np.testing.assert_array_equal(sample.image[~VOID], plain[~VOID])
    assert {DARK, LIGHT} <= {*sample.image[VOID].ravel().tolist()}
    assert overlay.prediction_legend(True)[-1][1] == "stripes: ignored"
    assert len(overlay.prediction_legend(False)) == 3


def test_the_page_colours_no_ignored_pixel(experiment):
    folder, _, _ = experiment
    images, masks = ImagePack(folder / "pack"), MaskPack(folder / "pack")
    selected = [SelectedImage("1.png", "the only one")]
    (layers,) = prediction_overlays(SimpleNamespace(folder=folder, row={"policy": "at_0.5"}), selected, images, masks)
    coloured = np.array(picture(layers["plain"])) > 0
    assert not coloured[VOID].any()
    assert coloured[21:, :5].all()
    (shown,) = image_pictures(selected, images, masks)
    assert not (np.array(picture(shown["truth"])) > 0)[VOID].any()


def picture(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
