"""Digests of large files: made with them, believed while neither was touched, withdrawn when the file changed."""

import os
import re
import shutil
import subprocess

import pytest
from tiny_study import ROOT

from defectbench.digests import LARGE, SUFFIX, atomic_with_digest, digest_path, is_intact, withdraw_changed


@pytest.fixture
def pack(tmp_path):
    path = tmp_path / "runs/steel/packed/images.bin"
    with atomic_with_digest(path) as temporary:
        temporary.write_bytes(b"pixels")
    return path


def rewrite(path, content, seconds):
    """Other content, ``seconds`` later than before (earlier, if negative)."""
    time = path.stat().st_mtime_ns + int(seconds * 1e9)
    path.write_bytes(content)
    os.utime(path, ns=(time, time))


def test_sha256sum_reads_the_digest(pack):
    check = ["sha256sum", "--check", "--strict", digest_path(pack).name]
    assert subprocess.run(check, cwd=pack.parent, capture_output=True, check=False).returncode == 0
    rewrite(pack, b"others", 0)
    assert subprocess.run(check, cwd=pack.parent, capture_output=True, check=False).returncode == 1


def test_a_failed_writer_leaves_the_old_file_and_digest(pack):
    def fail():
        with atomic_with_digest(pack) as temporary:
            temporary.write_bytes(b"half")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk is full"):
        fail()
    assert pack.read_bytes() == b"pixels"
    assert is_intact(pack)


@pytest.mark.parametrize("seconds", [-60, -1e-6, 1e-6, 60])
def test_a_changed_file_is_not_intact_whatever_its_time_and_a_touched_one_is(pack, seconds):
    rewrite(pack, b"pixels", seconds)
    assert is_intact(pack)
    rewrite(pack, b"others", seconds)
    assert not is_intact(pack)
    # The digest was not dated anew: the next plan sees the change too.
    assert not is_intact(pack)


def test_an_untouched_file_is_not_read(pack, monkeypatch):
    monkeypatch.setattr("defectbench.digests.file_sha256", lambda path: pytest.fail(f"{path} was hashed"))
    assert is_intact(pack)


def test_a_touched_file_is_read_once(pack, monkeypatch):
    rewrite(pack, b"pixels", 60)
    assert is_intact(pack)
    monkeypatch.setattr("defectbench.digests.file_sha256", lambda path: pytest.fail(f"{path} was hashed"))
    assert is_intact(pack)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"0" * 64 + b"  images.bin\n"])
def test_a_damaged_digest_is_not_believed(pack, content):
    rewrite(digest_path(pack), content, 60)
    assert not is_intact(pack)


def test_a_copied_folder_is_intact(pack, tmp_path):
    shutil.copytree(pack.parent, tmp_path / "copy", copy_function=shutil.copyfile)
    assert is_intact(tmp_path / "copy" / pack.name)


def test_the_digest_of_a_changed_file_is_withdrawn_and_of_a_deleted_one_kept(tmp_path, capsys):
    names = [
        "runs/steel/packed/images.bin",
        "runs/steel/packed/tiles_64x64_s64/masks.bin",
        "runs/steel/unet/a/val.pred.parquet",
        "runs/steel/unet/a/fold0/oof.pred.parquet",
        "runs/steel/unet/a/model/weights.safetensors",
        "runs/steel/unet/a/fold1/model/weights.safetensors",
        "weights/resnet.safetensors",
    ]
    paths = [tmp_path / name for name in names]
    for path in paths:
        with atomic_with_digest(path) as temporary:
            temporary.write_bytes(b"right")
    assert withdraw_changed(tmp_path, "steel") == []
    for path in paths:
        rewrite(path, b"wrong", 0.001)
    assert withdraw_changed(tmp_path, "another") == [paths[-1]]
    assert sorted(withdraw_changed(tmp_path, "steel")) == sorted(paths[:-1])
    assert not any(digest_path(path).exists() for path in paths)
    assert "images.bin was changed since it was written" in capsys.readouterr().err

    with atomic_with_digest(paths[0]) as temporary:
        temporary.write_bytes(b"right")
    paths[0].unlink()
    assert withdraw_changed(tmp_path, "steel") == []
    assert digest_path(paths[0]).exists()


def test_no_rule_takes_or_makes_a_large_file_without_its_digest(project):
    """Snakemake would hash it once per output, in its one scheduler thread."""
    plan = project.dry_run("--forceall", configfile="config/config.yaml")
    lists = [line.split(", ") for line in re.findall(r"^    (?:input|output): (.*)$", plan, re.M)]
    found = [(path, files) for files in lists for path in files if path.endswith(LARGE)]
    assert {path.split("/")[-1] for path, _ in found} >= {"images.bin", "weights.safetensors", "test.pred.parquet"}
    assert [path for path, files in found if path + SUFFIX not in files] == []


def test_every_profile_leaves_large_files_to_their_digests():
    limits = [
        re.findall(r"^max-checksum-file-size: (\d+)$", path.read_text(), re.M)
        for path in (ROOT / "profiles").glob("*/config.yaml")
    ]
    assert limits
    assert {limit for found in limits for limit in found} == {"20000000"}
    assert all(len(found) == 1 for found in limits)
