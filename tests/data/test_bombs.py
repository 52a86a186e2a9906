"""Small files that would take hours or all memory: each is read or refused with little of both."""

import json
import os
import re
import subprocess
import sys

import bombs_of_archives
import bombs_of_images
import bombs_of_labels
import bombs_of_text
import pytest
from bombs import BOMBS
from tiny_study import ROOT

ALL = (bombs_of_images, bombs_of_labels, bombs_of_text, bombs_of_archives)
"""Modules whose functions are listed in BOMBS."""


@pytest.fixture(scope="module")
def limited():
    """Reads a path in a process with little memory and time, and returns what it said."""
    paths = os.pathsep.join(str(ROOT / path) for path in ("workflow", "tests/support"))
    environment = os.environ | {"PYTHONPATH": paths, "MALLOC_ARENA_MAX": "1"}
    command = [sys.executable, ROOT / "tests/support/limited.py"]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True, env=environment) as server:

        def ask(what, path):
            print(json.dumps([what, str(path)]), file=server.stdin, flush=True)
            return json.loads(server.stdout.readline())["said"]

        yield ask
        server.stdin.close()


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_read_or_refused_with_little_memory_and_time(limited, tmp_path, name):
    bomb = BOMBS[name]
    said = limited(bomb.read, bomb.build(tmp_path / "data"))
    assert re.search(bomb.says, said, re.DOTALL), said


def test_the_limits_hold(limited, tmp_path):
    (tmp_path / "a.png").write_bytes(bombs_of_images.png(16_000, 16_000, bits=1))
    assert limited("decode", tmp_path / "a.png").startswith("MemoryError")
