"""Trackers: MLflow in a local file and W&B offline get what history.csv has, and no result depends on them."""

import os
import socket
import subprocess
import sys
import time

import pytest
from study_config import changed, problems_of
from tiny_training import Squares, TinyNetwork, run_fit, settings

from defectbench.config.identity import ExperimentIdentity
from defectbench.config.settings_files import write_settings_files
from defectbench.config.study import load_study
from defectbench.config.trackers import TrackerSettings
from defectbench.training.losses import make_loss
from defectbench.training.trackers import FOLDER, Trackers, open_trackers

NAMED = {"exp_id": "x", "dataset": "steel", "family": "unet", "model": "unet", "variant": "tiny"}
IDENTITY = ExperimentIdentity(**NAMED, subset="full", prompt_type="none", img_size="native", seed=42)
NO_PICTURE = b"\x89PNG"


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A working folder with a training state in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "state").mkdir()
    return tmp_path


def test_mlflow_holds_the_history_and_a_resumed_training_continues_its_run(work):
    mlflow = pytest.importorskip("mlflow")
    TrackerSettings(use=["mlflow"]).write(work / "trackers.yaml")
    config = settings(steps=4, eval_every=2)

    def opened():
        return open_trackers(work / "trackers.yaml", IDENTITY, config, work / "state")

    first, second = opened(), opened()
    run_id = first.runs["mlflow"].run_id
    assert second.runs["mlflow"].run_id == run_id

    assert (work / "state" / "mlflow_run_id").read_text() == run_id
    network, loss = TinyNetwork(), make_loss("bce")
    history = run_fit("x", network, loss, Squares(4), Squares(3), config, work / "state", report=second.log_row).history
    (work / "best.png").write_bytes(NO_PICTURE)
    second.finish({"steps": 4, "device": "cpu"}, [work / "best.png"])

    client = mlflow.MlflowClient(tracking_uri="sqlite:///runs/mlflow.db")
    run = client.get_run(run_id)
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
    trackers = open_trackers(work / "trackers.yaml", IDENTITY, config, work / "state")
    data, loss = (Squares(4), Squares(3)), make_loss("bce")
    run_fit("x", TinyNetwork(), loss, *data, config, work / "state", report=trackers.log_row)
    limits = trackers.runs["wandb"]._run.settings
    assert (limits.init_timeout, limits.finish_timeout, limits.finish_timeout_raises) == (20, 30, True)
    trackers.finish({"steps": 4})
    (run,) = (work / "runs" / "wandb").glob("offline-run-*")
    (log,) = run.glob("*.wandb")
    # Written by a process of its own, which may be behind on a busy machine.
    deadline = time.monotonic() + 30
    while b"val_iou_fixed" not in log.read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.1)


BEGIN = """
import sys
from pathlib import Path
from defectbench.config.runtime import RuntimeSettings
from defectbench.config.identity import ExperimentIdentity
from defectbench.training.trackers import open_trackers
identity = ExperimentIdentity.model_validate_json(sys.argv[1])
state = Path(sys.argv[2])
state.mkdir()
trackers = open_trackers(Path("trackers.yaml"), identity, RuntimeSettings(), state)
for step in range(5):
    trackers.log_row({"step": step, "val_loss": 1.0 / (1 + step)})
trackers.finish({"steps": 4})
"""


def test_trainings_that_start_at_once_on_an_empty_store_are_all_in_it(work):
    mlflow = pytest.importorskip("mlflow")
    TrackerSettings(use=["mlflow"]).write(work / "trackers.yaml")
    names = [f"x{number}" for number in range(4)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", BEGIN, IDENTITY.model_copy(update={"exp_id": name}).model_dump_json(), name],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name in names
    ]
    said = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said
    assert not [text for text in said if "warning: mlflow" in text]
    # Absolute: in one process, MLflow keeps stores open by their addresses.
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{work}/runs/mlflow.db")
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert sorted(run.info.run_name for run in runs) == names
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert all(len(client.get_metric_history(run.info.run_id, "val_loss")) == 5 for run in runs)


class Failing:
    """A run of a tracker that fails at one of its calls."""

    def __init__(self, call=None):
        if call == "begin":
            raise OSError(28, "No space left on device")
        self.call, self.rows = call, 0

    def log(self, values):
        self.rows += 1
        if self.call == "log" and self.rows == 2:
            raise ConnectionError("the server is gone")

    def finish(self, numbers, pictures):
        if self.call == "finish":
            raise RuntimeError("database is locked")


@pytest.mark.parametrize(
    ("call", "reason", "rows"),
    [
        ("begin", "OSError: [Errno 28] No space left on device", None),
        ("log", "ConnectionError: the server is gone", 2),
        ("finish", "RuntimeError: database is locked", 3),
        (None, "", 3),
    ],
)
def test_a_tracker_that_fails_is_left_out_with_one_warning_and_changes_no_weights(work, capsys, call, reason, rows):
    config = settings(steps=4, eval_every=2)
    data, loss = (Squares(4), Squares(3)), make_loss("bce")
    alone = run_fit("x", TinyNetwork(), loss, *data, config, work / "alone")
    trackers = Trackers({"failing": lambda: Failing(call), "sound": Failing})
    failing, sound = trackers.runs.get("failing"), trackers.runs["sound"]
    tracked = run_fit("x", TinyNetwork(), loss, *data, config, work / "state", report=trackers.log_row)
    trackers.finish({"steps": 4})
    warnings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: failing failed")]
    assert len(warnings) == (call is not None)
    assert reason in "".join(warnings)
    assert (failing and failing.rows) == rows
    assert sound.rows == 3
    for name, weights in alone.weights.items():
        assert all(weights[key].equal(tracked.weights[name][key]) for key in weights)


def test_a_lock_that_cannot_be_taken_stops_no_training(work, capsys):
    pytest.importorskip("mlflow")
    TrackerSettings(use=["mlflow"]).write(work / "trackers.yaml")
    trackers = open_trackers(work / "trackers.yaml", IDENTITY, settings(), work / "state")
    lock = FOLDER / "mlflow.lock"
    lock.unlink()
    lock.symlink_to(work / "elsewhere")
    trackers.log_row({"step": 1, "val_loss": 1.0})
    assert trackers.runs == {}
    assert "the lock file runs/mlflow.lock cannot be opened" in capsys.readouterr().out


@pytest.mark.parametrize("tracker", ["mlflow", "wandb"])
def test_a_server_that_is_gone_holds_no_training_for_long(work, capsys, monkeypatch, tracker):
    library = pytest.importorskip(tracker)
    if tracker == "wandb":  # it keeps the environment of its first run in this process
        library.teardown()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    # The limits are the user's to choose, too.
    for name, value in {"BASE_URL": address, "API_KEY": "a" * 40, "INIT_TIMEOUT": "2"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    TrackerSettings(use=[tracker], mlflow_uri=address, wandb_mode="online").write(work / "trackers.yaml")
    started = time.monotonic()
    trackers = open_trackers(work / "trackers.yaml", IDENTITY, settings(), work / "state")
    assert time.monotonic() - started < 30
    assert trackers.runs == {}
    assert capsys.readouterr().out.count(f"warning: {tracker} failed") == 1
    assert not (FOLDER / "mlflow.db").exists()
