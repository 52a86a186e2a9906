"""Draw histograms of IoU and Dice over the defective test images."""

from defectbench.reporting.plots.record_command import draw_records
from defectbench.reporting.plots.score_histograms import score_histograms_figure
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the records and draw them."""
    draw_records(argv, __doc__, score_histograms_figure)


if __name__ == "__main__":
    main()
