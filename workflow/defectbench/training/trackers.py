"""Experiment trackers, MLflow and Weights & Biases: nothing is sent unless configured, and none stops a training."""

import contextlib
import fcntl
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from defectbench.config.base import Settings
from defectbench.config.identity import ExperimentIdentity
from defectbench.config.trackers import TrackerSettings
from defectbench.files import write_text
from defectbench.printable import printable
from defectbench.private_folder import open_lock
from defectbench.script import UserError
from defectbench.training.run_record import recorded_settings
from defectbench.training.state import is_first_process

FOLDER = Path("runs")
"""Folder of the trackers' files, relative to the working folder."""
_FILE = "sqlite:///"
# A server that does not answer holds a training for less than a minute; with the libraries' defaults it would be
# minutes, and at the end of a run of W&B without limit.
_MLFLOW_DEFAULTS = {
    **{"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"},
    **{"MLFLOW_HTTP_REQUEST_TIMEOUT": "10"},
}
_WANDB_DEFAULTS = {
    **{"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false", "WANDB_INIT_TIMEOUT": "20"},
    **{"WANDB_FINISH_TIMEOUT": "30", "WANDB_FINISH_TIMEOUT_RAISES": "true"},
}


class TrackedRun(Protocol):
    """The run of one training in one tracker."""

    def log(self, values: Mapping[str, float]) -> None:
        """Log one row of the history, at its step."""

    def finish(self, numbers: Mapping[str, float], pictures: Sequence[Path]) -> None:
        """Log the numbers of run.json and the pictures, and end the run."""


