"""What a score costs: the primary metric against time, parameters and memory, with the Pareto front."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from defectbench.evaluation.image_scores import PRIMARY
from defectbench.reporting import palette, words
from defectbench.reporting.plots import style
from defectbench.reporting.plots.lines import hues_of
from defectbench.reporting.records import MIXED, Record

TITLE = "Score against cost"
WIDTH, HEIGHT = 10.0, 3.4  # inches; the height is that of a panel's axes
LEFT, BETWEEN, BELOW = 0.85, 0.35, 0.75
# Column -> what the axis says, and by what its values are multiplied.
COSTS = {
    "avg_inference_time": ("ms per image", 1e3),
    "params_total": ("parameters, millions", 1e-6),
    "peak_memory_infer_bytes": ("peak memory, GB", 1e-9),
}
WIDE = 3  # costs of a larger ratio have a logarithmic axis
MARKERS = {"automatic": "o", "oracle": "s"}
TRACKS = {"automatic": TITLE, "oracle": "Score against cost: oracle track"}


@style.house_style
def cost_figure(records: Sequence[Record]) -> Figure:
    """Draw a row of panels per track: trained experiments with their intervals, and those that nothing dominates."""
    of_tracks = {track: [r for r in records if r.row["track"] == track and _shown(r)] for track in TRACKS}
    of_tracks = {track: own for track, own in of_tracks.items() if own}
    if not of_tracks:
        return style.message(TITLE, "No trained experiment has both a score and a measured cost.")
    texts = {track: style.wrapped(_said(track, own), WIDTH - 2 * style.MARGIN) for track, own in of_tracks.items()}
    fronts = {track: _named(own) for track, own in of_tracks.items()}
    heights = [
        style.heading_height(texts[track]) + 0.15 + HEIGHT + BELOW + style.LEGEND_ROW * (len(fronts[track]) + 1)
        for track in of_tracks
    ]
    figure = Figure(figsize=(WIDTH, sum(heights)), dpi=style.DPI)
    hues = hues_of(records)
    top = 0.0
    for (track, own), height in zip(of_tracks.items(), heights, strict=True):
        style.heading(figure, TRACKS[track], texts[track], top)
        start = top + style.heading_height(texts[track]) + 0.15
        costs = [name for name in COSTS if any(record.row[name] for record in own)]
        width = min((WIDTH - LEFT - style.MARGIN - BETWEEN * (len(costs) - 1)) / len(costs), 5.6)
        for k, name in enumerate(costs):
            axes = style.add_axes(figure, LEFT + k * (width + BETWEEN), start, width, HEIGHT)
            _draw(axes, own, name, track, hues, fronts[track], first=k == 0)
        below = start + HEIGHT + BELOW
        for number, record in enumerate(fronts[track], start=1):
            style.write(figure, style.MARGIN, below, str(number), fontweight="bold")
            line = f"{record.name}: {record.row[PRIMARY[track]]:.3f}"
            style.write(figure, style.MARGIN + 0.35, below, style.shortened(line, WIDTH - 1.2))
            below += style.LEGEND_ROW
        used = {record.row["family"] for record in own}
        rows = style.legend_rows([(hues[name], name) for name in hues if name in used], WIDTH - 2)
        style.legend(figure, below, "Families", rows[:1])
        top += height
    return figure


def front(costs: Sequence[float], scores: Sequence[float]) -> list[int]:
    """Indices of the points that none beats: no other costs at most as much and scores at least as much; by cost."""
    found, best = [], -np.inf
    for i in sorted(range(len(costs)), key=lambda i: (costs[i], -scores[i])):
        if scores[i] > best:
            found.append(i)
            best = scores[i]
    return found


def _shown(record: Record) -> bool:
    return record.row[PRIMARY[record.row["track"]]] is not None and any(record.row[name] for name in COSTS)


def _said(track: str, own: Sequence[Record]) -> list[str]:
    metric = PRIMARY[track]
    texts = [
        f"{metric}, {words.TITLES[metric]}, with 95 % intervals. Line: Pareto front, which no experiment beats "
        "in score at the same or a lower cost; its members are large, and numbered where there is room. It is of "
        "measured values: where intervals overlap, other samples may give another front."
    ]
    if track == "oracle":
        texts.append(words.ORACLE)
    device = _device(own)
    timed = [record.row for record in own if record.row["avg_inference_time"]]
    others = sorted({str(row["device"]) for row in timed if row["device"] != device})
    if others:
        of_front = f"that front is of {device}" if device else "there is no front"
        texts.append(f"Times of different devices do not compare: {of_front}; hollow: {'; '.join(others)}.")
    elif device:
        texts.append(f"Measured on {device}.")
    return texts


def _device(own: Sequence[Record]) -> str | None:
    """The device on which most experiments were timed; None if the parts of each were timed on different ones."""
    devices = [record.row["device"] for record in own if record.row["avg_inference_time"]]
    return max((device for device in devices if device != MIXED), key=devices.count, default=None)


def _front(own: Sequence[Record], name: str) -> list[Record]:
    """Members of the Pareto front of cost ``name``, by cost; of times only those that were measured on one device."""
    metric = PRIMARY[own[0].row["track"]]
    known = [record for record in own if record.row[name]]
    if name == "avg_inference_time":
        known = [record for record in known if record.row["device"] == _device(own)]
    members = front([record.row[name] for record in known], [record.row[metric] for record in known])
    return [known[i] for i in members]


def _named(own: Sequence[Record]) -> list[Record]:
    """Members of any of the fronts, best first."""
    metric = PRIMARY[own[0].row["track"]]
    members = {record.exp_id: record for name in COSTS for record in _front(own, name)}
    return sorted(members.values(), key=lambda record: -record.row[metric])


def _draw(
    axes: Axes, own: Sequence[Record], name: str, track: str, hues: dict[str, str], named: list[Record], *, first: bool
) -> None:
    label, unit = COSTS[name]
    metric = PRIMARY[track]
    device, members = _device(own), _front(own, name)
    # All panels of a track have one scale.
    bounds = [record.row[f"{metric}{end}"] for record in own for end in ("", "_lo", "_hi")]
    own = [record for record in own if record.row[name]]
    place = {record.exp_id: (record.row[name] * unit, record.row[metric]) for record in own}
    if members:
        steps = zip(*(place[record.exp_id] for record in members), strict=True)
        axes.step(*steps, where="post", color=palette.MUTED, linewidth=1.2, gid=f"front {name}", zorder=1)
    for record in own:
        x, y = place[record.exp_id]
        colour, on_front = hues[record.row["family"]], record in members
        elsewhere = name == "avg_inference_time" and record.row["device"] != device
        low, high = (record.row[f"{metric}_{end}"] for end in ("lo", "hi"))
        if low is not None:
            axes.vlines(x, low, high, color=colour, linewidth=1.6, alpha=0.4, gid=f"interval {record.exp_id}")
        face, edge = ("white", colour) if elsewhere else (colour, "white")
        look = {"markersize": 12 if on_front else 6, "zorder": 3 if on_front else 2}
        look |= {"markerfacecolor": face, "markeredgecolor": edge}
        axes.plot(x, y, MARKERS[track], **look, gid=f"value {record.exp_id}")
    costs = [cost for cost, _ in place.values()]
    _scale(axes, min(costs), max(costs), label)
    known = [value for value in bounds if value is not None]
    space = 0.06 * max(max(known) - min(known), 0.02)
    axes.set_ylim(min(known) - space, max(known) + space)
    axes.grid(axis="y")
    number = {record.exp_id: k for k, record in enumerate(named, start=1)}
    _number(axes, [(*place[record.exp_id], number[record.exp_id]) for record in members])
    if first:
        axes.set_ylabel(metric)
    else:
        axes.set_yticklabels([])


def _number(axes: Axes, members: Sequence[tuple[float, float, int]]) -> None:
    """Write the numbers of the front's members into their markers, the best first, where there is room."""
    written: list[np.ndarray] = []
    for x, y, number in sorted(members, key=lambda member: member[2]):
        place = axes.transData.transform((x, y)) * 72 / axes.figure.dpi
        if all(np.abs(place - other).max() > 11 for other in written):
            written.append(place)
            how = {"ha": "center", "va": "center_baseline", "fontsize": style.SMALL_SIZE, "color": "white"}
            axes.annotate(str(number), (x, y), fontweight="bold", zorder=4, **how)


def _scale(axes: Axes, low: float, high: float, label: str) -> None:
    """Set the axis of a cost from ``low`` to ``high``: logarithmic, with round ticks, if they differ much."""
    if high < WIDE * low:
        room = max(0.1 * (high - low), 0.05 * high)
        axes.set_xlim(low - room, high + room)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_xlabel(label)
        return
    room = (high / low) ** 0.1
    axes.set_xscale("log")
    axes.set_xlim(low / room, high * room)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 300 else (1,)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.set_xlabel(f"{label} (logarithmic)")
