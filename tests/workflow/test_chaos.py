"""The short form of `make chaos`: a training of the tiny study, killed and continued, ends as it did before."""

import shutil

import pytest
from chaos import leftovers, processes_in, resume, run_and_kill
from tiny_study import CONFIG

EXPERIMENT = "runs/tiny_steel/unet/unet-tu-test-resnet_full_none_native_threads-1_batch-size-4_steps-4_eval-every-2_s42"
RESULTS = ("metrics.json", "model/weights.safetensors", "calibration.json", "test.pred.parquet")


@pytest.mark.parametrize("target", ["snakemake", "both"])
def test_a_killed_training_goes_on_to_the_same_result(target, project, tmp_path):
    copy = project.copy(tmp_path / "copy")
    experiment = copy.folder / EXPERIMENT
    before = {name: (experiment / name).read_bytes() for name in RESULTS}
    shutil.rmtree(experiment)
    wanted = f"{EXPERIMENT}/metrics.json"

    assert run_and_kill(copy, target, lambda: (experiment / "state").is_dir(), wanted, configfile=CONFIG)
    assert not (experiment / "run.json").exists()
    resume(copy, wanted, configfile=CONFIG)

    assert {name: (experiment / name).read_bytes() for name in RESULTS} == before
    assert not leftovers(copy)
    assert not processes_in(copy.folder)
