"""Settings of the experiment trackers that trainings log to, besides history.csv."""

import importlib.util
from typing import Literal

from pydantic import Field, field_validator

from defectbench.config.base import Settings


class TrackerSettings(Settings):
    """Trackers that every training logs to; no result depends on them, and a change of them trains nothing again."""

    use: list[Literal["mlflow", "wandb"]] = Field(
        [], description="Needs the extra 'trackers'; history.csv is written in any case"
    )
    mlflow_uri: str = Field("sqlite:///runs/mlflow.db", description="MLflow's store: a local file, or a server's URL")
    wandb_mode: Literal["offline", "online"] = Field(
        "offline", description="offline: files in runs/wandb/, sent by `wandb sync`; online: needs an account"
    )

    @field_validator("use")
    @classmethod
    def _installed(cls, names: list[str]) -> list[str]:
        missing = [name for name in names if importlib.util.find_spec(name) is None]
        if missing:
            raise ValueError(f"{', '.join(missing)} not installed; pip install {' '.join(missing)}, or leave it out")
        return names
