"""Predict val and test images with a promptable SAM 2. Reads images, roles and a file of prompts, no label."""

from defectbench.families.sam2.predict import predict_split_with_prompts
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Rebuild the model from its run record, load its weights, predict."""
    predict_split_with_prompts(__doc__, argv)


if __name__ == "__main__":
    main()
