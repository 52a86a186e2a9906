"""Fetching a dataset: complete and as it was meant, or not at all, and always with a way out."""

import fcntl
import hashlib
import io
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from contextlib import suppress
from shutil import disk_usage
from types import SimpleNamespace

import doctor
import fetch as fetch_script
import numpy as np
import pytest
import yaml
from fetching import FILES, Server, contents, message, special, tarred, zip_link, zipped
from small_datasets import write_masks
from tiny_study import ROOT, Project

from defectbench.config.base import ConfigError
from defectbench.config.fetch import FetchSettings
from defectbench.config.study import load_dataset, load_study
from defectbench.data.archives import ArchiveError, unpack
from defectbench.data.fetch import fetch
from defectbench.data.room import Room, RoomError

CLOSED = "http://127.0.0.1:9"  # the discard port: nothing listens


@pytest.fixture
def server():
    server = Server()
    yield server
    server.over.set()
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def root(tmp_path):
    return tmp_path / "data" / "set"


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "set.tar.gz", "set.tar.bz2", "set.tar.xz"])
def test_an_archive_is_downloaded_unpacked_and_listed(server, root, name):
    kind = name.removeprefix("set.tar").removeprefix(".")
    data = zipped(FILES) if name == "set.zip" else tarred(FILES, f"w:{kind}")
    assert fetch(server.source(name, data), root) == 3
    found = contents(root)
    listing = found.pop("fetched.sha256").decode()
    assert found == FILES
    assert listing.startswith(
        f"# {server.address}/{name} (SHA-256 {hashlib.sha256(data).hexdigest()})\n# 3 files, 11 by"
    )
    subprocess.run(["sha256sum", "--check", "--strict", "fetched.sha256"], cwd=root, check=True, capture_output=True)
    assert [path.name for path in root.parent.iterdir()] == ["set"]


def test_an_archive_with_the_wrong_hash_is_refused_before_it_is_unpacked(server, root, monkeypatch):
    source = server.source("set.zip", zipped(FILES))
    server.files["/set.zip"] = zipped({"other.txt": b"not what was meant"})
    monkeypatch.setattr("defectbench.data.fetch.unpack", lambda *args: pytest.fail("unpacked"))
    assert source.sha256 in message(source, root)
    assert contents(root.parent) == {}


def test_a_download_that_ends_early_leaves_nothing(server, root):
    source = server.source("set.zip", zipped({"a.bin": np.random.default_rng(0).bytes(5000)}))
    server.short.add("/set.zip")
    assert message(source, root).startswith(f"{source.url}: ")
    assert list(root.parent.iterdir()) == []


def test_without_connection_the_message_says_what_to_put_where_and_that_file_is_used(root):
    data = zipped(FILES)
    source = FetchSettings(url=f"{CLOSED}/a/set%20one.zip?x=1", sha256=hashlib.sha256(data).hexdigest())
    text = message(source, root)
    assert "no connection" in text
    for part in (source.url, source.sha256, str(root.parent / "set one.zip")):
        assert part in text
    (root.parent / "set one.zip").write_bytes(data)
    fetch(source, root)
    assert FILES.items() <= contents(root).items()
    assert (root.parent / "set one.zip").read_bytes() == data


def test_a_file_put_there_by_hand_is_checked_and_kept(server, root):
    source = server.source("set.zip", zipped(FILES))
    wrong = zipped({"x": b"y"})
    root.parent.mkdir()
    (root.parent / "set.zip").write_bytes(wrong)
    text = message(source, root)
    assert source.sha256 in text
    assert hashlib.sha256(wrong).hexdigest() in text
    assert contents(root.parent) == {"set.zip": wrong}
    assert server.asked == []


def test_an_absent_file_is_told_with_its_status(server, root):
    assert "404" in message(FetchSettings(url=f"{server.address}/gone.zip", sha256="0" * 64), root)


