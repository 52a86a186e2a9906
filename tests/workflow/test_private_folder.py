"""Other users of the machine: what they prepare in shared folders is neither written through nor waited for."""

import fcntl
import os
import stat
import tempfile

import pytest
from other_users import give_to_another

from defectbench import on_gpu
from defectbench.files import atomic, atomic_folder
from defectbench.private_folder import PrivateFolderError, open_lock, private_folder
from defectbench.training.state import training_state


@pytest.fixture
def thesis(tmp_path):
    """A file that must stay as it is."""
    (tmp_path / "home").mkdir(mode=0o700)
    path = tmp_path / "home" / "thesis.tex"
    path.write_text("years of work")
    yield path
    assert path.read_text() == "years of work"
    assert not path.is_symlink()


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """The folder for temporary files, in which everybody may write."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(on_gpu, "_physical_devices", list)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    return folder


def lease(folder=None):
    with on_gpu.leased_gpus(folder=folder):
        pass


def locks_of(shared):
    return shared / f"defectbench-gpus-{os.geteuid()}"


def test_a_lock_prepared_as_a_link_by_another_user_is_not_written_through(shared, thesis, monkeypatch):
    planted = locks_of(shared)
    planted.mkdir()
    planted.chmod(0o777)
    (planted / "0.lock").symlink_to(thesis)
    give_to_another(planted, monkeypatch)
    with pytest.raises(PrivateFolderError, match=r"belongs to another user .*remove it .* or set TMPDIR"):
        lease(planted)


def test_a_lock_that_is_a_link_is_not_followed_in_a_folder_of_our_own_either(shared, thesis):
    locks_of(shared).mkdir()
    (locks_of(shared) / "0.lock").symlink_to(thesis)
    with pytest.raises(PrivateFolderError, match=r"0\.lock cannot be opened"):
        lease()


def test_a_folder_of_locks_that_is_a_link_or_open_to_others_is_refused(shared, tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    locks_of(shared).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PrivateFolderError, match="a link, or another user's"):
        lease()
    assert list((tmp_path / "elsewhere").iterdir()) == []
    locks_of(shared).unlink()
    locks_of(shared).mkdir()
    locks_of(shared).chmod(0o770)
    with pytest.raises(PrivateFolderError, match="others may write to"):
        lease()


@pytest.mark.parametrize("before", [None, 0o755], ids=["made", "of an earlier version"])
def test_others_can_neither_enter_the_folder_of_locks_nor_hold_one(shared, before):
    if before:
        locks_of(shared).mkdir(mode=before)
    with on_gpu.leased_gpus() as device:
        assert device == "0"
    assert stat.S_IMODE(locks_of(shared).stat().st_mode) == 0o700


def test_the_script_of_a_job_gets_a_message_and_no_traceback(shared, tmp_path, capsys):
    locks_of(shared).symlink_to(tmp_path)
    with pytest.raises(SystemExit, match="1"):
        on_gpu.main(["--usage", str(tmp_path / "usage.json"), "script.py"])
    assert capsys.readouterr().err.startswith(f"{locks_of(shared)} is no folder of yours")


def test_a_folder_is_checked_and_used_by_the_same_descriptor(tmp_path, thesis):
    with private_folder(tmp_path / "mine", "") as opened:
        (tmp_path / "mine").rename(tmp_path / "moved")
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "lock").symlink_to(thesis)
        with open_lock("lock", opened) as lock:
            lock.write("1")
    assert (tmp_path / "moved" / "lock").read_text() == "1"


def test_the_lock_of_a_training_is_no_link(tmp_path, thesis):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "lock").symlink_to(thesis)
    with pytest.raises(PrivateFolderError, match="remove it"), training_state(tmp_path / "state", "key"):
        pass


def test_a_lock_is_not_emptied_and_a_second_process_sees_it_held(tmp_path):
    (tmp_path / "lock").write_text("123")
    with open_lock(tmp_path / "lock") as one, open_lock(tmp_path / "lock") as other:
        fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert (tmp_path / "lock").read_text() == "123"


@pytest.mark.parametrize("write", [atomic, atomic_folder])
def test_names_of_temporary_files_cannot_be_foreseen(tmp_path, write):
    names = []
    for _ in range(2):
        with write(tmp_path / "new") as temporary:
            names.append(temporary.name)
            assert str(os.getpid()) not in temporary.name.split(".")
        (tmp_path / "new").rmdir() if (tmp_path / "new").is_dir() else (tmp_path / "new").unlink()
    assert names[0] != names[1]


@pytest.mark.parametrize("write", [atomic, atomic_folder])
def test_a_link_planted_under_the_very_name_of_a_temporary_file_is_not_followed(tmp_path, thesis, monkeypatch, write):
    monkeypatch.setattr("secrets.token_hex", lambda n: "guessed")
    (tmp_path / ".guessed.run.json").symlink_to(thesis)
    with pytest.raises(FileExistsError), write(tmp_path / "run.json"):
        pass
    assert not (tmp_path / "run.json").exists()
    assert (tmp_path / ".guessed.run.json").is_symlink()


def test_a_link_to_a_folder_under_the_very_name_of_a_temporary_one_is_not_followed(tmp_path, thesis, monkeypatch):
    monkeypatch.setattr("secrets.token_hex", lambda n: "guessed")
    (tmp_path / ".guessed.masks").symlink_to(thesis.parent)
    with pytest.raises(FileExistsError), atomic_folder(tmp_path / "masks") as temporary:
        (temporary / "thesis.tex").write_text("0 0 0")
