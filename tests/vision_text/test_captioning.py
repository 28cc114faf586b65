"""The cell against torch's, the searches against brute force, and captioners that learn."""

import itertools
import math
import random
from collections import Counter

import pytest
import torch
from torch import nn
from torch.nn.functional import pad

from mmlib.data.captions import (
    END,
    PAD,
    START,
    CaptionBatches,
    caption_vocabulary,
    decode_captions,
    encode_captions,
)
from mmlib.runtime import make_generator
from mmlib.training import fit
from mmlib.vision_text.captioning import (
    LSTMCell,
    PictureAtEveryStep,
    PictureInMemory,
    ShowAndTell,
    beam_search,
    caption_loss,
    consensus_captions,
    greedy,
    next_word_log_probability,
    sample,
    teacher_forcing,
)

SENTENCES = [s.split() for s in ("a dog", "a red dog at night", "a bird", "two red birds by day")]
SMALL = {"features": 4, "embedding": 5, "hidden": 7, "dropout": 0.0}
every_model = pytest.mark.parametrize("kind", [ShowAndTell, PictureInMemory, PictureAtEveryStep])


def grids(count, *, seed=0):
    return torch.randn(count, 4, 2, 3, generator=make_generator(seed))


def make(kind, vocab, **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(vocab, **SMALL | options)


@pytest.fixture
def wild():
    """A captioner with large random weights: its sentences differ in words and length."""
    model = PictureInMemory(7, **SMALL).eval()
    generator = make_generator(3)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(1.5 * torch.randn(weight.shape, generator=generator))
        model.output.weight *= 3
        model.output.bias[END] = 0.0
    return model


@torch.no_grad()
def log_probability(model, picture, words):
    """Score one sentence by teacher forcing, word by word."""
    caption = torch.tensor([[START, *words, END]])
    log_p = next_word_log_probability(teacher_forcing(model, picture[None], caption)[0])
    return float(log_p.gather(1, caption[0, 1:, None]).sum())


def every_sentence(model, picture, *, longest):
    """Return all sentences of the seven-word vocabulary with their log-probabilities."""
    sentences = (s for n in range(longest + 1) for s in itertools.product(range(3, 7), repeat=n))
    return {words: log_probability(model, picture, words) for words in sentences}


def plain(words):
    return tuple(word for word in words.tolist() if word > END)


@pytest.mark.parametrize("squash", [None, torch.tanh])
def test_the_cell_is_that_of_torch_or_the_printed_equations(squash):
    ours, theirs = LSTMCell(5, 7, squash=squash).double(), nn.LSTMCell(5, 7).double()
    with torch.no_grad():
        theirs.weight_ih.copy_(ours.from_input.weight)
        theirs.weight_hh.copy_(ours.from_output.weight)
        theirs.bias_ih.copy_(ours.from_input.bias)
        theirs.bias_hh.zero_()
    generator = make_generator(0)
    draw = {"generator": generator, "dtype": torch.double}
    x, m, c = torch.randn(3, 5, **draw), torch.randn(3, 7, **draw), torch.randn(3, 7, **draw)
    (m1, c1), (m2, c2) = ours(x, (m, c)), theirs(x, (m, c))
    torch.testing.assert_close(c1, c2)
    torch.testing.assert_close(m1 if squash else m1 * torch.tanh(c1) / c1, m2)


@every_model
def test_teacher_forcing_is_stepping_with_the_true_words(kind):
    model, captions = make(kind, 7).eval(), torch.tensor([[START, 3, 4, END], [START, 4, END, PAD]])
    logits, (picture, state) = teacher_forcing(model, grids(2), captions), model.start(grids(2))
    for time in range(captions.shape[1] - 1):
        step, state = model.step(captions[:, time], state, picture)
        torch.testing.assert_close(step, logits[:, time])
    other = model.start(grids(2, seed=5))
    kept = any(not torch.equal(a, b) for a, b in zip(picture, other[0], strict=True))
    assert kept == (kind is PictureAtEveryStep)  # others know the picture by their state alone


def test_the_picture_enters_as_if_it_were_a_word():
    model, x = make(ShowAndTell, 7).eval(), torch.zeros(2, 7)
    word = model.cell(
        model.image(model.norm(torch.cat([grids(2).mean((2, 3)), grids(2).amax((2, 3))], 1))),
        (x, x),
    )
    torch.testing.assert_close(model.start(grids(2)), ((), word))  # fmt: skip


def test_loss_is_the_mean_negative_log_likelihood_and_padding_changes_nothing(wild):
    captions = torch.tensor([[START, 3, 4, END, PAD], [START, 5, END, PAD, PAD]])
    loss = caption_loss(wild, (grids(2), captions))
    p = teacher_forcing(wild, grids(2), captions).softmax(dim=-1)
    true = torch.stack([p[0, 0, 3], p[0, 1, 4], p[0, 2, END], p[1, 0, 5], p[1, 1, END]])
    torch.testing.assert_close(loss, -true.log().mean())
    torch.testing.assert_close(caption_loss(wild, (grids(2), pad(captions, (0, 6)))), loss)
    alone = caption_loss(wild, (grids(2)[1:], captions[1:, :3]))
    torch.testing.assert_close(alone, -true[3:].log().mean())


def test_a_wide_beam_is_exhaustive_search(wild):
    pictures = grids(6, seed=1)
    found = beam_search(wild, pictures, beam=4**4, longest=3)
    for row, picture in enumerate(pictures):
        possible = every_sentence(wild, picture, longest=3)
        best = max(possible, key=possible.get)
        assert plain(found.words[row]) == best
        assert float(found.log_probability[row]) == pytest.approx(possible[best], abs=1e-4)
    assert len({len(plain(words)) for words in found.words}) > 1


@torch.no_grad()
def one_by_one(model, picture, *, beam, longest):
    """Beam search with lists of sentences, one picture."""
    constant, state = model.start(picture[None])
    beams = [(0.0, (START,), state)]
    for place in range(longest + 1):
        options = [each for each in beams if each[1][-1] == END]
        for score, words, state in (each for each in beams if each[1][-1] != END):
            logits, after = model.step(torch.tensor(words[-1:]), state, constant)
            log_p = next_word_log_probability(logits, must_end=place == longest)[0]
            options += [(score + float(s), (*words, n), after) for n, s in enumerate(log_p)]
        beams = sorted(options, key=lambda option: -option[0])[:beam]
    return beams[0]


@pytest.mark.parametrize("beam", [1, 2, 3, 5])
def test_beam_search_of_many_is_that_of_each_alone(wild, beam):
    pictures = grids(12, seed=2)
    found = beam_search(wild, pictures, beam=beam, longest=6)
    for row, picture in enumerate(pictures):
        score, words, _ = one_by_one(wild, picture, beam=beam, longest=6)
        assert plain(found.words[row]) == words[1:-1]
        assert float(found.log_probability[row]) == pytest.approx(score, abs=1e-4)


@every_model
def test_greedy_is_a_beam_of_one_and_searches_agree_with_teacher_forcing(kind):
    model, pictures = make(kind, 7).eval(), grids(20, seed=3)
    first, same = (
        greedy(model, pictures, longest=6),
        beam_search(model, pictures, beam=1, longest=6),
    )
    assert torch.equal(first.words, same.words)
    torch.testing.assert_close(first.log_probability, same.log_probability)
    draw = sample(model, pictures, generator=make_generator(1), longest=6)
    for found in (first, draw, beam_search(model, pictures, beam=3, longest=6)):
        for row, picture in enumerate(pictures):
            words = plain(found.words[row])
            if len(words) < 6:  # a sentence that must end did not choose to
                expected = log_probability(model, picture, words)
                assert float(found.log_probability[row]) == pytest.approx(expected, abs=1e-4)


def test_samples_come_as_often_as_they_are_probable(wild):
    picture = grids(1, seed=1)
    many = picture.expand(4000, -1, -1, -1)
    found = sample(wild, many, generator=make_generator(0), longest=2)
    again = sample(wild, many, generator=make_generator(0), longest=2)
    assert torch.equal(found.words, again.words)
    sentences = [plain(words) for words in found.words]
    for words, expected in every_sentence(wild, picture[0], longest=1).items():
        share = sentences.count(words) / len(sentences)
        assert share == pytest.approx(torch.tensor(expected).exp().item(), abs=0.03)
    cold = sample(wild, picture, generator=make_generator(0), temperature=1e-4, longest=6)
    assert torch.equal(cold.words, greedy(wild, picture, longest=6).words)


def test_a_sentence_begun_is_only_finished(wild):
    pictures, begin = grids(4), torch.tensor([[3, 4], [5, 6], [3, 3], [6, 5]])
    for found in (
        greedy(wild, pictures, longest=1, begin=begin),
        sample(wild, pictures, generator=make_generator(0), longest=1, begin=begin),
        beam_search(wild, pictures, beam=64, longest=1, begin=begin),
    ):
        assert torch.equal(found.words[:, :2], begin)
    alike = greedy(wild, pictures, longest=3, begin=begin[0])
    assert torch.equal(alike.words, greedy(wild, pictures, longest=3, begin=begin[[0] * 4]).words)
    for row, picture in enumerate(pictures):
        possible = every_sentence(wild, picture, longest=3)
        possible = {s: p for s, p in possible.items() if s[:2] == tuple(begin[row].tolist())}
        assert plain(found.words[row]) == max(possible, key=possible.get)


@every_model
def test_it_overfits_one_batch_and_writes_it(kind):
    vocabulary = caption_vocabulary(SENTENCES)
    batch = grids(4), encode_captions(SENTENCES, vocabulary)
    model = make(kind, len(vocabulary), embedding=16, hidden=32)
    options = {"steps": 150, "learning_rate": 1e-2, "progress": False}
    history = fit(model, [batch], caption_loss, generator=make_generator(0), **options)
    assert history.losses[-1] < 0.05 < history.losses[0]
    assert decode_captions(greedy(model.eval(), batch[0]).words, vocabulary) == SENTENCES


@every_model
def test_gradients_reach_every_parameter_and_the_same_seed_gives_the_same(kind):
    captions = encode_captions(SENTENCES, caption_vocabulary(SENTENCES))

    def train():
        model = make(kind, 13)
        batches = CaptionBatches(
            grids(4), captions, torch.arange(4), batch_size=2, generator=make_generator(0)
        )
        fit(model, batches, caption_loss, generator=make_generator(0), steps=3, progress=False)
        return model

    first, same = train(), train()
    for weight, other in zip(first.parameters(), same.parameters(), strict=True):
        assert torch.equal(weight, other)
    caption_loss(first, (grids(4), captions)).backward()
    for name, weight in first.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


def test_the_consensus_is_the_candidate_that_the_others_are_most_like():
    sentences = [s.split() for s in ("a dog", "a red dog", "a red dog", "two frogs", "a bird")]
    found = consensus_captions(sentences, [[0, 1, 2, 3], [3], [4, 0], [1, 4, 3]])
    assert found == [sentences[1], sentences[3], sentences[4], sentences[1]]


def test_likeness_in_the_consensus_is_the_mean_cosine_of_weighted_ngrams():
    rng = random.Random(0)
    sentences = [rng.choices("abcd", k=rng.randint(1, 6)) for _ in range(30)]

    def count(sentence, n):
        return Counter(tuple(sentence[k : k + n]) for k in range(len(sentence) - n + 1))

    grams = [[count(sentence, n) for sentence in sentences] for n in range(1, 5)]
    frequency = Counter(gram for some in grams for each in some for gram in each)

    def cosine(one, other):
        weigh = [{g: c * (1 + math.log(31 / (1 + frequency[g]))) for g, c in x.items()}
                 for x in (one, other)]  # fmt: skip
        product = sum(weigh[0][g] * weigh[1].get(g, 0) for g in weigh[0])
        return product / (math.hypot(*weigh[0].values()) * math.hypot(*weigh[1].values()) or 1)

    rows = rng.sample(range(30), 8)
    support = {}
    for one in rows:
        alike = [sum(cosine(some[one], some[k]) for some in grams) / 4 for k in rows if k != one]
        support[one] = sum(sorted(alike)[-3:])
    (found,) = consensus_captions(sentences, [rows], closest=3)
    assert found == sentences[max(support, key=support.get)]


def test_a_decoder_whose_logits_are_nan_is_refused(wild):
    with torch.no_grad():
        wild.output.bias.fill_(float("nan"))
    draw = {"generator": make_generator(0)}
    for search, options in ((greedy, {}), (beam_search, {}), (sample, draw)):
        with pytest.raises(ValueError, match=r"logits hold NaN .* diverged"):
            search(wild, grids(2), **options)


def test_bad_input_is_refused(wild):
    with pytest.raises(ValueError, match=r"pictures has shape .* need size 4 where it has 3"):
        wild.start(torch.zeros(1, 3, 2, 3))
    with pytest.raises(TypeError, match="pictures has dtype"):
        wild.start(torch.zeros(1, 4, 2, 3).long())
    with pytest.raises(ValueError, match="each row from START on"):
        teacher_forcing(wild, grids(2), torch.tensor([[3, 4], [START, 4]]))
    with pytest.raises(ValueError, match="captions has shape"):
        teacher_forcing(wild, grids(2), torch.tensor([[START, 4]]))
    with pytest.raises(ValueError, match="temperature is 0"):
        sample(wild, grids(2), generator=make_generator(0), temperature=0)
    with pytest.raises(ValueError, match="beam is 0, it must be"):
        beam_search(wild, grids(2), beam=0)
    with pytest.raises(ValueError, match="longest is 0"):
        greedy(wild, grids(2), longest=0)
    with pytest.raises(ValueError, match="give numbers of words, no markers"):
        greedy(wild, grids(2), begin=torch.full((2, 1), END))
