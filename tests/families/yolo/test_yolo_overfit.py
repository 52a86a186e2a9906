"""A narrow YOLO from scratch overfits easy images: labels, losses and prediction are consistent."""

import cv2
import numpy as np
import pytest
import torch

from defectbench.config.families.yolo import YoloSettings
from defectbench.data.writers import yolo_polygons
from defectbench.data.yolo_labels import write_dataset
from defectbench.families.yolo import network as yolo
from defectbench.families.yolo.ultralytics_training import train
from defectbench.metrics.codes import probabilities_from_codes

SIDE = 128


def blobs(n):
    """Images (SIDE, SIDE) with up to two bright ellipses, every fourth with none, and their masks."""
    rng = np.random.default_rng(0)
    images, masks = {}, {}
    for index in range(n):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        for _ in range(rng.integers(1, 3) if index % 4 else 0):
            centre, axes = rng.integers(20, SIDE - 20, 2).tolist(), rng.integers(10, 18, 2).tolist()
            cv2.ellipse(mask, centre, axes, 0, 0, 360, 1, -1)
        image = rng.integers(80, 120, mask.shape, dtype=np.uint8)
        image[mask > 0] = 220
        images[f"{index}"], masks[f"{index}"] = image, mask
    return images, masks


def dice(a, b):
    return 1.0 if not (a | b).any() else 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


@pytest.mark.slow
def test_24_easy_images_are_learnt(tmp_path):
    images, masks = blobs(24)
    settings = YoloSettings(
        model="yolov8-seg",
        scale="p",
        img_size=str(SIDE),
        epochs=100,
        batch_size=8,
        lr=3e-3,
        augment="none",
    )
    labels = {name: "".join(yolo_polygons.label(mask[None])[0]) for name, mask in masks.items()}
    ids = {"train": list(images), "val": list(images)[:8]}
    data = write_dataset(tmp_path / "data", images, labels, ids, ["merged"])
    trained = train("overfit", settings, ["merged"], len(images), data, tmp_path, "fp32", lambda _: None)
    network = yolo.build_network(settings, ["merged"])
    yolo.load_weights(network, yolo.read_weights(next(iter(trained.weights.values()))), "weights")
    predictor = yolo.YoloPredictor(network, settings, 1, torch.device("cpu"))
    maps = {name: probabilities_from_codes(predictor.predict_maps(image))[0] for name, image in images.items()}
    means = [np.mean([dice(maps[name] >= k / 20, masks[name] > 0) for name in images]) for k in range(1, 20)]
    assert max(means) > 0.8
