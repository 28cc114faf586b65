"""Figures: the only importer of matplotlib. Functions take an ``Axes``, label units, return it.

No science is computed here: what is drawn comes in as numbers. The palette is Okabe and Ito's,
which readers with any colour vision can tell apart.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#666666"]

INK = "#767d87"  # grey that reads on a white page and on a dark one; the figures are see-through
LABEL_POSITIONS = [  # beside a point, the best first: by how many points, which side of the text
    ((3, 2), "left"), ((3, -7), "left"), ((-3, 2), "right"), ((-3, -7), "right"),
    ((6, -2), "left"), ((-6, -2), "right"), ((0, 4), "center"), ((0, -10), "center"),
]  # fmt: skip
STYLE = {
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "none"),
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "axes.titlecolor"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color"), INK),
    "axes.prop_cycle": plt.cycler(color=PALETTE),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "figure.constrained_layout.use": True,
    "figure.dpi": 110,
    "font.size": 10,
    "image.cmap": "magma",
    "legend.frameon": False,
    "lines.linewidth": 1.4,
}


def use_style() -> None:
    """Make the book's style matplotlib's default; a notebook calls this once at its top."""
    plt.rcParams.update(STYLE)


def new_figure(
    rows: int = 1, columns: int = 1, *, width: float = 7.5, height: float = 2.6, **options
) -> tuple[Figure, Axes | np.ndarray]:
    """Return a figure and its axes; ``height`` is that of one row, both are in inches."""
    return plt.subplots(rows, columns, figsize=(width, height * rows), **options)


def finished(figure: Figure) -> Figure:
    """Take a figure out of pyplot's hands, so that it is shown only where it is asked for."""
    plt.close(figure)
    return figure


def draw_waveform(ax: Axes, signal, *, sample_rate: int, title: str = "", **line) -> Axes:
    """Draw a signal (time,) against seconds."""
    ax.plot(np.arange(len(signal)) / sample_rate, np.asarray(signal), **{"linewidth": 0.8, **line})
    ax.set(xlabel="time (s)", ylabel="amplitude", title=title)
    ax.margins(x=0)
    return ax


def draw_samples(ax: Axes, values, *, xlabel: str, ylabel: str, title: str = "", **line) -> Axes:
    """Draw a few numbers as dots on stems, as a list of samples deserves."""
    markers, stems, base = ax.stem(np.asarray(values), **line)
    plt.setp(stems, linewidth=1.0)
    plt.setp(markers, markersize=4)
    plt.setp(base, color=INK, linewidth=0.8)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    return ax


def draw_spectrum(ax: Axes, freqs, level, *, title: str = "", unit: str = "dB", **line) -> Axes:
    """Draw a level (freqs,) against hertz."""
    ax.plot(np.asarray(freqs), np.asarray(level), **line)
    ax.set(xlabel="frequency (Hz)", ylabel=f"level ({unit})", title=title)
    ax.margins(x=0)
    return ax


def draw_spectrogram(
    ax: Axes,
    level,
    *,
    seconds,
    freqs=None,
    span: float | None = 80.0,
    title: str = "",
    bar: bool = True,
) -> Axes:
    """Draw a level (freqs, frames) as an image, beside it a ``bar`` of colours.

    Args:
        seconds: (frames,) the time of each frame.
        freqs: (freqs,) in hertz; none: the rows are numbered, as mel bands or coefficients are.
        span: how many decibels below the maximum the darkest colour lies; None: the minimum.
    """
    level = np.asarray(level)
    seconds = np.asarray(seconds)
    rows = np.arange(len(level)) if freqs is None else np.asarray(freqs)
    lowest = level.min() if span is None else level.max() - span
    mesh = ax.pcolormesh(seconds, rows, level, vmin=lowest, shading="nearest", rasterized=True)
    ax.set(xlabel="time (s)", ylabel="band" if freqs is None else "frequency (Hz)", title=title)
    if bar:
        ax.figure.colorbar(mesh, ax=ax, pad=0.01, label="" if span is None else "dB")
    return ax


def draw_filters(ax: Axes, filters, freqs, *, title: str = "") -> Axes:
    """Draw a filter bank (bands, freqs) against hertz."""
    ax.plot(np.asarray(freqs), np.asarray(filters).T, linewidth=1.0)
    ax.set(xlabel="frequency (Hz)", ylabel="weight", title=title)
    ax.margins(x=0)
    return ax


def draw_scores(
    ax: Axes, scores: Mapping[str, Sequence[float]], *, xlabel: str, chance: float | None = None
) -> Axes:
    """Draw each method's scores: a bar for the mean, a dot for each seed; a line for chance."""
    names = list(scores)[::-1]
    for row, name in enumerate(names):
        values = np.asarray(scores[name], dtype=float)
        ax.barh(row, values.mean(), color=PALETTE[0], alpha=0.55, height=0.62)
        ax.plot(values, np.full(len(values), row), "o", color=PALETTE[1], markersize=3.5)
    if chance is not None:
        ax.axvline(chance, color=INK, linestyle="--")
        ax.text(chance, len(names) - 0.45, " chance", color=INK, fontsize=9)
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel=xlabel, xlim=(0, None))
    return ax


