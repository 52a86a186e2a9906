"""Train one YOLO network by ultralytics.

Writes into --folder: model/weights.safetensors (the best by ultralytics' fitness), run.json, history.csv and, in
checkpoints/, the best and the last weights. Images, labels and checkpoints of the running training are in
--folder/state. Ultralytics cannot resume a training exactly: a killed one starts over, with the same result.
"""

from defectbench.families.yolo.training import train_yolo
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Convert images and labels for ultralytics, train, and write the results."""
    train_yolo(__doc__, argv)


if __name__ == "__main__":
    main()
