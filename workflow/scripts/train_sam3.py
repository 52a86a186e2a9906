"""Train LoRA adapters on SAM 3, prompted with phrases; or, for zero-shot, record that nothing was trained.

The first row of history.csv is zero-shot; progress/ in --folder has the predictions of every evaluation.
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
