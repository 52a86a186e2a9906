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


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """A project that was moved after it had trained from listed weights, as far as Snakemake can see."""
    folder = tmp_path_factory.mktemp("moved")
    first = Project(folder / "first")
    first.pretend_to_compute(*TARGETS, configfile=first.config(**WEIGHTS))
    (folder / "other").mkdir()
    return Project(shutil.move(first.folder, folder / "other" / "place"), parts=())


@pytest.mark.parametrize("snakefile", ["Snakefile", "workflow/Snakefile"])
def test_listed_weights_are_not_fetched_again(snakefile, moved):
    jobs = moved.stale_jobs("-s", snakefile, *TARGETS, configfile=moved.config(**WEIGHTS))
    assert [job for job in jobs if job[0] not in TARGETS] == []


def test_weights_are_fetched_again_after_an_edit_of_their_listing(moved):
    moved.edit("resources/weights.yaml", b"", b"\n# another listing\n")
    try:
        stale = moved.stale(*TARGETS, configfile=moved.config(**WEIGHTS))
    finally:
        moved.put_back()
    weights = {rule for rule in stale if "weights" in rule}
    assert len(weights) == 2, "one of each family"
    assert "train_yolo" in stale
