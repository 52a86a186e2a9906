"""Load of the machine while predictions are timed."""

import os


def cpu_load() -> float:
    """Processes that ran or waited for a CPU, mean of the last minute, per CPU of the machine.

    Above 1 they shared the CPUs: times are then longer than on an idle machine.
    """
    return os.getloadavg()[0] / (os.cpu_count() or 1)
