"""Peak memory of a training or a prediction."""

import resource
import sys


def peak_memory_bytes() -> int:
    """Largest amount of memory so far: the GPU's that torch allocated, without a GPU the process's resident set."""
    torch = sys.modules.get("torch")  # a method that does without it needs no GPU
    if torch is not None and torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
