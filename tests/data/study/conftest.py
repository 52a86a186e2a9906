"""Every test of `make study` runs in a folder of its own."""

import pytest
import study


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    """Contact sheets, which take most of the time, are drawn by one test alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(study, "contact_sheet", lambda *_: None)
    monkeypatch.setattr(study, "save", lambda *_: None)
