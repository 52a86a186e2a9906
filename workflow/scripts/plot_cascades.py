"""Draw test images with the prompts that a first stage made, and the masks of the second."""

from defectbench.reporting.plots.cascades import draw_cascades
from defectbench.reporting.plots.command import draw
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Choose images and cascades and draw them."""
    draw(argv, __doc__, draw_cascades, "pack", "prompts")


if __name__ == "__main__":
    main()
