"""A project that is moved or copied with its results stays up to date: all its paths are relative."""

import shutil

import pytest
from tiny_study import Project

# Rules whose inputs are files of the project that no job makes: listings of weights.
WEIGHTS = {
    "experiments": [{"model": "yolov8-seg", "weights": "coco", "img_size": "96"}, {"model": "sam2", "init": "random"}],
    "defaults": {},
}
TARGETS = ("yolo", "sam2")


def test_the_finished_tiny_study_has_nothing_to_do_in_another_folder(project, tmp_path):
    moved = project.copy(tmp_path / "deeper" / "down" / "copy")
    assert moved.stale_jobs() == []


@pytest.mark.parametrize("snakefile", ["Snakefile", "workflow/Snakefile"])
def test_published_weights_are_not_fetched_again(snakefile, tmp_path):
    first = Project(tmp_path / "first")
    config = first.config(**WEIGHTS)
    first.pretend_to_compute(*TARGETS, configfile=config)
    (tmp_path / "other").mkdir()
    moved = Project(shutil.move(first.folder, tmp_path / "other" / "place"), parts=())
    jobs = moved.stale_jobs("-s", snakefile, *TARGETS, configfile=config)
    assert [job for job in jobs if job[0] not in TARGETS] == []
    moved.edit("resources/weights.yaml", b"", b"\n# another listing\n")
    jobs = {rule for rule, _ in moved.stale_jobs("-s", snakefile, *TARGETS, configfile=config)}
    assert {"weights_sam2", "yolo_weights", "train_yolo"} <= jobs
