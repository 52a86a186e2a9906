"""Fine-tune a promptable SAM 2, fully, in part, or by LoRA; or, for zero-shot, record that nothing was trained.

Writes into --folder: model/weights.safetensors (trained tensors, on top of the base), run.json and history.csv; in
checkpoints/, the best three, the best by the other metric and the last; in samples/, pictures of the
val images that the best weights segment best and worst. A killed training resumes from its last checkpoint, which is
in --folder/state until all results are written.
"""

from defectbench.config.families.sam2 import Sam2Settings
from defectbench.families.sam2.training import build_training
from defectbench.script import run_script
from defectbench.training.network_job import train_network


@run_script
def main(argv: list[str] | None = None) -> None:
    """Build network and loss from the settings, train them, and write the results."""
    train_network(Sam2Settings, build_training, __doc__, argv)


if __name__ == "__main__":
    main()
