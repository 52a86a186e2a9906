"""Data-parallel training on several devices: Lightning runs the whole script again for each further device.

Every process trains on its share of each batch, and gradients are averaged before each step. All processes validate, so
that none has to wait; only the first one scores and writes.
"""

import os
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy

from defectbench.config.train import TrainSettings
from defectbench.training.state import TrainingError, is_first_process


def device_options(settings: TrainSettings, batch_size: int) -> dict[str, Any]:
    """Options of Lightning's trainer; for several devices, sets the environment variables of further processes too.

    ``batch_size`` is the number of images in a batch, on all devices together.

    Raises:
        TrainingError: if there are fewer GPUs, or the batch cannot be divided equally.
    """
    n = settings.devices
    if n == 1:
        return {"devices": 1}
    if torch.cuda.is_available() and torch.cuda.device_count() < n:
        raise TrainingError(
            f"devices is {n}, and this job has {torch.cuda.device_count()} GPU(s): call Snakemake with "
            f"--resources gpu={n} or more, on a machine that has them, or set devices: 1"
        )
    if batch_size % n:
        raise TrainingError(f"a batch has all {batch_size} training images, not a multiple of devices: {n}")
    # Otherwise Lightning sets a number of threads, and results depend on it.
    os.environ.setdefault("OMP_NUM_THREADS", str(settings.threads))
    if is_first_process():
        # For run_script in the further processes: they exit when this one does.
        os.environ["DEFECTBENCH_RUN"] = str(os.getpid())
    # Promptable networks do not use all their parameters in every step.
    strategy = DDPStrategy(find_unused_parameters=True)
    return {"devices": n, "strategy": strategy, "use_distributed_sampler": False}
