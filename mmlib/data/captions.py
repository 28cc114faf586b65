"""Captions as numbers, and batches of pictures with their captions.

A caption is a row of a tensor (captions, time): ``START``, its words, ``END``, then ``PAD``. The
captioners of ``vision_text`` read and write such rows.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from mmlib.data.vocabulary import Vocabulary, word_lists
from mmlib.shapes import check_shape, check_whole

MARKERS = ("<pad>", "<start>", "<end>")
PAD, START, END = range(3)  # their numbers in a vocabulary of caption_vocabulary


def caption_vocabulary(sentences: Iterable[Iterable[str]], *, min_count: int = 1) -> Vocabulary:
    """Return the words of ``sentences`` with the three ``MARKERS`` before them.

    Raises:
        TypeError: a sentence is no list of words.
        ValueError: a sentence holds a marker, or no word is left.
    """
    sentences = word_lists(sentences)
    plain = Vocabulary.from_sentences(sentences, min_count=min_count)
    for marker in MARKERS:
        if marker in plain:
            raise ValueError(
                f"a sentence holds {marker!r}, which marks its end or padding: drop it"
            )
    counts = (0, len(sentences), len(sentences), *plain.counts)
    return Vocabulary((*MARKERS, *plain.words), counts)


def encode_captions(sentences: Iterable[Iterable[str]], vocabulary: Vocabulary) -> Tensor:
    """Return the sentences as numbers, each between ``START`` and ``END``, padded with ``PAD``.

    Args:
        sentences: lists of words.

    Returns:
        (captions, time) int64; time is the longest sentence's number of words plus 2.

    Raises:
        TypeError: a sentence is no list of words.
        ValueError: there is no sentence, or the vocabulary has not the ``MARKERS`` first.
        UnknownWordError: a word is not in the vocabulary.
    """
    sentences = word_lists(sentences)
    if not sentences:
        raise ValueError("sentences is empty: give one caption at least")
    if vocabulary.words[: len(MARKERS)] != MARKERS:
        raise ValueError(
            f"the vocabulary begins with {vocabulary.words[:3]}, it must begin with {MARKERS}: "
            "make it with caption_vocabulary"
        )
    captions = torch.full((len(sentences), max(map(len, sentences)) + 2), PAD)
    for row, sentence in zip(captions, sentences, strict=True):
        numbers = vocabulary.encode(sentence)
        row[: len(numbers) + 2] = torch.cat([torch.tensor([START]), numbers, torch.tensor([END])])
    return captions


def decode_captions(words: Tensor, vocabulary: Vocabulary) -> list[list[str]]:
    """Return the words of each row of ``words`` (captions, time), without the markers."""
    check_shape(words, "captions time", name="words")
    return [vocabulary.decode([n for n in row if n > END]) for row in words.tolist()]


class CaptionBatches:
    """Pairs of a picture and one of its captions in batches, in an order drawn anew each epoch.

    Several captions may belong to one picture, whose grid is stored only once. A batch is
    ``(pictures, captions)``: (batch, features, rows, columns) float32, and (batch, time) with no
    more padding than its longest caption needs.

    Args:
        grids: (pictures, features, rows, columns), of any floating type.
        captions: (captions, time), from ``encode_captions``.
        owner: (captions,) int64, the picture that each caption describes.
        generator: draws the order of each epoch; ``None`` keeps the captions in order.
        pool: captions are drawn for this many batches at once and dealt out by length. So a batch
            holds captions of like length, and little time goes into padding; 1 leaves it to chance.

    Raises:
        ValueError: a caption has no owner or an owner no picture, or ``batch_size`` or ``pool`` is
            below 1.
    """

    def __init__(
        self,
        grids: Tensor,
        captions: Tensor,
        owner: Tensor,
        *,
        batch_size: int,
        generator: torch.Generator | None = None,
        pool: int = 1,
    ) -> None:
        check_shape(grids, "pictures features rows columns", name="grids")
        sizes = check_shape(captions, "captions time", name="captions")
        check_shape(owner, f"{sizes['captions']}", name="owner")
        if int(owner.min()) < 0 or int(owner.max()) >= len(grids):
            raise ValueError(
                f"owner goes from {int(owner.min())} to {int(owner.max())}, there are "
                f"{len(grids)} pictures: count them from 0"
            )
        self.grids, self.captions, self.owner = grids, captions, owner
        self.batch_size = check_whole(batch_size, name="batch_size")
        self.pool, self.generator = check_whole(pool, name="pool"), generator

    def __len__(self) -> int:
        return -(-len(self.captions) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.arange(len(self.captions))
        if self.generator is not None:
            order = torch.randperm(len(order), generator=self.generator)
        words = (self.captions != PAD).sum(dim=1)
        for pool in order.split(self.batch_size * self.pool):
            for chosen in self._deal(pool, words[pool]):
                time = int(words[chosen].max())
                yield self.grids[self.owner[chosen]].float(), self.captions[chosen, :time]

    def _deal(self, pool: Tensor, words: Tensor) -> list[Tensor]:
        """Cut a pool into batches by length, and put the batches in random order."""
        if self.pool == 1:
            return [pool]
        batches = pool[words.argsort(stable=True)].split(self.batch_size)
        if self.generator is None:
            return list(batches)
        return [batches[n] for n in torch.randperm(len(batches), generator=self.generator).tolist()]
