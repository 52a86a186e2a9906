"""Data-parallel training on several devices: Lightning runs the whole script again for each further device.

Every process trains on its share of each batch, and gradients are averaged before each step. All processes validate, so
that none has to wait; only the first one scores and writes.

The processes send each other pickles, so nobody else may take part: they find each other by a file that only this user
can open, and listen at the loopback interface only, since all run on one machine.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy
from torch.distributed import FileStore

from defectbench.config.train import TrainSettings
from defectbench.training.state import TrainingError, is_first_process

_MEETING_POINT = "DEFECTBENCH_PROCESS_GROUP"
"""Environment variable: folder of the file by which the processes of a training find each other."""


class OneMachine(DDPStrategy):
    """Processes of one user on one machine, instead of Lightning's, which meet at a port open to the network."""

    def __init__(self, **options: Any) -> None:
        """Make the place where the processes meet, which further processes find in the environment."""
        super().__init__(**options)
        if is_first_process():
            # Removed when this process ends; only this user can enter it.
            self.meeting_point = tempfile.TemporaryDirectory(prefix="defectbench-processes-")
            os.environ[_MEETING_POINT] = self.meeting_point.name
            os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = "lo"

    def setup_distributed(self) -> None:
        """Join the other processes, unless that is done."""
        if not torch.distributed.is_initialized():
            self.set_world_ranks()
            torch.distributed.init_process_group(
                self._get_process_group_backend(),
                store=FileStore(str(Path(os.environ[_MEETING_POINT]) / "store"), self.world_size),
                rank=self.global_rank,
                world_size=self.world_size,
                device_id=self.root_device if self.root_device.type == "cuda" else None,
            )
        super().setup_distributed()


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
    strategy = OneMachine(find_unused_parameters=True)
    return {"devices": n, "strategy": strategy, "use_distributed_sampler": False}
