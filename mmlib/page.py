"""What a notebook's page shows besides figures: sounds, tables, numbers for the prose, a slider.

Everything here is plain HTML, Markdown or text in the cell's output: it works in JupyterLab, in
Colab and in the static book, where no kernel runs.
"""

import base64
import html
import io
import math
import re
from ast import literal_eval
from collections.abc import Iterable, Sequence
from numbers import Integral

import numpy as np
import soundfile
from IPython.display import HTML, Markdown, display

GLUE = "application/papermill.record/"  # the prefix that myst-nb looks for


def glue(name: str, value: float | int | str, *, within: float | None = 1e-3) -> None:
    """Give a measured value a name, so that the book's prose can show it: {glue:text}`name`.

    The value travels in the cell's stored output; nothing is shown in the cell itself. Whoever
    executes the notebook again must find it again:

        |new - old| <= within * max(1, |old|)

    Args:
        value: a number, a scalar of torch or NumPy, or a text, which must come out the same.
        within: the tolerance: the default for what is computed exactly, more for what training,
            which amplifies rounding, brings about. None compares nothing: for times, and for words
            that a trained model chose.

    Raises:
        ValueError: ``within`` is negative or NaN.
    """
    if within is not None and not within >= 0:
        raise ValueError(f"within is {within}, it must be 0 or more, or None to compare nothing")
    plain = value.item() if hasattr(value, "item") else value
    display(
        {f"{GLUE}text/plain": _safe_text(plain) if isinstance(plain, str) else repr(plain)},
        raw=True,
        metadata={"scrapbook": {"name": name, "mime_prefix": GLUE}, "within": within},
    )


def glue_figure(name: str, figure) -> None:
    """Give a figure a name, so that the page can open with it by the directive {glue:figure}.

    The picture travels in the cell's stored output like a glued number; nothing is shown in the
    cell itself.

    Args:
        figure: a matplotlib figure.
    """
    display(
        {f"{GLUE}image/png": _png(figure, dpi=100)},
        raw=True,
        metadata={"scrapbook": {"name": name, "mime_prefix": GLUE}},
    )


def _png(figure, *, dpi: int) -> str:
    """Return a figure as a PNG in base64."""
    file = io.BytesIO()
    figure.draw_without_rendering()  # titles over pictures find their place only the second time
    figure.savefig(file, format="png", dpi=dpi)
    return base64.b64encode(file.getvalue()).decode()


def _safe_text(text: str) -> str:
    """Return ``text``, in quotes if myst-nb would misread it: 17,732 as the pair (17, 732)."""
    try:
        misread = not isinstance(literal_eval(text), int | float)
    except (SyntaxError, ValueError):
        misread = False
    return repr(text) if misread else text


def sound(signal, *, sample_rate: int, transcript: str) -> HTML:
    """Return a player for a sound, with one line that says what is to be heard.

    Args:
        signal: (time,) samples, a tensor or an array. A signal that goes beyond -1 … 1 is scaled
            down to fit; a quieter one is played as it is, so that loudness can be compared.
        transcript: what a reader who cannot hear it should know.

    Raises:
        ValueError: the signal has more than one axis, is empty or is not finite, or
            ``sample_rate`` is no whole number of 1 or more.
    """
    player, text = _player(signal, sample_rate, transcript), html.escape(transcript, quote=True)
    return HTML(f'<figure class="sound">{player}<figcaption>{text}</figcaption></figure>')


def _player(signal, sample_rate: int, transcript: str) -> str:
    """Return the audio element that plays a signal (time,)."""
    samples = np.asarray(signal, dtype=np.float32)
    if samples.ndim != 1 or not samples.size:
        raise ValueError(f"signal has shape {samples.shape}; a player needs one axis, of time")
    if not np.isfinite(samples).all():
        raise ValueError("signal has samples that are NaN or infinite; a player needs finite ones")
    if not isinstance(sample_rate, Integral) or sample_rate < 1:
        raise ValueError(f"sample_rate is {sample_rate!r}, it must be a whole number of 1 or more")
    file = io.BytesIO()
    loudest = max(1.0, float(np.abs(samples).max()))
    soundfile.write(file, samples / loudest, sample_rate, format="WAV", subtype="PCM_16")
    data, text = base64.b64encode(file.getvalue()).decode(), html.escape(transcript, quote=True)
    return (
        f'<audio controls preload="metadata" aria-label="{text}" '
        f'src="data:audio/wav;base64,{data}"></audio>'
    )


def table(head: Sequence[str], rows: Iterable[Iterable]) -> Markdown:
    """Return a table; numbers that are not whole are shown with three significant digits.

    NaN, a score that does not exist, is shown as a dash. Columns of numbers stand to the right, so
    that their digits line up; the others, and the first, which names the rows, begin at the left.
    """
    rows = [list(row) for row in rows]
    columns = list(zip(*rows, strict=True))[1:]
    sides = ["--:" if all(map(_is_number, column)) else ":--" for column in columns]
    lines = [head, [":--", *(sides or [":--"] * (len(head) - 1))], *rows]
    return Markdown("\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines))


def _is_number(value) -> bool:
    """Whether a cell holds a number, or a text that starts as one, such as "0.72 ± 0.01"."""
    return not isinstance(value, str) or bool(re.match(r"[-+−]?\.?\d|[–—-]?$", value.strip()))


def _cell(value) -> str:
    value = value.item() if hasattr(value, "item") else value
    if not isinstance(value, float):
        return str(value).replace("|", r"\|")
    return "–" if math.isnan(value) else f"{value:#.3g}".rstrip(".")


def scrub(
    figures: Sequence,
    *,
    labels: Sequence[str],
    name: str,
    sounds: Sequence = (),
    sample_rate: int = 16_000,
) -> HTML:
    """Return a slider that moves through figures drawn beforehand; it needs no kernel.

    Args:
        figures: matplotlib figures, all of one size.
        labels: what each shows; read out, shown beside the slider and used as alternative text.
        name: what the slider changes, such as "window length".
        sounds: a signal (time,) for each figure, with a player below it; or none.
        sample_rate: of the sounds, in hertz.

    Raises:
        ValueError: there are not as many labels or sounds as figures, or no figure.
    """
    if len(figures) != len(labels) or not figures:
        raise ValueError(f"{len(figures)} figures and {len(labels)} labels: give each its own")
    if len(sounds) not in (0, len(figures)):
        raise ValueError(f"{len(figures)} figures and {len(sounds)} sounds: give each its own")
    steps = []
    for place, (figure, label) in enumerate(zip(figures, labels, strict=True)):
        data, text = _png(figure, dpi=100), html.escape(label, quote=True)
        player = _player(sounds[place], sample_rate, label) if len(sounds) else ""
        hidden = " hidden" if place else ""
        steps.append(
            f'<div{hidden}><img alt="{text}" src="data:image/png;base64,{data}">{player}</div>'
        )
    script = (
        "const f=this.closest('figure');f.querySelectorAll('div').forEach((d,i)=>{d.hidden="
        "i!=this.value;d.querySelector('audio')?.pause();"
        "if(i==this.value)f.querySelector('output').textContent=d.querySelector('img').alt})"
    )
    title = html.escape(name, quote=True)
    return HTML(
        f'<figure class="scrub"><label>{title} <input type="range" min="0" '
        f'max="{len(figures) - 1}" value="0" aria-label="{title}" oninput="{script}"></label> '
        f"<output>{html.escape(labels[0])}</output>{''.join(steps)}</figure>"
    )
