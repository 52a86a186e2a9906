"""Training of CNNs on deep images and on 1 to 8 channels, from packs to predictions of new images."""

import measure as measure_script
import numpy as np
import pandas as pd
import predict_unet as predict_script
import pytest
from deep_datasets import as_tiff, noise, write_deep
from safetensors.torch import load_file
from tiny_packs import call
from unet_training import train

from defectbench.config.identity import ExperimentIdentity
from defectbench.config.scaling import ScalingSettings
from defectbench.data.ingest import ingest
from defectbench.data.packing import ImagePack
from defectbench.data.scaling import Scaling
from defectbench.data.write_packs import pack_images, pack_masks
from defectbench.families.registry import load_experiment
from defectbench.inference.prediction_file import PredictionFile

ROLES = ["train"] * 4 + ["val", "test"]
EVERY_STEP = {"vflip": 1, "rotate90": 1, "rotate": 1, "elastic": 1, "tone": 1, "noise": 0.5, "blur": 0.5}


def write(root, channels, dtype, **settings):
    images = {f"{seed}.tif": as_tiff(noise(channels, dtype, seed)) for seed in range(6)}
    settings |= {} if channels in (1, 3) else {"channels": channels}
    settings |= {} if dtype == "uint8" else {"scaling": {}}
    found = ingest(write_deep(root, images, **settings), root / "found.csv")
    pack_images(found.manifest, root, root / "packed")
    pack_masks(found.manifest, root / "packed")
    pd.DataFrame({"image_id": list(images), "role": ROLES, "group": list(images)}).to_csv(
        root / "split.csv", index=False
    )
    pd.DataFrame({"image_id": list(images)[:4]}).to_csv(root / "subset.csv", index=False)
    names = {"exp_id": "x", "dataset": "deep", "family": "unet", "model": "unet", "variant": "tu-test_resnet"}
    ExperimentIdentity(**names, subset=4, prompt_type="none", img_size="native", seed=42).write(root / "identity.yaml")
    ScalingSettings().write(root / "scaling.yaml")
    out = root / "packed" / "scaling.json"
    call(measure_script, settings=root / "scaling.yaml", pack=root / "packed", split=root / "split.csv", out=out)
    return root


def predict(root, where):
    exp = where / "exp"
    out = {role: where / f"{role}.pred.parquet" for role in ("val", "test")}
    model = {"run": exp / "run.json", "weights": exp / "model" / "weights.safetensors"}
    call(predict_script, **model, pack=root / "packed", split=root / "split.csv", **out, timing=where / "timing.json")
    with PredictionFile(out["test"]) as predictions:
        return dict(predictions)


@pytest.mark.parametrize(
    ("channels", "dtype"), [(1, "uint16"), (2, "float32"), (3, "uint16"), (5, "uint16"), (8, "uint8")]
)
def test_networks_of_any_channels_train_and_predict_new_images_alike(tmp_path, channels, dtype):
    root = write(tmp_path / "data", channels, dtype)
    run, weights = train(root, tmp_path, scaling=root / "packed" / "scaling.json", augment=EVERY_STEP)
    scaling = Scaling.read(root / "packed" / "scaling.json")
    assert run["in_channels"] == channels
    assert Scaling.of_record(run["scaling"]) == scaling
    assert scaling.n_images == 4
    tensors = load_file(weights)
    assert tensors["mean"].numel() == channels
    if channels not in (1, 3):
        np.testing.assert_allclose(tensors["mean"].ravel(), np.array(scaling.mean) / 255, rtol=1e-6)
        np.testing.assert_allclose(tensors["std"].ravel(), np.array(scaling.std) / 255, rtol=1e-6)
    assert any("are scaled to 0 … 255" in note for note in run["notes"]) == (dtype != "uint8")
    predictor, _ = load_experiment(tmp_path / "exp", "cpu")
    for image_id, codes in predict(root, tmp_path).items():
        np.testing.assert_array_equal(predictor(noise(channels, dtype, int(image_id[0]))), codes)


def test_a_network_may_see_some_of_the_channels(tmp_path):
    root = write(tmp_path / "data", 5, "uint16")
    scaling = root / "packed" / "scaling.json"
    run, weights = train(root, tmp_path, scaling=scaling, input_channels=[4, 1])
    assert run["in_channels"] == 2
    assert "sees channels 4, 1 of 5, counted from 0" in run["notes"]
    means = np.array(Scaling.read(scaling).mean)[[4, 1]] / 255
    np.testing.assert_allclose(load_file(weights)["mean"].ravel(), means, rtol=1e-6)
    predictor, _ = load_experiment(tmp_path / "exp", "cpu")
    for image_id, codes in predict(root, tmp_path).items():
        image = noise(5, "uint16", int(image_id[0]))
        np.testing.assert_array_equal(predictor(image), codes)
        image[..., [0, 2, 3]] = 0  # what it does not see
        np.testing.assert_array_equal(predictor(image), codes)


def test_limits_are_part_of_the_state_that_is_resumed(tmp_path):
    root = write(tmp_path / "data", 1, "uint16")
    first, _ = train(root, tmp_path / "a", scaling=root / "packed" / "scaling.json")
    Scaling("uint16", (0.0,), (9e4,), (1.0,), (1.0,), 4, None).write(root / "other.json")
    second, _ = train(root, tmp_path / "b", scaling=root / "other.json")
    assert first["weights_sha256"] != second["weights_sha256"]
    assert ImagePack.of_run(root / "packed", second).scaling.high == (9e4,)
