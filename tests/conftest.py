"""Shared fixtures. The library and the scripts are importable from any folder."""

import sys
from pathlib import Path

import pytest
from hypothesis import settings

# A slow machine is no bug.
settings.register_profile("defectbench", deadline=None)
settings.load_profile("defectbench")

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "workflow" / "scripts")]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real labelled images, which CI has and a user's clone has not."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real data are not here: {folder}")
    return folder
