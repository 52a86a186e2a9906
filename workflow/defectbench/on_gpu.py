"""Exclusive GPUs for a script: `python -m defectbench.on_gpu --usage FILE script.py [arguments]`.

Snakemake counts GPUs but does not assign them. Here a job takes a free one, or `--devices` of them: it locks a file for
each until its process ends, however it ends, and sees no other device. Candidates are the devices in
CUDA_VISIBLE_DEVICES if it is set, as Slurm does, else all; indices are those of nvidia-smi.
"""

import argparse
import contextlib
import fcntl
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from defectbench.files import write_json
from defectbench.job import call_script
from defectbench.private_folder import open_lock, private_folder
from defectbench.script import run_script

MIB = 2**20
POLL_SECONDS = 1.0
_REMEDY = "remove it or have it removed, or set TMPDIR, for all your jobs on this machine, to a folder that is yours"


def visible_devices() -> list[str]:
    """GPUs that this process may use, by UUID where nvidia-smi knows them; empty on a machine without."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    physical = _physical_devices()
    if visible is None:
        return physical
    devices = []
    for name in (part.strip() for part in visible.split(",")):
        # CUDA ignores what follows a device that does not exist; Slurm writes NoDevFiles for none.
        if name in ("", "-1", "NoDevFiles"):
            break
        devices.append(physical[int(name)] if name.isdigit() and int(name) < len(physical) else name)
    return devices


def _physical_devices() -> list[str]:
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    devices: list[str] = []
    for uuid in re.findall(r"UUID: ([\w/-]+)", listing):
        # The slices of a partitioned GPU are listed after it and used in its place.
        if uuid.startswith("MIG-") and devices and devices[-1].startswith("GPU-"):
            devices.pop()
        devices.append(uuid)
    return devices


@contextlib.contextmanager
def leased_gpus(n: int = 1, folder: Path | None = None) -> Iterator[str | None]:
    """Lease ``n`` free devices, or all if there are fewer, and make them the only visible ones.

    Yields their names, joined by commas as in CUDA_VISIBLE_DEVICES; None where there is no GPU. Waits while too few are
    free. The kernel releases the locks when the process ends, even if it is killed. The lock files are in ``folder``,
    by default a temporary one of this user, closed to others, that all runs on this machine share.

    Raises:
        PrivateFolderError: if others could have prepared the folder, or a lock file in it.
    """
    devices = visible_devices()
    if not devices:
        yield None
        return
    folder = folder or Path(tempfile.gettempdir()) / f"defectbench-gpus-{os.geteuid()}"
    with private_folder(folder, _REMEDY) as opened, contextlib.ExitStack() as stack:
        locks: dict[str, TextIO] = {
            device: stack.enter_context(open_lock(f"{_file_name(device)}.lock", opened)) for device in devices
        }
        leased = ",".join(_wait_for(locks, min(n, len(locks))))
        os.environ["CUDA_VISIBLE_DEVICES"] = leased
        yield leased


def _file_name(device: str) -> str:
    return re.sub(r"[^\w.-]", "-", device)


def _wait_for(locks: dict[str, TextIO], n: int) -> list[str]:
    announced = False
    while True:
        devices = _try_to_lock(locks, n)
        if len(devices) == n:
            for device in devices:
                locks[device].seek(0)
                locks[device].truncate()
                locks[device].write(f"{os.getpid()}\n")
                locks[device].flush()
            return devices
        # All or none: two jobs that each hold some of what they need would wait forever.
        for device in devices:
            fcntl.flock(locks[device], fcntl.LOCK_UN)
        if not announced:
            holders = ", ".join(f"{device} by process {_holder(file)}" for device, file in locks.items())
            print(f"Waiting for a GPU: {holders}. More gpu= than GPUs, or a job left over?", file=sys.stderr)
            announced = True
        time.sleep(POLL_SECONDS * random.uniform(0.5, 1.5))


def _try_to_lock(locks: dict[str, TextIO], n: int) -> list[str]:
    """Lock up to ``n`` free devices without waiting; returns them."""
    devices: list[str] = []
    for device, file in locks.items():
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            devices.append(device)
            if len(devices) == n:
                break
    return devices


def _holder(lock: TextIO) -> str:
    lock.seek(0)
    return lock.read().strip() or "unknown"


class Usage(threading.Thread):
    """Samples utilisation and memory of a device every few seconds; Snakemake's `benchmark:` sees no GPU."""

    def __init__(self, device: str, query: Callable[[str], tuple[float, float]] | None = None) -> None:
        """``query`` returns a device's utilisation (percent) and used memory (MiB); by default by nvidia-smi."""
        super().__init__(daemon=True)
        self.device, self.query = device, query or _nvidia_smi
        self.utilisation: list[float] = []
        self.memory: list[float] = []
        self._ended = threading.Event()

    def run(self) -> None:
        """Sample until :meth:`end` is called or a query fails: then the device cannot be monitored."""
        while True:
            try:
                utilisation, memory = self.query(self.device)
            except (OSError, subprocess.CalledProcessError, ValueError):
                return
            self.utilisation.append(utilisation)
            self.memory.append(memory)
            if self._ended.wait(5 * POLL_SECONDS):
                return

    def end(self) -> dict[str, float | None]:
        """Stop; returns mean utilisation in percent and peak memory in bytes, None if there is no sample."""
        self._ended.set()
        self.join()
        if not self.memory:
            return {"gpu_utilisation_mean": None, "gpu_memory_peak_bytes": None}
        return {
            "gpu_utilisation_mean": sum(self.utilisation) / len(self.utilisation),
            "gpu_memory_peak_bytes": int(max(self.memory) * MIB),
        }


def _nvidia_smi(devices: str) -> tuple[float, float]:
    """Mean utilisation of the devices, and the used memory of the fullest."""
    query = ["nvidia-smi", "-i", devices, "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits"]
    rows = subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()
    utilisation, memory = zip(*(map(float, row.split(",")) for row in rows), strict=True)
    return sum(utilisation) / len(utilisation), max(memory)


@run_script
def main(argv: list[str] | None = None) -> None:
    """Lease devices, run the script as if it were called directly, and write what it used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--usage", type=Path, required=True, help="JSON to write: device, times, memory, utilisation")
    parser.add_argument("--devices", type=int, default=1, help="how many GPUs the job needs")
    parser.add_argument("script", type=Path)
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    args = parser.parse_args(argv)

    with leased_gpus(args.devices) as device:
        usage = Usage(device) if device else None
        if usage:
            usage.start()
        started = time.time()
        call_script(str(args.script), args.arguments)
        record: dict[str, Any] = {"device": device, "host": socket.gethostname(), "pid": os.getpid()}
        record |= {"started": started, "ended": time.time()}
        write_json(args.usage, record | (usage.end() if usage else {}))


if __name__ == "__main__":
    main()
