"""Peak memory is that of the process itself."""

import subprocess
import sys

import numpy as np

from defectbench.inference.memory import peak_resident_bytes

MB = 2**20


def test_freed_memory_counts():
    n_bytes = peak_resident_bytes() + 50 * MB
    used = np.ones(n_bytes, np.uint8)
    del used
    assert peak_resident_bytes() > n_bytes


def test_the_parents_memory_does_not_count():
    held = np.ones(300 * MB, np.uint8)
    code = "from defectbench.inference.memory import peak_resident_bytes; print(peak_resident_bytes())"
    peak = int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
    assert peak < held.nbytes / 2
