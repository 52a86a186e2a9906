"""Train one CNN of the U-Net family."""

from defectbench.config.families.unet import UNetSettings
from defectbench.families.unet.training import build_training
from defectbench.script import run_script
from defectbench.training.network_job import train_network


@run_script
def main(argv: list[str] | None = None) -> None:
    """Build network and loss from the settings, train them, and write the results."""
    train_network(UNetSettings, build_training, __doc__, argv)


if __name__ == "__main__":
    main()
