"""Captions between their markers, and batches that hold each of them once."""

import pytest
import torch
from torch import nn

from mmlib.data.captions import (
    END,
    PAD,
    START,
    CaptionBatches,
    caption_vocabulary,
    decode_captions,
    encode_captions,
)
from mmlib.data.vocabulary import UnknownWordError, Vocabulary
from mmlib.runtime import make_generator

SENTENCES = [s.split() for s in ("a dog", "a red dog at night", "a bird", "two red birds by day")]


def grids(count):
    return torch.randn(count, 4, 2, 3, generator=make_generator(0))


def test_captions_stand_between_their_markers():
    vocabulary = caption_vocabulary(SENTENCES)
    captions = encode_captions(SENTENCES, vocabulary)
    assert vocabulary.words[:4] == ("<pad>", "<start>", "<end>", "a")
    assert captions.shape == (4, 7)
    assert captions[0].tolist() == [START, 3, vocabulary.number("dog"), END, PAD, PAD, PAD]
    assert decode_captions(captions, vocabulary) == SENTENCES


def test_batches_hold_each_caption_once_with_its_picture():
    captions = encode_captions(SENTENCES, caption_vocabulary(SENTENCES))
    pictures, owner = grids(2).half(), torch.tensor([1, 0, 0, 1])
    batches = CaptionBatches(
        pictures, captions, owner, batch_size=3, generator=make_generator(0)
    )  # fmt: skip
    seen = [pair for batch in batches for pair in zip(*batch, strict=True)]
    assert len(batches) == 2
    assert len(seen) == 4
    for picture, caption in seen:
        full = nn.functional.pad(caption, (0, captions.shape[1] - len(caption)))
        (which,) = (captions == full).all(dim=1).nonzero()
        assert torch.equal(picture, pictures[owner[which[0]]].float())
    ((_, short),) = CaptionBatches(pictures, captions[:1], owner[:1], batch_size=1)
    assert torch.equal(short, captions[:1, :4])


def test_pools_put_captions_of_like_length_together_and_keep_each_once():
    draw = make_generator(0)
    lengths = torch.randint(3, 9, (40,), generator=draw)
    captions = torch.full((40, 9), PAD)
    for number, (row, length) in enumerate(zip(captions, lengths.tolist(), strict=True)):
        row[:length] = torch.tensor([START, *[END + 1 + number] * (length - 2), END])
    dealt = {
        pool: list(
            CaptionBatches(grids(40), captions, torch.arange(40), batch_size=4, pool=pool,
                           generator=make_generator(1))
        )
        for pool in (1, 10)
    }  # fmt: skip
    for batches in dealt.values():
        said = torch.cat([said[:, 1] for _, said in batches])
        assert torch.equal(said.sort().values, END + 1 + torch.arange(40))
    padding = {pool: sum(int((c == PAD).sum()) for _, c in dealt[pool]) for pool in dealt}
    assert padding[10] < padding[1] / 2
    longest = [said.shape[1] for _, said in dealt[10]]
    assert longest != sorted(longest)  # the order of batches is drawn
    in_order = CaptionBatches(grids(40), captions, torch.arange(40), batch_size=4, pool=10)
    widths = [said.shape[1] for _, said in in_order]
    assert widths == sorted(widths)


def test_captions_that_can_be_read_once_only_become_the_same_numbers():
    vocabulary = caption_vocabulary(iter(s) for s in SENTENCES)
    assert vocabulary == caption_vocabulary(SENTENCES)
    once = encode_captions((iter(s) for s in SENTENCES), vocabulary)
    assert torch.equal(once, encode_captions(SENTENCES, vocabulary))
    for bad in (["a dog"], [None], [["a", None]]):
        with pytest.raises(TypeError, match="sentence 0"):
            caption_vocabulary(bad)
        with pytest.raises(TypeError, match="sentence 0"):
            encode_captions(bad, vocabulary)


def test_bad_input_is_refused():
    vocabulary, pictures = caption_vocabulary(SENTENCES), grids(2)
    with pytest.raises(ValueError, match="a sentence holds '<end>'"):
        caption_vocabulary([["a", "<end>"]])
    with pytest.raises(ValueError, match="sentences is empty"):
        encode_captions([], vocabulary)
    with pytest.raises(ValueError, match="make it with caption_vocabulary"):
        encode_captions(SENTENCES, Vocabulary.from_sentences(SENTENCES))
    with pytest.raises(UnknownWordError, match="'frog' is not among"):
        encode_captions([["frog"]], vocabulary)
    captions = encode_captions(SENTENCES, vocabulary)
    with pytest.raises(ValueError, match="owner goes from 0 to 3, there are 2 pictures"):
        CaptionBatches(pictures, captions, torch.arange(4), batch_size=2)
    with pytest.raises(ValueError, match="batch_size is 0"):
        CaptionBatches(grids(4), captions, torch.arange(4), batch_size=0)
    with pytest.raises(ValueError, match="pool is 0"):
        CaptionBatches(grids(4), captions, torch.arange(4), batch_size=2, pool=0)
