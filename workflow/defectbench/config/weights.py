"""Settings of the folder of official weights."""

from pathlib import Path

from pydantic import Field

from defectbench.config.base import Settings


class WeightsSettings(Settings):
    """Folder of official weights: files found there are used, others are downloaded to it."""

    folder: Path = Field(Path("weights/official"), description="For machines without network: put the files here")
