"""Fine-tune a promptable SAM 2, fully, in part, or by LoRA; or, for zero-shot, record that nothing was trained."""

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
