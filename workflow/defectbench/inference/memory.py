"""Peak memory of a training or a prediction."""

import re
import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_memory_bytes() -> int:
    """Largest amount of memory so far: the GPU's that torch allocated, without a GPU the process's resident set."""
    torch = sys.modules.get("torch")  # a method that does not import it uses no GPU
    if torch is not None and torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return peak_resident_bytes()


def peak_resident_bytes() -> int:
    """Largest resident set of this process so far."""
    # Linux's ru_maxrss is at least the parent process's memory when it started this one.
    if _STATUS.is_file() and (peak := re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text(encoding="ascii"))):
        return int(peak[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
