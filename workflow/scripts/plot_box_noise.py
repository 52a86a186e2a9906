"""Draw the score of promptable models against the noise of true boxes."""

from defectbench.reporting.plots.box_noise import box_noise_figure
from defectbench.reporting.plots.record_command import draw_records
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the records and draw them."""
    draw_records(argv, __doc__, box_noise_figure)


if __name__ == "__main__":
    main()
