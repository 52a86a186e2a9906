"""Names in label files and names on disk."""

import unicodedata

import pytest

from defectbench.data.names import MAX_SEARCHES, Names, normal_form


@pytest.mark.parametrize(
    "name", ["lot/ä1.JPG", "lot\\ä1.jpg", "./lot/Ä1.jpg", " lot/ä1.jpg", unicodedata.normalize("NFD", "Lot/Ä1.jpg")]
)
def test_one_file_is_found_by_what_others_call_it_and_this_is_noted(name):
    names = Names(["lot/ä1.jpg", "lot/a1.jpg"])
    assert names.find(name) == "lot/ä1.jpg"
    assert names.rewritten == {name: "lot/ä1.jpg"}


def test_an_exact_name_needs_no_note():
    names = Names(["a.jpg", "A.jpg"])
    assert (names.find("A.jpg"), names.find("a.jpg"), names.rewritten) == ("A.jpg", "a.jpg", {})


def test_a_name_that_may_be_several_files_is_none():
    names = Names(["a.jpg", "A.jpg"])
    assert names.find("A.JPG") is None
    assert names.hint("A.JPG") == "; did you mean 'A.jpg' or 'a.jpg'?"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("01.jpg", "lot/01.jpg"),
        ("/home/me/lot/01.jpg", "lot/01.jpg"),
        ("lot/01.bmp", "lot/01.jpg"),
        ("02a.jpg", "02.jpg"),
    ],
)
def test_the_nearest_name_is_offered_but_not_taken(name, near):
    names = Names(["lot/01.jpg", "02.jpg"])
    assert names.find(name) is None
    assert names.hint(name) == f"; did you mean {near!r}?"


def test_nothing_near_is_nothing_offered():
    assert Names(["a.jpg"]).hint("quite-different.png") == ""
    assert Names([]).hint("a") == ""


def test_only_some_names_are_compared_letter_by_letter():
    names = Names(["image-1.png"])
    hints = [names.hint(f"image-1{i:02}.png") for i in range(MAX_SEARCHES + 5)]
    assert [bool(hint) for hint in hints] == [True] * MAX_SEARCHES + [False] * 5


def test_normal_forms_do_not_depend_on_the_order_of_steps():
    for name in ["ﬀ/İ.PNG", "ς.png", "Ǆ.png"]:
        forms = {normal_form(unicodedata.normalize(form, name)) for form in ("NFC", "NFD")}
        assert len(forms) == 1
        assert normal_form(forms.pop()) == normal_form(name)
