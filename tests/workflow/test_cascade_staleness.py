"""Which jobs of a cascade run again after which change. Nothing is computed: files are written empty and touched."""

import pytest
from tiny_study import Project

YOLO, TOPHAT, SAM2 = "yolov8-p_full_none_96", "tophat_otsu_full_none_native", "sam2-2.1-tiny-random_full_box_native"
STUDY = {
    "experiments": [
        {"model": "yolov8", "scale": "p", "img_size": "96"},
        {"model": "tophat_otsu"},
        {"model": "sam2", "init": "random"},
        {"model": "cascade", "segmenter": SAM2, "prompts": [{"from": YOLO}, {"from": TOPHAT}]},
    ],
    "defaults": {},
}
TARGETS = ("cascade", "sam2")
BY_BOXES, BY_MAPS = "cascade-yolov8-p", "cascade-tophat-otsu"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A copy of the project where the cascades, and SAM 2's own row, count as computed."""
    project = Project(tmp_path_factory.mktemp("project"))
    project.pretend_to_compute(*TARGETS, configfile=project.config(**STUDY))
    return project


def stale(project, **changes):
    """Rules that would run, with the first part of the experiment's id."""
    jobs = project.stale_jobs(*TARGETS, configfile=project.config(**STUDY, **changes))
    jobs = [(rule, exp.split("+")[0].removesuffix("_s42")) for rule, exp in jobs]
    return sorted(job for job in jobs if job[0] not in TARGETS)


def jobs_of(*cascades):
    return [(rule, name) for name in cascades for rule in ("predict_cascade", "calibrate", "score")]


def test_another_detector_reruns_its_cascade_and_no_other(done):
    done.edit("workflow/defectbench/families/yolo/ultralytics_training.py", b"", b"\nOTHER = 1\n")
    try:
        detector = [("train_yolo", YOLO), ("predict_yolo_boxes", YOLO), ("box_threshold", ""), ("cascade_prompts", "")]
        assert stale(done) == sorted(detector + jobs_of(BY_BOXES))
    finally:
        done.put_back()


def test_another_calibration_reruns_no_model_but_those_prompted_with_calibrated_maps(done):
    calibrated = [("calibrate", name) for name in (SAM2, TOPHAT, BY_BOXES)] + [
        ("score", name) for name in (SAM2, BY_BOXES)
    ]
    expected = [*calibrated, ("cascade_prompts", ""), *jobs_of(BY_MAPS)]
    assert stale(done, calibrate={"objective": "f1"}) == sorted(expected)
