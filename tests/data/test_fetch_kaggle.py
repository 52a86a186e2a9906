"""Fetching from Kaggle: kagglehub does it, and whatever it lacks is told with a way out."""

import hashlib
import os
import socket
import tarfile
from pathlib import Path

import fetch as fetch_script
import kagglehub
import pytest
import requests
from fetching import FILES, contents, message, special, tarred, zipped
from kagglehub import http_resolver
from kagglehub.exceptions import DataCorruptionError, KaggleApiHTTPError
from other_users import give_to_another

from defectbench.config.fetch import FetchSettings, fetched_from
from defectbench.data import fetch as data_fetch
from defectbench.data.archives import ArchiveError
from defectbench.data.fetch import fetch
from defectbench.private_folder import PrivateFolderError

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


ARCHIVE = zipped(FILES)
SHA256 = hashlib.sha256(ARCHIVE).hexdigest()
KNOWN = COMPETITION.model_copy(update={"sha256": SHA256})
OTHER = COMPETITION.model_copy(update={"sha256": "0" * 64})


@pytest.fixture
def by_hand(no_kaggle, root):
    """An archive beside the folder of the dataset."""
    root.parent.mkdir()
    path = root.parent / "steel-defects.zip"
    path.write_bytes(ARCHIVE)
    return path


@pytest.fixture
def archive_of_kaggle(no_kaggle, monkeypatch):
    """What kagglehub downloads, before it unpacks it; the rest is kagglehub's own code."""
    served = [ARCHIVE]

    def download_file(response, out_file, handle, cached_path=None):
        Path(out_file).write_bytes(served[0])
        return True

    monkeypatch.setenv("KAGGLE_USERNAME", "a")
    monkeypatch.setenv("KAGGLE_KEY", "b")
    monkeypatch.setattr(http_resolver, "handle_call", lambda call, handle: None)
    monkeypatch.setattr(http_resolver, "download_file", download_file)
    return served


def test_the_list_of_files_names_the_archive_that_was_read_and_not_kaggle(by_hand, root, tmp_path, capsys):
    COMPETITION.write(tmp_path / "fetch.yaml")
    fetch_script.main(["--settings", str(tmp_path / "fetch.yaml"), "--root", str(root)])
    assert fetched_from(root) == f"archive steel-defects.zip (SHA-256 {SHA256})"
    assert "kaggle.com" not in (root / "fetched.sha256").read_text()
    assert f"from archive steel-defects.zip (SHA-256 {SHA256})" in capsys.readouterr().out


def test_an_archive_of_another_user_is_used_only_with_its_digest(by_hand, root, monkeypatch):
    give_to_another(by_hand, monkeypatch)
    text = message(COMPETITION, root)
    assert f"{by_hand}: not used: it belongs to another user" in text
    assert "dataset.fetch.sha256" in text
    assert [path.name for path in root.parent.iterdir()] == [by_hand.name]
    monkeypatch.undo()
    assert fetch(KNOWN, root) == 3


def test_a_link_of_another_user_to_our_own_archive_is_his_choice_too(by_hand, root, monkeypatch):
    by_hand.symlink_to(by_hand.rename(root.parent / "ours.zip"))
    give_to_another(by_hand, monkeypatch)
    assert "not used: it belongs to another user" in message(COMPETITION, root)


def test_an_archive_that_everybody_may_write_to_is_used_only_with_its_digest(by_hand, root):
    by_hand.chmod(0o666)
    assert "everybody may write to it" in message(COMPETITION, root)
    assert fetch(KNOWN, root) == 3


def test_an_archive_by_hand_of_another_digest_than_kaggles_is_refused(by_hand, root):
    assert SHA256 in message(OTHER, root)
    assert not root.exists()


def test_the_archive_that_was_checked_is_unpacked_even_if_another_takes_its_place_meanwhile(by_hand, root, monkeypatch):
    def exchange(path):
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        by_hand.write_bytes(zipped({"evil.txt": b"x"}))
        return digest

    monkeypatch.setattr(data_fetch, "file_sha256", exchange)
    fetch(KNOWN, root)
    assert {"train.csv", "images/a.jpg"} <= set(contents(root))
    assert "evil.txt" not in contents(root)


def test_a_download_from_kaggle_is_checked_named_and_unpacked_as_any_archive(archive_of_kaggle, root):
    assert fetch(KNOWN, root) == 3
    assert fetched_from(root) == f"{COMPETITION.address} (SHA-256 {SHA256})"
    assert FILES.items() <= contents(root).items()


def test_a_download_from_kaggle_of_another_digest_is_not_unpacked(archive_of_kaggle, root, monkeypatch):
    monkeypatch.setattr(data_fetch, "unpack", lambda *args: pytest.fail("unpacked"))
    assert SHA256 in message(OTHER, root)
    assert list(root.parent.iterdir()) == []


def test_links_in_an_archive_of_kaggle_are_refused(archive_of_kaggle, root):
    archive_of_kaggle[0] = tarred({"a.jpg": b"", "b.jpg": special("b.jpg", tarfile.SYMTYPE, "a.jpg")})
    with pytest.raises(ArchiveError, match="link"):
        fetch(COMPETITION, root)
    assert list(root.parent.iterdir()) == []


def test_files_of_kagglehub_without_an_archive_are_refused_if_a_digest_is_given_or_one_is_a_link(
    no_kaggle, root, monkeypatch
):
    def mount(handle, output_dir):
        Path(output_dir).mkdir()
        (Path(output_dir) / "train.csv").symlink_to("/etc/hosts")

    monkeypatch.setattr(kagglehub, "competition_download", mount)
    assert "cannot be checked" in message(KNOWN, root)
    assert "train.csv is a link" in message(COMPETITION, root)
    assert list(root.parent.iterdir()) == []


@pytest.mark.parametrize("source", [COMPETITION, KNOWN], ids=["no digest", "digest"])
def test_what_was_read_is_compared_with_what_is_meant(source):
    assert source.is_origin(f"archive steel-defects.zip (SHA-256 {SHA256})")
    assert source.is_origin(f"{COMPETITION.address} (SHA-256 {SHA256})")
    assert source.is_origin(COMPETITION.address) == (source is COMPETITION)
    assert source.is_origin(f"{COMPETITION.address} (SHA-256 {'1' * 64})") == (source is COMPETITION)
    assert not source.is_origin("archive other.zip")
    assert not source.is_origin("https://www.kaggle.com/competitions/other")


def test_a_folder_of_work_prepared_by_another_user_is_refused(by_hand, root, monkeypatch):
    (root.parent / ".set.part").mkdir()
    give_to_another(root.parent / ".set.part", monkeypatch)
    with pytest.raises(PrivateFolderError, match="belongs to another user"):
        fetch(KNOWN, root)


def test_a_folder_of_work_that_is_a_link_is_not_followed(by_hand, root, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "lock").write_text("mine")
    (root.parent / ".set.part").symlink_to(tmp_path / "mine")
    with pytest.raises(PrivateFolderError, match="a link"):
        fetch(KNOWN, root)
    assert contents(tmp_path / "mine") == {"lock": b"mine"}