ESCAPES = {
    "zip, parent": zipped({"good.txt": b"", "../evil": b"x"}),
    "zip, inner parent": zipped({"a/../../evil": b"x"}),
    "zip, absolute": zipped({"/evil": b"x"}),
    "zip, drive": zipped({"C:evil": b"x"}),
    "zip, backslash": zipped({"a\\..\\..\\evil": b"x"}),
    "zip, link": zip_link("images", ".."),
    "tar, parent": tarred({"good.txt": b"", "../evil": b"x"}),
    "tar, absolute": tarred({"/evil": b"x"}),
    "tar, link": tarred({"images": special("images", tarfile.SYMTYPE, "../.."), "images/evil": b"x"}),
    "tar, absolute link": tarred({"images": special("images", tarfile.SYMTYPE, "/tmp")}),
    "tar, hard link": tarred({"a": special("a", tarfile.LNKTYPE, "../secret")}),
    "tar, pipe": tarred({"a": special("a", tarfile.FIFOTYPE)}),
    "tar, device": tarred({"a": special("a", tarfile.CHRTYPE)}),
}


@pytest.mark.parametrize("archive", ESCAPES.values(), ids=ESCAPES)
def test_archives_that_reach_outside_are_refused(server, tmp_path, root, archive):
    (tmp_path / "secret").write_text("mine")
    with pytest.raises(ArchiveError, match="refused"):
        fetch(server.source("set.bin", archive), root)
    assert contents(tmp_path) == {"secret": b"mine"}
    assert list(root.parent.iterdir()) == []


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>", zipped(FILES)[:-30], tarred(FILES, "w:gz")[:-90]],
    # Not by the bytes: those of gzip hold the time, and the workers of a test run must agree on names.
    ids=["empty", "page", "cut zip", "cut tar"],
)
def test_an_incomplete_archive_is_refused(tmp_path, data):
    (tmp_path / "set.zip").write_bytes(data)
    with pytest.raises(ArchiveError, match=r"set\.zip: cannot be unpacked"):
        unpack(tmp_path / "set.zip", tmp_path / "out")


def test_a_folder_that_holds_something_is_left_alone(server, root):
    root.mkdir(parents=True)
    (root / "mine.txt").write_text("mine")
    assert "not empty" in message(server.source("set.zip", zipped(FILES)), root)
    assert contents(root.parent) == {"set/mine.txt": b"mine"}
    assert server.asked == []


def test_a_killed_download_leaves_no_folder_and_the_next_one_succeeds(server, tmp_path, root):
    source = server.source("set.zip", zipped({"a.bin": np.random.default_rng(0).bytes(5000)}))
    source.write(tmp_path / "fetch.yaml")
    server.stuck.add("/set.zip")
    command = [sys.executable, fetch_script.__file__, "--settings", tmp_path / "fetch.yaml", "--root", root]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not server.asked and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert server.asked
    assert not root.exists()
    server.stuck.clear()
    fetch(source, root)
    assert {path.name for path in root.iterdir()} == {"a.bin", "fetched.sha256"}
    assert [path.name for path in root.parent.iterdir()] == ["set"]


