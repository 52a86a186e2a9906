"""Settings of the experiment trackers that trainings log to, besides history.csv."""

import importlib.util
from typing import Literal

from pydantic import Field, field_validator

from defectbench.config.base import Settings, has_secret


class TrackerSettings(Settings):
    """Trackers that every training logs to; no result depends on them, and a change of them trains nothing again."""

    use: list[Literal["mlflow", "wandb"]] = Field(
        [], description="Needs the extra 'trackers'; history.csv is written in any case"
    )
    mlflow_uri: str = Field(
        "sqlite:///runs/mlflow.db",
        description="MLflow's store: a local file, a server's URL, or env: that in MLFLOW_TRACKING_URI",
    )
    wandb_mode: Literal["offline", "online"] = Field(
        "offline", description="offline: files in runs/wandb/, sent by `wandb sync`; online: needs an account"
    )

    @field_validator("mlflow_uri")
    @classmethod
    def _no_secret(cls, address: str) -> str:
        if has_secret(address):
            raise ValueError(
                "holds a password or token, which would be copied to the settings of every experiment: leave it out "
                "and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or give env and set MLFLOW_TRACKING_URI"
            )
        return address

    @field_validator("use")
    @classmethod
    def _installed(cls, names: list[str]) -> list[str]:
        missing = [name for name in names if importlib.util.find_spec(name) is None]
        if missing:
            raise ValueError(f"{', '.join(missing)} not installed; pip install {' '.join(missing)}, or leave it out")
        return names
