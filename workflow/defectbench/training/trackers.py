"""Experiment trackers: MLflow and Weights & Biases, by Lightning's loggers; nothing is sent unless configured."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, MLFlowLogger, WandbLogger

from defectbench.config.base import Settings
from defectbench.config.identity import ExperimentIdentity
from defectbench.config.trackers import TrackerSettings
from defectbench.files import write_text
from defectbench.script import UserError
from defectbench.training.run_record import recorded_settings
from defectbench.training.state import is_first_process

FOLDER = Path("runs")
"""Folder of the trackers' files, relative to the working folder."""


def open_trackers(
    path: Path | None, identity: ExperimentIdentity, settings: Settings, state: Path
) -> list[MLFlowLogger | WandbLogger]:
    """The trackers in ``path``, a trackers.yaml; none without a file, or in the process of a further device.

    A resumed training continues its tracker runs: their ids are in ``state``, a folder named by the training's
    fingerprint.
    """
    if path is None or not is_first_process():
        return []
    trackers = TrackerSettings.read(path)
    makers = {"mlflow": _make_mlflow, "wandb": _make_wandb}
    loggers = [makers[name](trackers, identity, state) for name in trackers.use]
    for logger in loggers:
        logger.log_hyperparams({**identity.model_dump(mode="json"), **recorded_settings(settings)})
    return loggers


def track_row(loggers: Sequence[Logger], row: Mapping[str, float | None]) -> None:
    """Log one row of the history at its step; undefined values are left out."""
    values = {name: value for name, value in row.items() if value is not None and math.isfinite(value)}
    for logger in loggers:
        logger.log_metrics(values, step=int(values["step"]))


def close_trackers(
    loggers: Sequence[MLFlowLogger | WandbLogger], record: Mapping[str, Any], pictures: Sequence[Path]
) -> None:
    """Log the numbers of run.json and the pictures, and end the runs."""
    numbers = {key: value for key, value in record.items() if isinstance(value, int | float)}
    for logger in loggers:
        if isinstance(logger, MLFlowLogger):
            logger.log_metrics({f"run/{key}": value for key, value in numbers.items()})
            for picture in pictures:
                logger.experiment.log_artifact(logger.run_id, str(picture), "samples")
            logger.finalize("success")
        else:
            logger.experiment.summary.update(numbers)
            for picture in pictures:
                logger.log_image(f"samples/{picture.stem}", [str(picture)])
            logger.experiment.finish()


def _make_mlflow(trackers: TrackerSettings, identity: ExperimentIdentity, state: Path) -> MLFlowLogger:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    FOLDER.mkdir(exist_ok=True)
    address = trackers.mlflow_uri
    if address == "env":
        address = os.environ.get("MLFLOW_TRACKING_URI", "")
        if not address:
            raise UserError("trackers.mlflow_uri is env, but the environment variable MLFLOW_TRACKING_URI is not set")
    run_id_file = state / "mlflow_run_id"
    logger = MLFlowLogger(
        experiment_name=identity.dataset,
        run_name=identity.exp_id,
        tracking_uri=address,
        tags={"family": identity.family},
        artifact_location=str(FOLDER / "mlflow") if address.startswith("sqlite:") else None,
        run_id=run_id_file.read_text() if run_id_file.is_file() else None,
    )
    write_text(run_id_file, logger.run_id)
    return logger


def _make_wandb(trackers: TrackerSettings, identity: ExperimentIdentity, state: Path) -> WandbLogger:
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    FOLDER.mkdir(exist_ok=True)
    return WandbLogger(
        name=identity.exp_id,
        project=identity.dataset,
        save_dir=FOLDER,
        offline=trackers.wandb_mode == "offline",
        id=state.name,
        resume="allow",
        group=identity.family,
    )
