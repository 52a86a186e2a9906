"""Set up a reference method: all-empty, all-full, or a top-hat + Otsu threshold tuned on the training images."""

from defectbench.families.reference.training import train_reference
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Tune the method if it has parameters, and write it with the run record."""
    train_reference(__doc__, argv)


if __name__ == "__main__":
    main()
