"""Draw a reliability diagram: how often pixels of a predicted probability are defective."""

from defectbench.reporting.plots.record_command import draw_records
from defectbench.reporting.plots.reliability import reliability_figure
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the records and draw them."""
    draw_records(argv, __doc__, reliability_figure)


if __name__ == "__main__":
    main()
