"""Plots of cascades: the gap to true prompts, the price of careless boxes, and what the stages did to images."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle
from synthetic_study import write_study

from defectbench.config.prompts import PromptSettings
from defectbench.data.packing import MaskPack
from defectbench.data.prompt_file import write_prompts
from defectbench.data.prompts import draw_prompts
from defectbench.evaluation.image_scores import read_image_scores
from defectbench.reporting.plots.box_noise import box_noise_figure
from defectbench.reporting.plots.cascades import MOST_REJECTED, draw_cascades
from defectbench.reporting.plots.prompt_gap import compute_gaps, prompt_gap_figure
from defectbench.reporting.plots.prompting import describe_prompts
from defectbench.reporting.records import read_records

NO_PROMPTS = {"prompt_source": "none", "segmenter": None, "prompt_noise": None}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study"), 24, 30)


@pytest.fixture(scope="module")
def records(study):
    """Two oracle experiments of one model, at noise 0 and 20 %, and two cascades of it; the others without prompts."""
    found = read_records(pd.read_parquet(study.folder / "results.parquet"), study.experiments)
    oracle = [record for record in found if record.row["track"] == "oracle"][:2]
    automatic = [record for record in found if record.row["track"] == "automatic"]
    asked = oracle[0].exp_id
    changes = {
        oracle[0].exp_id: {"prompt_source": "oracle"},
        oracle[1].exp_id: {"prompt_source": "oracle", "segmenter": asked, "prompt_noise": 0.2},
        automatic[0].exp_id: {"prompt_source": "unet_s1", "segmenter": asked, "prompt_type": "box"},
        automatic[1].exp_id: {"prompt_source": "yolo_s1", "segmenter": asked, "prompt_type": "box"},
    }
    return [replace(r, row=r.row | NO_PROMPTS | changes.get(r.exp_id, {})) for r in found]


def named(records, source):
    return next(record for record in records if record.row["prompt_source"] == source)


def test_the_gap_is_the_mean_difference_on_the_defective_images(records):
    (section,) = compute_gaps(records).values()
    assert section[0].record.row["prompt_source"] == "oracle"
    assert {gap.record.row["prompt_source"] for gap in section[1:]} == {"unet_s1", "yolo_s1"}
    values = [gap.record.row["test_Dice"] for gap in section[1:]]
    assert values == sorted(values, reverse=True)
    oracle = read_image_scores(section[0].record.folder, "calibrated").set_index("image_id")["test_Dice"].dropna()
    for gap in section[1:]:
        own = read_image_scores(gap.record.folder, "calibrated").set_index("image_id")["test_Dice"]
        assert gap.difference == pytest.approx(100 * (own[oracle.index] - oracle).mean())
        assert gap.low <= gap.difference <= gap.high
    figure = prompt_gap_figure(records)
    drawn = {line.get_gid(): float(line.get_xdata()[0]) for line in figure.axes[0].lines}
    assert drawn == {f"value {gap.record.exp_id}": gap.record.row["test_Dice"] for gap in section}


def test_what_made_the_prompts_is_named_also_where_it_is_no_segmenter(records):
    asked = named(records, "yolo_s1")
    exp_id = "yolov8-p_100_none_384_epochs-9_s42"
    detector = replace(asked, row=asked.row | {"prompt_source": exp_id, "prompt_source_name": exp_id})
    assert describe_prompts(detector, {}) == "box by yolov8-p 100"
    with_name = replace(detector, row=detector.row | {"prompt_source_name": "detector"})
    assert describe_prompts(with_name, {}) == "box by detector"
    assert describe_prompts(asked, {"yolo_s1": "a model"}) == "box by a model"
    assert describe_prompts(named(records, "oracle"), {}) == "box by the truth"


def test_the_curve_has_a_point_for_every_level_of_noise(records):
    (axes, *_) = box_noise_figure(records).axes
    (curve,) = [line for line in axes.lines if (line.get_gid() or "").startswith("curve")]
    exact, noisy = (r for r in records if r.row["prompt_source"] == "oracle")
    assert curve.get_xydata().tolist() == [[0, exact.row["test_Dice"]], [20, noisy.row["test_Dice"]]]


def test_without_cascades_the_plots_say_so(records, study):
    plain = [replace(record, row=record.row | NO_PROMPTS) for record in records]
    for figure in (prompt_gap_figure(plain), box_noise_figure(plain), draw_cascades(plain, study.folder, study.folder)):
        assert not figure.axes
        assert "No " in figure.texts[-1].get_text()


def test_pictures_show_the_prompts_that_count_and_some_of_the_others(records, study):
    masks = MaskPack(study.folder / "packed")
    folder, rng = study.folder / "prompts", np.random.default_rng(0)
    for source in ("unet_s1", "yolo_s1"):
        drawn = []
        for image_id in masks.image_ids:
            found = draw_prompts("box", masks[image_id].max(axis=0), image_id, PromptSettings(), 0.1)
            doubted = [
                replace(prompt, score=rng.uniform(0.02, 0.45)) for prompt in found for _ in range(MOST_REJECTED + 2)
            ]
            drawn.append((image_id, [replace(prompt, score=0.8) for prompt in found] + doubted))
        write_prompts(folder / source / "box.parquet", "box", source, drawn)
    figure = draw_cascades(records, study.folder / "packed", folder)
    captions = [text.get_text() for text in figure.texts if "prompts accepted" in text.get_text()]
    boxes = [[patch for patch in axes.patches if isinstance(patch, Rectangle)] for axes in figure.axes]
    n_counted = [sum(box.get_linestyle() in ("-", "solid") for box in of_one) for of_one in boxes if of_one]
    assert n_counted == [int(caption.split()[0]) for caption in captions if int(caption.split()[2])]
    assert max(sum(box.get_linestyle() in ("--", "dashed") for box in of_one) for of_one in boxes) == MOST_REJECTED
    assert sum("Dice " in text.get_text() for text in figure.texts) >= len(captions) > 2