def draw_confusion(ax: Axes, matrix, names: Sequence[str], *, title: str = "") -> Axes:
    """Draw a confusion matrix (true, predicted), each row scaled to sum to one."""
    share = np.asarray(matrix) / np.asarray(matrix).sum(1, keepdims=True)
    ax.imshow(share, vmin=0, vmax=1, cmap="Blues")
    for (row, column), value in np.ndenumerate(share):
        if value >= 0.01:
            ink = "white" if value > 0.55 else "#222222"
            ax.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color=ink)
    ax.set_xticks(range(len(names)), names, rotation=45, ha="right")
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="answer", ylabel="truth", title=title)
    return ax


def draw_history(
    ax: Axes,
    history: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    xlabel: str,
    ylabel: str,
) -> Axes:
    """Draw how a number went, a line for each name: (positions, values)."""
    for name, (positions, values) in history.items():
        ax.plot(np.asarray(positions), np.asarray(values), label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend()
    return ax


def draw_word_map(
    ax: Axes, points, words: Sequence[str], groups: Sequence[str], *, title: str = ""
) -> Axes:
    """Draw words at ``points`` (words, 2), a colour and a marker for each different group."""
    points, markers = np.asarray(points), "osD^vP*"
    for number, group in enumerate(dict.fromkeys(groups)):
        rows = [row for row, other in enumerate(groups) if other == group]
        colour, marker = PALETTE[number % len(PALETTE)], markers[number % len(markers)]
        ax.scatter(*points[rows].T, s=14, color=colour, marker=marker, label=group)
    ax.set(xlabel="first main axis", ylabel="second main axis", title=title)
    ax.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    _label_points(ax, points, words)
    return ax


def _label_points(ax: Axes, points: np.ndarray, words: Sequence[str]) -> None:
    """Write each word beside its point, on the side where it covers the least."""
    ax.figure.draw_without_rendering()  # from now on the axes keep their place
    dots, taken = ax.transData.transform(points), []
    for point, word in zip(points, words, strict=True):
        labels = [
            ax.annotate(word, point, offset, textcoords="offset points", fontsize=7, ha=side)
            for offset, side in LABEL_POSITIONS
        ]
        boxes = [label.get_window_extent() for label in labels]
        covered = [box.count_contains(dots) + box.count_overlaps(taken) for box in boxes]
        best = int(np.argmin(covered))
        taken.append(boxes[best])
        for label in labels[:best] + labels[best + 1 :]:
            label.remove()


def draw_picture(ax: Axes, picture, *, title: str = "", heat=None) -> Axes:
    """Draw a picture (3, height, width) in 0 to 1, without axes, pixel by pixel as it is.

    Args:
        heat: (rows, columns), a map such as attention, laid over the picture: what it leaves out
            is dark. It is scaled to its own range and smoothed to the picture's size.
    """
    picture = np.moveaxis(np.asarray(picture), 0, -1)
    height, width = picture.shape[:2]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    ax.imshow(picture, extent=extent, interpolation="nearest")
    if heat is not None:
        heat = np.asarray(heat, dtype=float)
        lowest, highest = heat.min(), heat.max()
        dark = 1 - (heat - lowest) / max(highest - lowest, 1e-12)
        ax.imshow(
            np.zeros_like(dark), alpha=0.85 * dark, extent=extent, cmap="gray",
            interpolation="bilinear", vmin=0, vmax=1,
        )  # fmt: skip
    ax.set_axis_off()
    ax.set_title(title, fontsize=9)
    return ax


def draw_curves(
    ax: Axes, curves: Mapping[str, tuple[Sequence[float], Sequence[Sequence[float]]]],
    *, xlabel: str, ylabel: str, chance: float | None = None,
) -> Axes:  # fmt: skip
    """Draw scores over a quantity: for each name (positions, runs at each), mean and range."""
    for number, (name, (positions, runs)) in enumerate(curves.items()):
        middles = [float(np.mean(values)) for values in runs]
        reach = [[m - min(v) for m, v in zip(middles, runs, strict=True)],
                 [max(v) - m for m, v in zip(middles, runs, strict=True)]]  # fmt: skip
        ax.errorbar(positions, middles, yerr=reach, marker="osD^v"[number % 5], markersize=4,
                    capsize=2, label=name)  # fmt: skip
    if chance is not None:
        ax.axhline(chance, color=INK, linestyle="--", linewidth=1)
        ax.annotate("chance", (ax.get_xlim()[0], chance), (2, 2), textcoords="offset points",
                    color=INK, fontsize=8)  # fmt: skip
    ax.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, 1))
    ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax
