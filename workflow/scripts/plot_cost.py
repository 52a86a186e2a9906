"""Draw scores against time, parameters and memory, with the Pareto front."""

from defectbench.reporting.plots.cost import cost_figure
from defectbench.reporting.plots.record_command import draw_records
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the records and draw them."""
    draw_records(argv, __doc__, cost_figure)


if __name__ == "__main__":
    main()
