"""Predict boxes in all val and test images with a YOLO detector. Reads images and roles, no label."""

from defectbench.families.yolo.predict_boxes import predict_split_boxes
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Rebuild the model from its run record, load its weights, predict."""
    predict_split_boxes(__doc__, argv)


if __name__ == "__main__":
    main()
