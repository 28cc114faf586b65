"""An independent recogniser of English, PocketSphinx, and the share of words that it finds."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

SAMPLE_RATE = 16_000  # hertz
SILENCE = 2400  # samples, 0.15 s, before and after what is recognised


def recogniser(rule: str) -> Callable[[Tensor], list[str]]:
    """Return PocketSphinx, trained on people's voices, as a function from a wave to its words.

    Args:
        rule: the sentences that it may find, in the Java Speech Grammar Format.

    Raises:
        ImportError: it is not installed; ``pip install pocketsphinx``.
    """
    import pocketsphinx  # not one of mmlib's dependencies

    decoder = pocketsphinx.Decoder(
        lm=None, samprate=SAMPLE_RATE, bestpath=False, lw=1.0, loglevel="FATAL"
    )
    with tempfile.TemporaryDirectory() as folder:
        grammar = Path(folder) / "captions.gram"
        grammar.write_text(f"#JSGF V1.0;\ngrammar g;\npublic <s> = {rule};\n")
        decoder.add_jsgf_file("g", str(grammar))
    decoder.activate_search("g")

    def recognise(wave: Tensor) -> list[str]:
        samples = np.pad(wave.numpy(), SILENCE).clip(-1, 1) * 32767
        decoder.start_utt()
        decoder.process_raw(samples.astype(np.int16).tobytes(), full_utt=True)
        decoder.end_utt()
        return decoder.hyp().hypstr.split() if decoder.hyp() else []

    return recognise


def word_recall(recognised: Sequence[Sequence[str]], truth: Sequence[Sequence[str]]) -> Tensor:
    """Return which content words (items, words) were heard, 1.0 or 0.0."""
    pairs = zip(recognised, truth, strict=True)
    return torch.tensor([[float(word in found) for word in true] for found, true in pairs])
