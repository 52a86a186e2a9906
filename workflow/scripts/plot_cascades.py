"""Draw test images with the prompts of a first stage and the masks of the second."""

from pathlib import Path

from defectbench.reporting.plots.cascades import draw_cascades
from defectbench.reporting.plots.record_command import draw_records
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Choose images and cascades and draw them."""
    draw_records(argv, __doc__, draw_cascades, pack=Path, prompts=Path)


if __name__ == "__main__":
    main()
