"""timing.json: median and percentile of the times of single images, beside the load of the machine."""

import os

import pytest

from defectbench.inference.cpu_load import cpu_load
from defectbench.inference.predict import timing_record


def test_the_median_is_not_moved_by_images_that_waited(monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (6.0, 3.0, 1.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert cpu_load() == 1.5
    record = timing_record([0.08] * 9 + [3.6], "CPU", load_at_start=0.25)
    assert record["infer_ms_p50"] == pytest.approx(80)
    assert record["avg_inference_time"] == pytest.approx(0.432)
    assert (record["load"], record["load_at_start"], record["load_at_end"]) == (1.5, 0.25, 1.5)
    assert timing_record([0.08], "CPU", load_at_start=2.0)["load"] == 2
