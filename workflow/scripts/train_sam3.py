"""Train LoRA adapters on SAM 3, prompted with phrases; or, for zero-shot, record that nothing was trained.

Writes into --folder: model/weights.safetensors (the adapters), run.json and history.csv, whose first row is zero-shot;
in checkpoints/, the best three, the best by the other metric and the last; in progress/, the predictions of every
evaluation; in samples/, pictures of the val images that the best weights segment best and worst. A killed training
resumes from its last checkpoint, which is in --folder/state until all results are written.
"""

from defectbench.config.families.sam3 import Sam3Settings
from defectbench.families.sam3.training import build_training
from defectbench.script import run_script
from defectbench.training.network_job import train_network


@run_script
def main(argv: list[str] | None = None) -> None:
    """Build network and loss from the settings, train them, and write the results."""
    train_network(Sam3Settings, build_training, __doc__, argv)


if __name__ == "__main__":
    main()
