"""Identity of the experiment in a folder."""

from defectbench.config.base import Settings


class ExperimentIdentity(Settings):
    """Keys that identify an experiment; written beside its settings and copied into its run record."""

    exp_id: str
    dataset: str
    family: str
    model: str
    variant: str
    subset: int | str
    prompt_type: str
    img_size: str
    seed: int
