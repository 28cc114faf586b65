"""Plot functions take an Axes and return it, with units on both axes, and draw what they get."""

from itertools import combinations

import numpy as np
import pytest

from mmlib import plotting

LEVEL = np.random.default_rng(0).normal(size=(5, 7))
DRAWINGS = {
    "waveform": lambda ax: plotting.draw_waveform(ax, LEVEL[0], sample_rate=100),
    "samples": lambda ax: plotting.draw_samples(ax, LEVEL[0], xlabel="sample", ylabel="value"),
    "spectrum": lambda ax: plotting.draw_spectrum(ax, range(7), LEVEL[0]),
    "spectrogram": lambda ax: plotting.draw_spectrogram(ax, LEVEL, seconds=range(7)),
    "filters": lambda ax: plotting.draw_filters(ax, LEVEL, range(7)),
    "scores": lambda ax: plotting.draw_scores(
        ax, {"ours": [0.5, 0.6], "theirs": [0.2]}, xlabel="accuracy", chance=0.1
    ),
    "confusion": lambda ax: plotting.draw_confusion(ax, [[3, 1], [0, 4]], ["a", "b"]),
    "history": lambda ax: plotting.draw_history(
        ax, {"capped": ([0, 1], [4.0, 3.0])}, xlabel="epochs", ylabel="loss"
    ),
    "curves": lambda ax: plotting.draw_curves(
        ax,
        {"ours": ([1, 5], [[0.5, 0.6], [0.7, 0.7]])},
        xlabel="labels",
        ylabel="accuracy",
        chance=0.1,
    ),
    "word map": lambda ax: plotting.draw_word_map(
        ax, LEVEL[:3, :2], ["red", "blue", "dog"], ["colour", "colour", "kind"]
    ),
}


@pytest.fixture
def ax():
    figure, ax = plotting.new_figure()
    yield ax
    plotting.finished(figure)


@pytest.mark.parametrize("name", DRAWINGS)
def test_every_drawing_labels_its_axes_and_returns_them(ax, name):
    drawn = DRAWINGS[name](ax)
    assert drawn is ax
    assert ax.get_xlabel()
    assert ax.get_ylabel() or ax.get_yticklabels()
    ax.figure.canvas.draw()


def test_a_waveform_is_drawn_against_seconds(ax):
    (line,) = plotting.draw_waveform(ax, LEVEL[0], sample_rate=100).lines
    np.testing.assert_allclose(line.get_xdata(), np.arange(7) / 100)
    np.testing.assert_allclose(line.get_ydata(), LEVEL[0])


def test_a_spectrogram_shows_its_span_below_the_maximum(ax):
    plotting.draw_spectrogram(ax, LEVEL, seconds=range(7), span=2.0)
    low, high = ax.collections[0].get_clim()
    assert high - low == pytest.approx(2.0)


def test_rows_of_a_confusion_matrix_are_shares(ax):
    plotting.draw_confusion(ax, [[3, 1], [0, 4]], ["a", "b"])
    np.testing.assert_allclose(ax.images[0].get_array(), [[0.75, 0.25], [0, 1]])


def test_the_style_is_set_only_when_asked(ax):
    before = dict(plotting.plt.rcParams)
    with plotting.plt.rc_context():
        plotting.use_style()
        assert plotting.plt.rcParams["figure.constrained_layout.use"]
    assert dict(plotting.plt.rcParams) == before


def test_a_word_map_puts_each_word_at_its_point_and_each_group_in_one_colour(ax):
    points = [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    plotting.draw_word_map(ax, points, ["red", "dog", "blue"], ["colour", "kind", "colour"])
    placed = {text.get_text(): list(text.xy) for text in ax.texts}
    assert placed == {"red": points[0], "dog": points[1], "blue": points[2]}
    colours, kinds = ax.collections
    np.testing.assert_allclose(colours.get_offsets(), [points[0], points[2]])
    np.testing.assert_allclose(kinds.get_offsets(), [points[1]])


def test_words_at_neighbouring_points_do_not_cover_each_other(ax):
    points = [[0.0, 0.0], [0.002, 0.002], [0.0, 0.004], [1.0, 1.0]]
    plotting.draw_word_map(ax, points, ["bird", "songbird", "frog", "sun"], ["a", "a", "a", "b"])
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_a_curve_shows_the_mean_and_the_range_of_its_runs(ax):
    plotting.draw_curves(
        ax, {"ours": ([1, 5], [[0.5, 0.7], [0.8, 0.8]])}, xlabel="labels", ylabel="accuracy"
    )
    line = ax.containers[0].lines[0]
    assert np.allclose(line.get_ydata(), [0.6, 0.8])
    ends = ax.containers[0].lines[2][0].get_segments()
    assert np.allclose(ends[0][:, 1], [0.5, 0.7])


def test_heat_darkens_what_it_leaves_out(ax):
    picture = np.full((3, 8, 8), 0.5)
    plotting.draw_picture(ax, picture, title="a", heat=[[0.0, 1.0], [0.0, 0.0]])
    shown, veil = ax.images
    assert shown.get_array().shape == (8, 8, 3)
    assert np.allclose(veil.get_alpha(), [[0.85, 0.0], [0.85, 0.85]])
    assert shown.get_extent() == veil.get_extent()


def test_a_flat_map_does_not_divide_by_zero(ax):
    plotting.draw_picture(ax, np.zeros((3, 4, 4)), heat=np.ones((2, 2)))
    assert np.isfinite(ax.images[1].get_alpha()).all()
