"""Draw training images beside several samples of every augmentation of the study."""

from pathlib import Path

from defectbench.config.augment import AugmentationsSettings
from defectbench.data.tables import read_names
from defectbench.reporting.plots.augmentations import draw_augmentations
from defectbench.reporting.plots.command import draw
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the augmentations and draw them on training images."""
    draw(
        argv,
        __doc__,
        draw_augmentations,
        settings=AugmentationsSettings.read,
        pack=Path,
        split=read_names,
    )


if __name__ == "__main__":
    main()
