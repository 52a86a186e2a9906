"""Train a segmentation head on SAM 2's encoder, which stays frozen or is adapted by LoRA."""

from defectbench.config.families.sam2_head import Sam2HeadSettings
from defectbench.families.sam2_head.training import build_training
from defectbench.script import run_script
from defectbench.training.network_job import train_network


@run_script
def main(argv: list[str] | None = None) -> None:
    """Build network and loss from the settings, train them, and write the results."""
    train_network(Sam2HeadSettings, build_training, __doc__, argv)


if __name__ == "__main__":
    main()
