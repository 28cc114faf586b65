"""Pictures that move in step with a sound, in a page without a kernel.

All frames lie in one picture, of which a window shows one at a time; the sound's own player says
which. Where no script runs, and in print, the window shows one frame.
"""

import base64
import html
import io
from collections.abc import Sequence

import numpy as np
from IPython.display import HTML
from PIL import Image

from mmlib import page

_COLUMNS = 10  # of the picture that holds all frames
_SCRIPT = (
    "const b=this.closest('figure').parentElement,a=b.querySelector('audio'),i=this,"
    "s=()=>{{const k=Math.min({last},Math.floor(a.currentTime*{fps}));"
    "i.style.transform=`translate(${{-100*(k%{columns})/{columns}}}%,"
    "${{-100*Math.floor(k/{columns})/{rows}}}%)`;if(!a.paused)requestAnimationFrame(s)}};"
    "a.onplay=a.onseeked=s"
)


def talking(
    pictures: Sequence,
    *,
    fps: float,
    signal,
    sample_rate: int,
    alt: str,
    transcript: str,
    width: int = 600,
    poster: int = 0,
) -> HTML:
    """Return an animation with its sound: press play, and the pictures follow.

    Args:
        pictures: (frames, 3, height, width) in [0, 1]; frame f is shown from f / fps seconds on.
        signal: (time,) as for ``page.sound``.
        alt: what is to be seen.
        transcript: what is to be heard.
        width: of the window, in pixels of the page; never wider than the page.
        poster: the frame shown before the sound is played, and where no script runs.

    Raises:
        ValueError: ``pictures`` has not four axes, three colours and one frame or more, or
            ``poster`` is none of them.
    """
    frames = np.asarray(pictures, dtype=np.float32)
    if frames.ndim != 4 or frames.shape[1] != 3 or 0 in frames.shape:
        raise ValueError(f"pictures has shape {frames.shape}, it must be (frames, 3, high, wide)")
    if not 0 <= poster < len(frames):
        raise ValueError(f"poster is {poster}, the frames are 0 to {len(frames) - 1}")
    rows = -(-len(frames) // _COLUMNS)
    high, wide = frames.shape[2:]
    sheet = np.zeros((rows * _COLUMNS, 3, high, wide), np.float32)
    sheet[: len(frames)] = frames
    sheet = sheet.reshape(rows, _COLUMNS, 3, high, wide).transpose(0, 3, 1, 4, 2)
    pixels = (sheet.reshape(rows * high, _COLUMNS * wide, 3).clip(0, 1) * 255).round()
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, format="JPEG", quality=88)
    data, text = base64.b64encode(file.getvalue()).decode(), html.escape(alt, quote=True)
    script = _SCRIPT.format(last=len(frames) - 1, fps=fps, columns=_COLUMNS, rows=rows)
    start = (
        f"translate({-100 * (poster % _COLUMNS) / _COLUMNS}%,{-100 * (poster // _COLUMNS) / rows}%)"
    )
    player = page.sound(signal, sample_rate=sample_rate, transcript=transcript).data
    return HTML(
        f'<div class="talking"><figure style="margin:0 0 0.4rem;max-width:100%;width:{width}px;'
        f'aspect-ratio:{wide}/{high};overflow:hidden"><img alt="{text}" '
        f'style="display:block;margin:0;padding:0;max-width:none;width:{100 * _COLUMNS}%;'
        f'height:auto;transform:{start}" onload="{html.escape(script, quote=True)}" '
        f'src="data:image/jpeg;base64,{data}"></figure>{player}</div>'
    )
