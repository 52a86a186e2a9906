"""Predict all val and test images with a trained CNN of the U-Net family. Reads images and roles, no label."""

from defectbench.families.unet.predictor import load_predictor
from defectbench.inference.predict import predict_split
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Rebuild the model from its run record, load its weights, predict."""
    predict_split(load_predictor, __doc__, argv)


if __name__ == "__main__":
    main()