def test_two_downloads_to_one_folder_do_not_mix(server, root):
    part = root.parent / ".set.part"
    part.mkdir(parents=True)
    with (part / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another process" in message(server.source("set.zip", zipped(FILES)), root)
    assert part.is_dir()


STUDY = {
    "study": "s",
    "dataset": {"name": "d", "format": "mask_folder", "root": "nowhere", "classes": {1: "dent", 2: "stain"}},
    "experiments": [{"model": "all_empty"}],
}


def study(**dataset):
    return {**STUDY, "dataset": {**STUDY["dataset"], **dataset}}


@pytest.mark.parametrize(
    ("fetch_keys", "expected"),
    [
        ({}, "dataset.fetch: give one of kaggle_competition, kaggle_dataset and url, got none"),
        ({"kaggle_competition": "a", "kaggle_dataset": "b/c"}, "got kaggle_competition and kaggle_dataset"),
        ({"url": "https://x.org/a.zip"}, "dataset.fetch: url and sha256 go together"),
        ({"kaggle_dataset": "c", "sha256": "0" * 64}, "dataset.fetch.kaggle_dataset: 'c'"),
        ({"url": "file:///etc/passwd", "sha256": "0" * 64}, "dataset.fetch.url: 'file:///etc/passwd'"),
        ({"url": "https://x.org/a.zip", "sha256": "0" * 63}, "dataset.fetch.sha256"),
        ({"kagle_competition": "a"}, "did you mean 'kaggle_competition'?"),
    ],
)
def test_a_source_is_one_of_three_and_an_address_needs_a_digest(fetch_keys, expected):
    with pytest.raises(ConfigError) as error:
        load_dataset(study(fetch=fetch_keys))
    assert expected in str(error.value)


def test_where_data_come_from_is_no_part_of_the_settings_of_ingest(tmp_path):
    for name, keys in {"with": {"fetch": {"kaggle_dataset": "b/c"}}, "without": {}}.items():
        load_dataset(study(**keys)).write(tmp_path / name)
    assert (tmp_path / "with").read_bytes() == (tmp_path / "without").read_bytes()


def test_absent_data_are_told_with_the_command_that_downloads_them(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(study(fetch={"kaggle_dataset": "b/c"})))
    command = f"snakemake --cores 1 -s rules/fetch.smk --configfile {path}"
    with pytest.raises(ConfigError, match=re.escape(command)):
        load_study(yaml.safe_load(path.read_text()), str(path))
    ((ok, line),) = doctor.study(path)
    assert not ok
    assert command in line
    with pytest.raises(ConfigError) as error:
        load_study(study(), str(path))
    assert "fetch" not in str(error.value)


def test_the_study_of_cracks_reads_what_kaggle_unpacks_and_keeps_photos_whole(tmp_path):
    config = yaml.safe_load((ROOT / "config" / "cracks.yaml").read_text())
    names = ["CRACK500_20160307_164400_1281_721.jpg", "noncrack_noncrack_concrete_wall_43_50.jpg.jpg", "CFD_001.jpg"]
    for folder in ("images", "masks", "train/images", "train/masks", "test/images", "test/masks"):
        for name in names:
            path = tmp_path / "crack_segmentation_dataset" / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    config["dataset"]["root"] = str(tmp_path)
    found = load_study(config)
    assert [path.name for path in found.dataset.image_files()] == sorted(names)
    assert [path.name for path in found.dataset.label_files()] == sorted(names)

    def group(name):
        return re.search(found.split.group_by, name)[0]

    assert group(names[0]) == group("CRACK500_20160307_164400_1_361.jpg") != group("CRACK500_20160307_164401_1_361.jpg")
    assert group("Rissbilder_for_Florian_9S6A2782_0_0_3840_5760.jpg") == "Rissbilder_for_Florian_9S6A2782"
    assert (
        group(names[1]) == group("noncrack_noncrack_concrete_wall_43_7.jpg.jpg") != group(names[1].replace("43", "44"))
    )
    assert group(names[2]) != group("CFD_002.jpg")


def test_one_command_fetches_and_the_study_can_then_be_planned(server, tmp_path):
    (tmp_path / "project").mkdir()
    project = Project(tmp_path / "project")
    masks = {f"part{i}": np.full((24, 40), i % 3, np.uint8) for i in range(6)}
    write_masks(tmp_path / "set", masks)
    data = zipped(
        {path.relative_to(tmp_path / "set").as_posix(): path.read_bytes() for path in (tmp_path / "set").glob("*/*")}
    )
    source = server.source("parts.zip", data)
    config = study(root="data/parts", fetch=source.model_dump(exclude_none=True))
    (project.folder / "parts.yaml").write_text(yaml.safe_dump(config))

    done = project.snakemake("--cores", "1", "--dry-run", configfile="parts.yaml")
    command = "snakemake --cores 1 -s rules/fetch.smk --configfile parts.yaml"
    assert done.returncode != 0
    assert command in done.stdout + done.stderr

    arguments = command.split()[1:-2]
    done = project.snakemake(*arguments, configfile="parts.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(contents(project.folder / "data/parts")) == 13
    assert project.stale(configfile="parts.yaml")["ingest"] == 1

    # Another archive is not unpacked over this one.
    config["dataset"]["fetch"]["sha256"] = "0" * 64
    (project.folder / "parts.yaml").write_text(yaml.safe_dump(config))
    done = project.snakemake(*arguments, configfile="parts.yaml")
    assert done.returncode != 0
    assert f"data/parts holds {source.origin}, not {source.url}" in done.stdout + done.stderr
    assert len(contents(project.folder / "data/parts")) == 13


def test_a_failed_download_fails_the_run_and_deletes_nothing(tmp_path):
    origin = "https://www.kaggle.com/datasets/b/c"
    files = {"mine.txt": b"mine", "fetched.sha256": f"# {origin}\n".encode()}
    (tmp_path / "parts").mkdir()
    for name, data in files.items():
        (tmp_path / "parts" / name).write_bytes(data)
    config = study(root=str(tmp_path / "parts"), fetch={"kaggle_dataset": "b/c"})
    (tmp_path / "parts.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--force", "-s", ROOT / "rules/fetch.smk"]
    done = subprocess.run(
        [*command, "--configfile", "parts.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "parts is not empty" in done.stdout + done.stderr
    assert contents(tmp_path / "parts") == files


@pytest.mark.parametrize("name", ["a\nb.png", "a\x1b[31m.png", "a\u202egnp.exe", "a\x7f.png"])
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_names_of_members_that_cannot_be_shown_are_refused(tmp_path, pack, name):
    (tmp_path / "set").write_bytes(pack({name: b"x"}))
    with pytest.raises(ArchiveError, match="cannot be shown"):
        unpack(tmp_path / "set", tmp_path / "out")
    assert contents(tmp_path / "out") == {}


@pytest.mark.parametrize(
    "files",
    [{"a" * 300: b"x"}, {"a": b"x", "a/b": b"y"}, {"a\0b": b"x", "c": b"y"}],
    ids=["long name", "file and folder", "NUL"],
)
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_odd_members_are_refused_or_stay_in_the_folder(tmp_path, pack, files):
    (tmp_path / "set").write_bytes(pack(files))
    with suppress(ArchiveError):
        unpack(tmp_path / "set", tmp_path / "out")
    assert set(contents(tmp_path)) - {"set"} <= {f"out/{name}" for name in ("a", "c")}


def test_not_more_than_was_declared_is_unpacked(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(10**6))
        archive.filelist[0].file_size = 10
    (tmp_path / "set").write_bytes(file.getvalue())
    with pytest.raises(ArchiveError, match="cannot be unpacked"):
        unpack(tmp_path / "set", tmp_path / "out")
    assert (tmp_path / "out/a").stat().st_size <= 10


def test_setuid_bits_are_not_unpacked(tmp_path):
    member = special("a", tarfile.REGTYPE)
    member.mode = 0o6777
    (tmp_path / "set").write_bytes(tarred({"a": member}))
    unpack(tmp_path / "set", tmp_path / "out")
    assert (tmp_path / "out/a").stat().st_mode & 0o6022 == 0


def test_an_archive_at_the_end_of_a_tar_archive_does_not_make_it_a_zip(tmp_path):
    (tmp_path / "set").write_bytes(tarred({"inner.zip": zipped(FILES)}))
    unpack(tmp_path / "set", tmp_path / "out")
    assert contents(tmp_path / "out") == {"inner.zip": zipped(FILES)}


def test_room_is_of_the_size_and_of_the_disk(tmp_path, monkeypatch):
    Room(tmp_path / "not/yet", packed=10**8).take(200 * 10**8 if disk_usage(tmp_path).free > 250 * 10**8 else 10**8)
    with pytest.raises(RoomError, match="200 times its size"):
        Room(tmp_path, packed=2**28).take(201 * 2**28)
    small = Room(tmp_path, packed=1)
    for _ in range(2**16):  # each takes a block of the disk
        small.take(0)
    with pytest.raises(RoomError, match="more than 268,435,456 bytes"):
        small.take(0)
    monkeypatch.setattr("shutil.disk_usage", lambda _: disk_usage("/")._replace(free=10**6))
    with pytest.raises(RoomError, match=f"would fill the disk of {tmp_path}, of which 950,000 bytes may be used"):
        Room(tmp_path / "not/yet", packed=1).take(10**6)


def test_as_many_files_as_the_disk_can_list(tmp_path, monkeypatch):
    status = os.statvfs(tmp_path)
    few = SimpleNamespace(f_files=1000, f_favail=20, f_frsize=status.f_frsize)
    monkeypatch.setattr("defectbench.data.room.os.statvfs", lambda _: few)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10**9))
    room = Room(tmp_path, packed=1)
    for _ in range(19):
        room.take(1)
    with pytest.raises(RoomError, match="has room for 19 more files"):
        room.take(1)
