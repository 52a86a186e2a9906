"""The walk over folders of data: links, loops, and what is passed over."""

import os

import pytest

from defectbench.walk import WalkError, is_printable, walk, with_suffix


def names(found, folder):
    return [path.relative_to(folder).as_posix() for path in found.files]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data/lot1").mkdir(parents=True)
    (tmp_path / "data/lot1/a.png").touch()
    (tmp_path / "data/b.PNG").touch()
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/c.png").touch()
    return tmp_path / "data"


def test_linked_folders_are_followed_and_said_to_leave_the_data(folder):
    (folder / "lot2").symlink_to(folder.parent / "disk")
    (folder / "d.png").symlink_to(folder.parent / "disk/c.png")
    found = walk(folder)
    assert names(found, folder) == ["b.PNG", "d.png", "lot1/a.png", "lot2/c.png"]
    assert [path.name for path in found.leaving] == ["d.png", "lot2"]
    assert walk(folder, root=folder.parent).leaving == []


def test_circles_of_links_end_and_what_has_its_own_place_comes_first(folder):
    (folder / "aa").symlink_to(folder / "lot1")
    (folder / "lot1/up").symlink_to(folder)
    for first in range(12):
        (folder / f"n{first}").mkdir()
        for second in range(12):
            (folder / f"n{first}/to{second}").symlink_to(folder / f"n{second}")
    found = walk(folder)
    assert names(found, folder) == ["b.PNG", "lot1/a.png"]
    reasons = {path.relative_to(folder).as_posix(): reason for path, reason in found.passed_over}
    assert len(reasons) == 2 + 144
    assert reasons["aa"] == reasons["lot1/up"] == "a link to a folder that is read already"


def test_what_systems_and_tools_leave_is_passed_over_and_listed(folder):
    left = [".ipynb_checkpoints/a.png", "._b.png", ".DS_Store", "Thumbs.db", "__MACOSX/lot1/a.png", "@eaDir/a.png"]
    for name in left:
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).touch()
    os.mkfifo(folder / "pipe.png")
    (folder / "gone.png").symlink_to("nowhere.png")
    found = walk(folder)
    assert names(found, folder) == ["b.PNG", "lot1/a.png"]
    passed = {path.relative_to(folder).as_posix() for path, _ in found.passed_over}
    assert passed == {name.split("/")[0] for name in left} | {"pipe.png", "gone.png"}


def test_a_hidden_folder_that_is_asked_for_is_walked(folder):
    hidden = folder.rename(folder.with_name(".data"))
    assert len(walk(hidden).files) == 2
    assert walk(hidden / "none").files == []


@pytest.mark.parametrize("name", ["a\nb.png", "a\x1b[31m.png", b"a\xff.png", "a\u202egnp.exe"])
def test_names_that_cannot_be_shown_are_refused(folder, name):
    (folder / os.fsdecode(name)).touch()
    with pytest.raises(WalkError, match="rename it"):
        walk(folder)


def test_names_of_any_script_can_be_shown():
    assert all(map(is_printable, ["Öl–1 (2).png", "👨‍👩‍👧.png", "क्‍ष.png", "裂缝.png", "{0}.png"]))


def test_suffixes_are_compared_in_lower_case(folder):
    assert [path.name for path in with_suffix(walk(folder).files, {".png"})] == ["b.PNG", "a.png"]
