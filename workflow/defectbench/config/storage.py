"""Settings of what a study keeps on disk."""

from typing import Literal

from pydantic import Field

from defectbench.config.base import Settings


class StorageSettings(Settings):
    """What a study keeps on disk. A change makes nothing stale."""

    maps: Literal["all", "test", "none"] = Field(
        "all",
        description="Score maps that are kept once all that reads them is made: all; those of test images, which "
        "pictures show; or none. What a later change needs again is predicted again, with its scores",
    )

    def keeps(self, role: str) -> bool:
        """Whether the maps of images of ``role``, "val", "oof" or "test", are kept."""
        return self.maps == "all" or self.maps == role
