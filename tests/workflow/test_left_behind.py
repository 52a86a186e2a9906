"""The files that the tiny study leaves behind: none appears, vanishes or changes unnoticed."""

import json

from left_behind import LISTING, read_list

REMEDY = "if that is meant, write the list again: python tests/support/left_behind.py"


def test_a_run_leaves_the_listed_files_and_no_others(project):
    found, listed = json.loads((project.folder / LISTING).read_text()), read_list()
    assert found.keys() - listed.keys() == set(), f"new files; {REMEDY}"
    assert listed.keys() - found.keys() == set(), f"files that are no longer written; {REMEDY}"
    assert {name for name in listed if found[name] != listed[name]} == set(), f"other contents; {REMEDY}"
    assert sum(bool(digest) for digest in listed.values()) > 20