class Trackers:
    """The tracked runs of a training. One that fails is left out from then on, with a warning."""

    def __init__(self, makers: Mapping[str, Callable[[], TrackedRun]]) -> None:
        """Begin the runs of ``makers``, which are by the tracker's name."""
        self.runs: dict[str, TrackedRun] = {}
        for name, make in makers.items():
            with self._tolerating(name):
                self.runs[name] = make()

    def log_row(self, row: Mapping[str, float | None]) -> None:
        """Log one row of the history at its step; undefined values are left out."""
        values = {name: value for name, value in row.items() if value is not None and math.isfinite(value)}
        for name, run in list(self.runs.items()):
            with self._tolerating(name):
                run.log(values)

    def finish(self, record: Mapping[str, Any], pictures: Sequence[Path] = ()) -> None:
        """Log the numbers of run.json and the pictures, and end the runs."""
        numbers = {key: value for key, value in record.items() if isinstance(value, int | float)}
        for name, run in list(self.runs.items()):
            with self._tolerating(name):
                run.finish(numbers, pictures)

    @contextlib.contextmanager
    def _tolerating(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever a library or a server comes up with
            self.runs.pop(name, None)
            print(
                f"warning: {name} failed, and is not used in the rest of this training ({_reason(error)}); history.csv "
                "and run.json have all that it would have",
                flush=True,
            )


def _reason(error: Exception) -> str:
    """First line of ``error``; what an address in it has to log in with is left out."""
    line = printable(f"{type(error).__name__}: {error}".splitlines()[0])
    return re.sub(r"(?<=//)[^/\s]*(?=@)|(?<=[?&]password=)[^&\s]*|(?<=[?&]token=)[^&\s]*", "***", line)


def open_trackers(path: Path | None, identity: ExperimentIdentity, settings: Settings, state: Path) -> Trackers:
    """The trackers in ``path``, a trackers.yaml; none without a file, or in the process of a further device.

    A resumed training continues its tracked runs: their ids are in ``state``, a folder named by the training's
    fingerprint.

    Raises:
        UserError: if the environment lacks what the settings refer to.
    """
    if path is None or not is_first_process():
        return Trackers({})
    trackers = TrackerSettings.read(path)
    if "mlflow" in trackers.use and trackers.mlflow_uri == "env" and not os.environ.get("MLFLOW_TRACKING_URI"):
        raise UserError("trackers.mlflow_uri is env, but the environment variable MLFLOW_TRACKING_URI is not set")
    kinds: dict[str, Callable[..., TrackedRun]] = {"mlflow": MlflowRun, "wandb": WandbRun}
    parameters = {**identity.model_dump(mode="json"), **recorded_settings(settings)}
    return Trackers({name: partial(kinds[name], trackers, identity, parameters, state) for name in trackers.use})


class MlflowRun:
    """A run in MLflow's store."""

    def __init__(
        self, trackers: TrackerSettings, identity: ExperimentIdentity, parameters: Mapping[str, Any], state: Path
    ) -> None:
        """Begin the run, or continue that of an interrupted training."""
        for name, value in _MLFLOW_DEFAULTS.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient  # here, since it is an extra whose import takes seconds

        address = os.environ["MLFLOW_TRACKING_URI"] if trackers.mlflow_uri == "env" else trackers.mlflow_uri
        FOLDER.mkdir(exist_ok=True)
        self._is_file = address.startswith(_FILE)
        if self._is_file:  # absolute: in one process, MLflow keeps stores open by their addresses
            address = f"{_FILE}{Path(address.removeprefix(_FILE)).resolve()}"
        run_id_file = state / "mlflow_run_id"
        with self._alone():
            self._client = MlflowClient(address)
            if run_id_file.is_file():
                self.run_id = run_id_file.read_text()
                self._client.get_run(self.run_id)
            else:
                self.run_id = self._begin(identity, parameters)
                write_text(run_id_file, self.run_id)

    def log(self, values: Mapping[str, float]) -> None:
        """Log one row of the history, at its step."""
        self._log_metrics(values, int(values["step"]))

    def finish(self, numbers: Mapping[str, float], pictures: Sequence[Path]) -> None:
        """Log the numbers of run.json and the pictures, and end the run."""
        self._log_metrics({f"run/{name}": value for name, value in numbers.items()}, 0)
        with self._alone():
            for picture in pictures:
                self._client.log_artifact(self.run_id, str(picture), "samples")
            self._client.set_terminated(self.run_id)

    def _begin(self, identity: ExperimentIdentity, parameters: Mapping[str, Any]) -> str:
        from mlflow.entities import Param

        client, name = self._client, identity.dataset
        experiment = client.get_experiment_by_name(name)
        place = (FOLDER / "mlflow").as_posix() if self._is_file else None
        experiment_id = experiment.experiment_id if experiment else client.create_experiment(name, place)
        run = client.create_run(experiment_id, run_name=identity.exp_id, tags={"family": identity.family})
        client.log_batch(run.info.run_id, params=[Param(key, str(value)) for key, value in parameters.items()])
        return run.info.run_id

    def _log_metrics(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric
        from mlflow.utils.time import get_current_time_millis

        now = get_current_time_millis()
        metrics = [Metric(name, float(value), now, step) for name, value in values.items()]
        with self._alone():
            self._client.log_batch(self.run_id, metrics)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait for the other trainings: MLflow makes the tables of a new file in none but the first, if they race."""
        if not self._is_file:
            yield
            return
        with open_lock(FOLDER / "mlflow.lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class WandbRun:
    """A run of Weights & Biases."""

    def __init__(
        self, trackers: TrackerSettings, identity: ExperimentIdentity, parameters: Mapping[str, Any], state: Path
    ) -> None:
        """Begin the run, or continue that of an interrupted training."""
        for name, value in _WANDB_DEFAULTS.items():
            os.environ.setdefault(name, value)
        import wandb  # here, since it is an extra whose import takes seconds

        FOLDER.mkdir(exist_ok=True)
        self._wandb = wandb
        self._run = wandb.init(
            name=identity.exp_id,
            project=identity.dataset,
            group=identity.family,
            dir=FOLDER,
            mode=trackers.wandb_mode,
            id=state.name,
            resume="allow",
            config=dict(parameters),
        )
        self._run.define_metric("*", step_metric="step")

    def log(self, values: Mapping[str, float]) -> None:
        """Log one row of the history, at its step."""
        self._run.log(dict(values))

    def finish(self, numbers: Mapping[str, float], pictures: Sequence[Path]) -> None:
        """Log the numbers of run.json and the pictures, and end the run."""
        self._run.summary.update(numbers)
        for picture in pictures:
            self._run.log({f"samples/{picture.stem}": self._wandb.Image(str(picture))})
        self._run.finish()
