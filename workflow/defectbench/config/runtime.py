"""Settings of how trainings run on a machine: what they compute is the same."""

from pydantic import Field

from defectbench.config.base import Settings


class RuntimeSettings(Settings):
    """How all trainings of a study run. A change of these trains nothing again and changes no experiment's id.

    An interrupted training resumes with the new ones. ``run.json`` records them.
    """

    workers: int | None = Field(
        None,
        ge=0,
        description="Processes that load samples; null: 4 with a GPU, else none. YOLO has none without a GPU",
    )
    checkpoint_every: str | None = Field(
        None,
        pattern=r"^[1-9]\d* (steps|epochs)$",
        description="Checkpoints kept besides the best and the last, e.g. every '500 steps' or '5 epochs' (passes), by "
        "all families but YOLO",
    )
    compile: bool = Field(
        False,
        description="torch.compile of the network, of SAM its image encoder: minutes at the start, faster steps; needs "
        "a C++ compiler. Results differ in rounding, as between GPUs",
    )

    def checkpoint_interval(self, steps_per_pass: int) -> int | None:
        """``checkpoint_every`` in steps; None if no such checkpoints are kept."""
        if self.checkpoint_every is None:
            return None
        number, unit = self.checkpoint_every.split()
        return int(number) * (steps_per_pass if unit == "epochs" else 1)
