"""Fetching from Kaggle: kagglehub does it, and whatever it lacks is told with a way out."""

import os
import socket
from pathlib import Path

import kagglehub
import pytest
import requests
from fetching import FILES, contents, message, zipped
from kagglehub.exceptions import DataCorruptionError, KaggleApiHTTPError

from defectbench.config.fetch import FetchSettings
from defectbench.data.fetch import fetch

COMPETITION = FetchSettings(kaggle_competition="steel-defects")
DATASET = FetchSettings(kaggle_dataset="someone/cracks/versions/1")


@pytest.fixture
def root(tmp_path):
    return tmp_path / "data" / "set"


@pytest.fixture
def no_kaggle(tmp_path, monkeypatch):
    """No credentials of Kaggle, and no network."""
    for name in [name for name in os.environ if name.startswith("KAGGLE")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "none"))

    def refuse(*args):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_without_credentials_kaggle_data_come_with_instructions(no_kaggle, root):
    text = message(COMPETITION, root)
    page = "https://www.kaggle.com/competitions/steel-defects"
    for part in (
        "KAGGLE_API_TOKEN",
        "KAGGLE_USERNAME",
        "kaggle.json",
        f"{page}/rules",
        f"{root.parent}/steel-defects.zip",
    ):
        assert part in text
    assert not root.exists()


@pytest.mark.parametrize(
    ("source", "function", "handle"),
    [
        (COMPETITION, "competition_download", "steel-defects"),
        (DATASET, "dataset_download", "someone/cracks/versions/1"),
    ],
)
def test_kagglehub_is_given_the_handle_and_its_files_are_moved_to_the_folder(
    no_kaggle, root, monkeypatch, source, function, handle
):
    def download(asked, output_dir):
        assert asked == handle
        for name, data in {**FILES, ".complete/steel/bundle.complete": b""}.items():
            path = Path(output_dir) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return output_dir

    monkeypatch.setattr(kagglehub, function, download)
    assert fetch(source, root) == 3
    found = contents(root)
    assert source.address in found.pop("fetched.sha256").decode()
    assert found == FILES


def http_error(status):
    response = requests.Response()
    response.status_code = status
    return KaggleApiHTTPError(f"{status} Client Error.", response=response)


@pytest.mark.parametrize(
    ("error", "expected", "absent"),
    [
        (http_error(403), "competitions/steel-defects/rules", "no connection"),
        (http_error(401), "KAGGLE_API_TOKEN", "no connection"),
        (http_error(404), "404 Client Error", "KAGGLE_API_TOKEN"),
        (requests.ConnectionError("refused"), "no connection", "KAGGLE_API_TOKEN"),
        (DataCorruptionError("MD5 differs"), "MD5 differs", "KAGGLE_API_TOKEN"),
        (OSError(28, "No space left on device"), "No space left", "KAGGLE_API_TOKEN"),
    ],
)
def test_what_goes_wrong_at_kaggle_is_told_with_the_way_by_hand(no_kaggle, root, monkeypatch, error, expected, absent):
    def download(handle, output_dir):
        Path(output_dir).mkdir()
        (Path(output_dir) / "half.zip").write_bytes(b"half")
        raise error

    monkeypatch.setattr(kagglehub, "competition_download", download)
    text = message(COMPETITION, root)
    assert expected in text
    assert absent not in text
    assert f"put it at {root.parent}/steel-defects.zip" in text
    assert list(root.parent.iterdir()) == []


@pytest.mark.parametrize(("source", "name"), [(COMPETITION, "steel-defects.zip"), (DATASET, "cracks.zip")])
def test_a_kaggle_archive_downloaded_by_hand_needs_no_credentials(no_kaggle, root, source, name):
    root.parent.mkdir()
    (root.parent / name).write_bytes(zipped(FILES))
    fetch(source, root)
    assert FILES.items() <= contents(root).items()
