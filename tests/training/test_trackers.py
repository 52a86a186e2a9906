"""Trackers: MLflow in a local file and W&B offline get what history.csv has, and no result depends on them."""

import time

import pytest
from study_config import changed, problems_of
from tiny_training import Squares, TinyNetwork, run_fit, settings

from defectbench.config.identity import ExperimentIdentity
from defectbench.config.settings_files import write_settings_files
from defectbench.config.study import load_study
from defectbench.config.trackers import TrackerSettings
from defectbench.training.losses import make_loss
from defectbench.training.trackers import close_trackers, open_trackers

NAMED = {"exp_id": "x", "dataset": "steel", "family": "unet", "model": "unet", "variant": "tiny"}
IDENTITY = ExperimentIdentity(**NAMED, subset="full", prompt_type="none", img_size="native", seed=42)
NO_PICTURE = b"\x89PNG"


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A working folder with a training state in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "state").mkdir()
    return tmp_path


def test_mlflow_holds_the_history_and_a_resumed_training_continues_its_run(work, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    TrackerSettings(use=["mlflow"]).write(work / "trackers.yaml")
    config = settings(steps=4, eval_every=2)

    def opened():
        return open_trackers(work / "trackers.yaml", IDENTITY, config, work / "state")

    first, second = opened(), opened()
    assert first[0].run_id == second[0].run_id

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("defectbench.files.Path.replace", killed)
        with pytest.raises(KeyboardInterrupt):
            opened()
    assert (work / "state" / "mlflow_run_id").read_text() == first[0].run_id
    network, loss = TinyNetwork(), make_loss("bce")
    history = run_fit("x", network, loss, Squares(4), Squares(3), config, work / "state", loggers=second).history
    (work / "best.png").write_bytes(NO_PICTURE)
    close_trackers(second, {"steps": 4, "device": "cpu"}, [work / "best.png"])

    client = mlflow.MlflowClient(tracking_uri="sqlite:///runs/mlflow.db")
    run = client.get_run(second[0].run_id)
    assert (run.info.run_name, run.info.status, run.data.params["lr"]) == ("x", "FINISHED", "0.03")
    for column, steps in (("val_iou_fixed", [0, 2, 4]), ("train_loss", [2, 4])):
        logged = client.get_metric_history(run.info.run_id, column)
        assert [point.step for point in logged] == steps
        assert [point.value for point in logged] == pytest.approx(history[column].dropna().tolist())
    assert run.data.metrics["run/steps"] == 4
    assert [actual.path for actual in client.list_artifacts(run.info.run_id, "samples")] == ["samples/best.png"]


def test_trackers_change_no_name_and_no_settings_of_a_training(tmp_path):
    plain, tracked = load_study(changed()), load_study(changed(trackers={"use": ["mlflow", "wandb"]}))
    assert [e.exp_id for e in plain.experiments] == [e.exp_id for e in tracked.experiments]
    for name, study in (("plain", plain), ("tracked", tracked)):
        write_settings_files(study, tmp_path / name)
    differing = {
        path.name
        for path in (tmp_path / "plain").rglob("*.yaml")
        if path.read_bytes() != (tmp_path / "tracked" / path.relative_to(tmp_path / "plain")).read_bytes()
    }
    assert differing == {"trackers.yaml"}


def test_a_tracker_that_is_not_installed_is_an_error_before_any_job(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert problems_of(changed(trackers={"use": ["mlflow"]})) == [
        "trackers.use: mlflow not installed; pip install mlflow, or leave it out"
    ]


def test_wandb_offline_writes_files_and_needs_no_account(work):
    pytest.importorskip("wandb")
    TrackerSettings(use=["wandb"]).write(work / "trackers.yaml")
    config = settings(steps=4, eval_every=2)
    loggers = open_trackers(work / "trackers.yaml", IDENTITY, config, work / "state")
    run_fit("x", TinyNetwork(), make_loss("bce"), Squares(4), Squares(3), config, work / "state", loggers=loggers)
    close_trackers(loggers, {"steps": 4}, [])
    (run,) = (work / "runs" / "wandb").glob("offline-run-*")
    (log,) = run.glob("*.wandb")
    # Written by a process of its own, which may be behind on a busy machine.
    deadline = time.monotonic() + 30
    while b"val_iou_fixed" not in log.read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.1)
