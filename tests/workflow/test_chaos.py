"""The short form of `make chaos`: a training of the tiny study, killed and continued, ends as it did before."""

import shutil
import subprocess

import pytest
from chaos import leftovers, processes_in, resume, run_and_kill
from tiny_study import CONFIG

EXPERIMENT = "runs/tiny_steel/unet/unet-tu-test-resnet_full_none_native_threads-1_batch-size-4_steps-4_eval-every-2_s42"
RESULTS = ("metrics.json", "model/weights.safetensors", "calibration.json", "test.pred.parquet")
TRAINED = ("model/weights.safetensors", "model/weights.safetensors.sha256", "run.json", "history.csv")
WANTED = f"{EXPERIMENT}/metrics.json"


@pytest.fixture
def copy(project, tmp_path):
    """A copy of the finished study, from which one experiment is deleted."""
    copy = project.copy(tmp_path / "copy")
    shutil.rmtree(copy.folder / EXPERIMENT)
    return copy


def read_results(project):
    return {name: (project.folder / EXPERIMENT / name).read_bytes() for name in RESULTS}


def kill_in_training(copy, target, *options):
    assert run_and_kill(copy, target, (copy.folder / EXPERIMENT / "state").is_dir, WANTED, *options, configfile=CONFIG)
    assert not (copy.folder / EXPERIMENT / "run.json").exists()


def assert_resumed(copy, project):
    resume(copy, WANTED, configfile=CONFIG)
    assert read_results(copy) == read_results(project)
    assert not leftovers(copy)
    assert not processes_in(copy.folder)


@pytest.mark.parametrize("target", ["snakemake", "both"])
def test_a_killed_training_goes_on_to_the_same_result(target, project, copy):
    kill_in_training(copy, target)
    assert_resumed(copy, project)


def test_half_files_that_were_kept_are_not_used(project, copy):
    """Jobs leave none, since they rename whole files; so halves of all that the training makes are put there."""
    kill_in_training(copy, "job", "--keep-incomplete")
    for name in TRAINED:
        whole, half = project.folder / EXPERIMENT / name, copy.folder / EXPERIMENT / name
        half.parent.mkdir(exist_ok=True)
        half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert_resumed(copy, project)


def test_of_two_runs_started_at_once_in_one_folder_one_says_so_and_nothing_is_lost(project, copy):
    command = copy.command(WANTED, "--cores", "1", "--resources", "gpu=1")
    runs = [subprocess.Popen(**command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(2)]
    refused, finished = sorted([(run.communicate()[0], run.returncode) for run in runs], key=lambda run: run[1] == 0)
    assert (refused[1] != 0, finished[1]) == (True, 0), refused[0] + finished[0]
    assert refused[0].count("Directory cannot be locked") == 1
    assert read_results(copy) == read_results(project)
    assert not leftovers(copy)
