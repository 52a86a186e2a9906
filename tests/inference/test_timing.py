"""timing.json: median and percentile of the times of single images, beside the load of the machine."""

import os

import numpy as np
import pandas as pd
import pytest

from defectbench.inference.cpu_load import cpu_load
from defectbench.inference.predict import WARM_UP, predict_roles, timing_record
from defectbench.inference.predictor import Predictor


def test_the_median_is_not_moved_by_images_that_waited(monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (6.0, 3.0, 1.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert cpu_load() == 1.5
    record = timing_record([0.08] * 9 + [3.6], "CPU", load_at_start=0.25)
    assert record["infer_ms_p50"] == pytest.approx(80)
    assert record["avg_inference_time"] == pytest.approx(0.432)
    assert (record["load"], record["load_at_start"], record["load_at_end"]) == (1.5, 0.25, 1.5)
    assert timing_record([0.08], "CPU", load_at_start=2.0)["load"] == 2


def test_large_images_are_predicted_once_and_only_a_corner_of_them_warms_up(tmp_path):
    seen = []

    def codes(image):
        seen.append(image.shape)
        return np.zeros((1, *image.shape), np.uint16)

    split = pd.DataFrame({"image_id": ["small", "wide"], "role": ["test", "val"]})
    images = {"small": np.zeros((10, 20), np.uint8), "wide": np.zeros((16, 9000), np.uint8)}
    outputs = {role: tmp_path / role for role in ("val", "test")}
    assert len(predict_roles(Predictor(codes, "CPU"), images, split, outputs, ("merged",))) == 2
    assert seen[-2:] == [(16, 9000), (10, 20)]
    assert len(seen) == WARM_UP + 2
    assert max(width for _, width in seen[:WARM_UP]) < 9000
