"""Settings of the download of a dataset."""

from pathlib import Path, PurePosixPath
from typing import Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, field_validator, model_validator

from defectbench.config.base import Settings, has_secret

LISTING = "fetched.sha256"
"""File in dataset.root: what the files were unpacked from, and the digest of each, in the format of ``sha256sum``."""


class FetchSettings(Settings):
    """One of ``kaggle_competition`` and ``kaggle_dataset``, with or without ``sha256``, or ``url`` with it."""

    kaggle_competition: str | None = Field(None, pattern=r"^[\w-]+$", description="Last part of its address")
    kaggle_dataset: str | None = Field(
        None,
        pattern=r"^[\w-]+/[\w-]+(/versions/[1-9][0-9]*)?$",
        description="owner/name, or owner/name/versions/1 for the same files at any time",
    )
    url: str | None = Field(None, pattern=r"^https?://[^/]+/.*[^/]$", description="Address of a zip or tar archive")
    sha256: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="Digest of the archive at url, or of Kaggle's archive of all files",
    )

    @field_validator("url")
    @classmethod
    def _no_secret(cls, url: str | None) -> str | None:
        if url is not None and has_secret(url):
            raise ValueError("holds a password or token, which would be copied to other files: put it into ~/.netrc")
        return url

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [key for key, value in self if key != "sha256" and value is not None]
        if len(given) != 1:
            raise ValueError(
                f"give one of kaggle_competition, kaggle_dataset and url, got {' and '.join(given) or 'none'}"
            )
        if self.url is not None and self.sha256 is None:
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
        """Name of what is meant: the address, and the archive's digest if it is known."""
        return _name(self.address, self.sha256)

    def name_read(self, sha256: str | None, by_hand: bool) -> str:
        """Name, in the list of files, of what was read: an archive put there by hand, or what the address gave."""
        return _name(f"archive {self.archive_name}" if by_hand else self.address, sha256)

    def is_origin(self, name_read: str) -> bool:
        """Whether what was read is what is meant: the same archive, or the same source if no digest is given."""
        if self.sha256:
            return name_read.endswith(_name("", self.sha256))
        return name_read.partition(" (SHA-256 ")[0] in (self.address, f"archive {self.archive_name}")

    @property
    def archive_name(self) -> str:
        """File name of an archive downloaded by hand, beside the dataset's folder."""
        if self.url:
            return PurePosixPath(unquote(urlsplit(self.url).path)).name
        return f"{self.kaggle_competition or str(self.kaggle_dataset).split('/')[1]}.zip"


def _name(source: str, sha256: str | None) -> str:
    return f"{source} (SHA-256 {sha256})" if sha256 else source


def fetched_from(root: Path) -> str | None:
    """Name of what the files in ``root`` were unpacked from; None if they were not fetched."""
    if not (root / LISTING).is_file():
        return None
    with (root / LISTING).open(encoding="utf-8") as file:
        return file.readline().removeprefix("# ").rstrip()


def fetch_command(configfile: str) -> str:
    """The command that downloads the dataset of a study."""
    return f"snakemake --cores 1 -s rules/fetch.smk --configfile {configfile}"
