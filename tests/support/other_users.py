"""Files of another user, for tests that run as root and for those that do not."""

import os
from pathlib import Path

import pytest

OTHER = 54321


def give_to_another(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ``path`` another user's: really as root; else this process takes itself for another user."""
    if os.geteuid() == 0:
        os.chown(path, OTHER, OTHER, follow_symlinks=False)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: OTHER)
