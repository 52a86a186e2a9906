"""Train one network of the toy family; the files that it writes are those of train_unet."""

from defectbench.config.families.toy import ToySettings
from defectbench.families.toy import build_training

from defectbench.script import run_script
from defectbench.training.network_job import train_network


@run_script
def main(argv: list[str] | None = None) -> None:
    """Build network and loss from the settings, train them, and write the results."""
    train_network(ToySettings, build_training, __doc__, argv)


if __name__ == "__main__":
    main()
