"""Settings of the download of a dataset."""

from pathlib import Path, PurePosixPath
from typing import Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, model_validator

from defectbench.config.base import Settings

LISTING = "fetched.sha256"
"""File in dataset.root: origin of the files, and the digest of each, in the format of ``sha256sum``."""


class FetchSettings(Settings):
    """One of ``kaggle_competition``, ``kaggle_dataset``, or ``url`` with ``sha256``."""

    kaggle_competition: str | None = Field(None, pattern=r"^[\w-]+$", description="Last part of its address")
    kaggle_dataset: str | None = Field(
        None,
        pattern=r"^[\w-]+/[\w-]+(/versions/[1-9][0-9]*)?$",
        description="owner/name, or owner/name/versions/1 for the same files at any time",
    )
    url: str | None = Field(None, pattern=r"^https?://[^/]+/.*[^/]$", description="Address of a zip or tar archive")
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="Digest of the archive at url")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [key for key, value in self if key != "sha256" and value is not None]
        if len(given) != 1:
            raise ValueError(
                f"give one of kaggle_competition, kaggle_dataset and url, got {' and '.join(given) or 'none'}"
            )
        if (self.url is None) != (self.sha256 is None):
            raise ValueError("url and sha256 go together: an archive is unpacked only if it is the one meant")
        return self

    @property
    def address(self) -> str:
        """The page or file that people open to download the data themselves."""
        if self.url:
            return self.url
        if self.kaggle_competition:
            return f"https://www.kaggle.com/competitions/{self.kaggle_competition}"
        return f"https://www.kaggle.com/datasets/{self.kaggle_dataset}"

    @property
    def origin(self) -> str:
        """Name of this source in the list of downloaded files."""
        return f"{self.address} (SHA-256 {self.sha256})" if self.sha256 else self.address

    @property
    def archive_name(self) -> str:
        """File name of an archive downloaded by hand, beside the dataset's folder."""
        if self.url:
            return PurePosixPath(unquote(urlsplit(self.url).path)).name
        return f"{self.kaggle_competition or str(self.kaggle_dataset).split('/')[1]}.zip"


def fetched_from(root: Path) -> str | None:
    """The ``origin`` of the files downloaded to ``root``; None if there are none."""
    if not (root / LISTING).is_file():
        return None
    with (root / LISTING).open(encoding="utf-8") as file:
        return file.readline().removeprefix("# ").rstrip()


def fetch_command(configfile: str) -> str:
    """The command that downloads the dataset of a study."""
    return f"snakemake --cores 1 -s rules/fetch.smk --configfile {configfile}"
