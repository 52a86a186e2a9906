"""Plot of the primary metric against time, parameters and memory, with the Pareto front."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from defectbench.evaluation.image_scores import PRIMARY
from defectbench.reporting import palette, words
from defectbench.reporting.plots import style
from defectbench.reporting.plots.lines import hues_of
from defectbench.reporting.records import MIXED, Record

TITLE = "Score against cost"
WIDTH, HEIGHT = 10.0, 3.4  # inches; the height is that of a panel's axes
LEFT, BETWEEN, BELOW = 0.85, 0.35, 0.75
TIME = "infer_ms_p50"  # the mean is that of a busy machine: a few images that waited raise it several times
# Column -> label of the axis, and factor of its values.
COSTS = {
    TIME: ("ms per image, median", 1.0),
    "params_total": ("parameters, millions", 1e-6),
    "peak_memory_infer_bytes": ("peak memory, GB", 1e-9),
}
WIDE = 3  # a larger ratio of costs gets a logarithmic axis
MARKERS = {"automatic": "o", "oracle": "s"}
TRACKS = {"automatic": TITLE, "oracle": "Score against cost: oracle track"}


@style.house_style
def cost_figure(records: Sequence[Record]) -> Figure:
    """Draw a row of panels per track: trained experiments with their intervals, and the Pareto front."""
    by_track = {track: [r for r in records if r.row["track"] == track and _has_cost(r)] for track in TRACKS}
    by_track = {track: track_records for track, track_records in by_track.items() if track_records}
    if not by_track:
        return style.message_figure(TITLE, "No trained experiment has both a score and a measured cost.")
    texts = {
        track: style.wrap(_explanations(track, track_records), WIDTH - 2 * style.MARGIN)
        for track, track_records in by_track.items()
    }
    fronts = {track: _front_members(track_records) for track, track_records in by_track.items()}
    heights = [
        style.heading_height(texts[track]) + 0.15 + HEIGHT + BELOW + style.LEGEND_ROW * (len(fronts[track]) + 1)
        for track in by_track
    ]
    figure = Figure(figsize=(WIDTH, sum(heights)), dpi=style.DPI)
    hues = hues_of(records)
    top = 0.0
    for (track, track_records), height in zip(by_track.items(), heights, strict=True):
        style.draw_heading(figure, TRACKS[track], texts[track], top)
        start = top + style.heading_height(texts[track]) + 0.15
        costs = [name for name in COSTS if any(record.row[name] for record in track_records)]
        width = min((WIDTH - LEFT - style.MARGIN - BETWEEN * (len(costs) - 1)) / len(costs), 5.6)
        for k, name in enumerate(costs):
            axes = style.add_axes(figure, LEFT + k * (width + BETWEEN), start, width, HEIGHT)
            _draw(axes, track_records, name, track, hues, fronts[track], first=k == 0)
        below = start + HEIGHT + BELOW
        for number, record in enumerate(fronts[track], start=1):
            style.write(figure, style.MARGIN, below, str(number), fontweight="bold")
            line = f"{record.name}: {record.row[PRIMARY[track]]:.3f}"
            style.write(figure, style.MARGIN + 0.35, below, style.shorten(line, WIDTH - 1.2))
            below += style.LEGEND_ROW
        used = {record.row["family"] for record in track_records}
        rows = style.legend_rows([(hues[name], name) for name in hues if name in used], WIDTH - 2)
        style.draw_legend(figure, below, "Families", rows[:1])
        top += height
    return figure


def pareto_front(costs: Sequence[float], scores: Sequence[float]) -> list[int]:
    """Indices of the points that no other dominates by a lower cost and a higher score, by cost."""
    members, best = [], -np.inf
    for i in sorted(range(len(costs)), key=lambda i: (costs[i], -scores[i])):
        if scores[i] > best:
            members.append(i)
            best = scores[i]
    return members


def _has_cost(record: Record) -> bool:
    return record.row[PRIMARY[record.row["track"]]] is not None and any(record.row[name] for name in COSTS)


def _explanations(track: str, records: Sequence[Record]) -> list[str]:
    metric = PRIMARY[track]
    texts = [
        f"{metric}, {words.TITLES[metric]}, with 95 % intervals. Line: Pareto front, which no experiment beats "
        "in score at the same or a lower cost; its members are large, and numbered where there is room. It is that of "
        "measured values: where intervals overlap, other samples may give another front."
    ]
    if track == "oracle":
        texts.append(words.ORACLE)
    device = _device(records)
    timed = [record.row for record in records if record.row[TIME]]
    others = sorted({str(row["device"]) for row in timed if row["device"] != device})
    if others:
        of_front = f"that front is of {device}" if device else "there is no front"
        texts.append(f"Times of different devices do not compare: {of_front}; hollow: {'; '.join(others)}.")
    elif device:
        texts.append(f"Measured on {device}.")
    busy = [record.name for record in records if (record.row["load"] or 0) > 1]
    if busy:
        texts.append(f"Times are too long, as other work ran (load above 1 per CPU), of {', '.join(busy)}.")
    return texts


def _device(records: Sequence[Record]) -> str | None:
    """The device on which most experiments were timed; None if the parts of each were timed on different ones."""
    devices = [record.row["device"] for record in records if record.row[TIME]]
    return max((device for device in devices if device != MIXED), key=devices.count, default=None)


def _front(records: Sequence[Record], name: str) -> list[Record]:
    """Members of the Pareto front of cost ``name``, by cost; of times only the ones measured on one device."""
    metric = PRIMARY[records[0].row["track"]]
    known = [record for record in records if record.row[name]]
    if name == TIME:
        known = [record for record in known if record.row["device"] == _device(records)]
    members = pareto_front([record.row[name] for record in known], [record.row[metric] for record in known])
    return [known[i] for i in members]


def _front_members(records: Sequence[Record]) -> list[Record]:
    """Members of any of the fronts, best first."""
    metric = PRIMARY[records[0].row["track"]]
    members = {record.exp_id: record for name in COSTS for record in _front(records, name)}
    return sorted(members.values(), key=lambda record: -record.row[metric])


def _draw(
    axes: Axes,
    records: Sequence[Record],
    name: str,
    track: str,
    hues: dict[str, str],
    numbered: list[Record],
    *,
    first: bool,
) -> None:
    label, unit = COSTS[name]
    metric = PRIMARY[track]
    device, members = _device(records), _front(records, name)
    # All panels of a track have one scale.
    bounds = [record.row[f"{metric}{end}"] for record in records for end in ("", "_lo", "_hi")]
    records = [record for record in records if record.row[name]]
    place = {record.exp_id: (record.row[name] * unit, record.row[metric]) for record in records}
    if members:
        steps = zip(*(place[record.exp_id] for record in members), strict=True)
        axes.step(*steps, where="post", color=palette.MUTED, linewidth=1.2, gid=f"front {name}", zorder=1)
    for record in records:
        x, y = place[record.exp_id]
        colour, on_front = hues[record.row["family"]], record in members
        elsewhere = name == TIME and record.row["device"] != device
        low, high = (record.row[f"{metric}_{end}"] for end in ("lo", "hi"))
        if low is not None:
            axes.vlines(x, low, high, color=colour, linewidth=1.6, alpha=0.4, gid=f"interval {record.exp_id}")
        face, edge = ("white", colour) if elsewhere else (colour, "white")
        marker_style: style.Look = {"markersize": 12 if on_front else 6, "zorder": 3 if on_front else 2}
        marker_style |= {"markerfacecolor": face, "markeredgecolor": edge}
        axes.plot(x, y, MARKERS[track], **marker_style, gid=f"value {record.exp_id}")
    costs = [cost for cost, _ in place.values()]
    _scale(axes, min(costs), max(costs), label)
    known = [value for value in bounds if value is not None]
    space = 0.06 * max(max(known) - min(known), 0.02)
    axes.set_ylim(min(known) - space, max(known) + space)
    axes.grid(axis="y")
    number = {record.exp_id: k for k, record in enumerate(numbered, start=1)}
    _number(axes, [(*place[record.exp_id], number[record.exp_id]) for record in members])
    if first:
        axes.set_ylabel(metric)
    else:
        axes.set_yticklabels([])


def _number(axes: Axes, members: Sequence[tuple[float, float, int]]) -> None:
    """Write the numbers of the front's members into their markers, the best first, where there is room."""
    occupied: list[np.ndarray] = []
    for x, y, number in sorted(members, key=lambda member: member[2]):
        place = axes.transData.transform((x, y)) * 72 / axes.figure.dpi
        if all(np.abs(place - other).max() > 11 for other in occupied):
            occupied.append(place)
            text_style: style.Look = {
                "ha": "center",
                "va": "center_baseline",
                "fontsize": style.SMALL_SIZE,
                "color": "white",
            }
            axes.annotate(str(number), (x, y), fontweight="bold", zorder=4, **text_style)


def _scale(axes: Axes, low: float, high: float, label: str) -> None:
    """Set the axis of a cost from ``low`` to ``high``: logarithmic, with round ticks, if they differ much."""
    if high < WIDE * low:
        room = max(0.1 * (high - low), 0.05 * high)
        axes.set_xlim(low - room, high + room)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_xlabel(label)
        return
    room = (high / low) ** 0.1
    axes.set_xlim(low / room, high * room)
    style.label_log_axis(axes, "{x:g}")
    axes.minorticks_off()
    axes.set_xlabel(f"{label} (logarithmic)")
