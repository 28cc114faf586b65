"""The cell against torch's, the searches against brute force, and a captioner that learns."""

import itertools

import pytest
import torch
from torch import nn

from mmlib.data.vocabulary import UnknownWordError, Vocabulary
from mmlib.runtime import make_generator
from mmlib.training import fit
from mmlib.vision_text.captioning import (
    END,
    PAD,
    START,
    CaptionBatches,
    LSTMCell,
    ShowAndTell,
    ShowAndTellConfig,
    beam_search,
    caption_loss,
    caption_vocabulary,
    decode_captions,
    encode_captions,
    greedy,
    next_word_log_probability,
    sample,
    trace,
)

SMALL = ShowAndTellConfig(features=4, regions=(2, 3), embedding=5, hidden=7, dropout=0.0)
SENTENCES = [s.split() for s in ("a dog", "a red dog at night", "a bird", "two red birds by day")]


def grids(count, *, seed=0):
    return torch.randn(count, 4, 2, 3, generator=make_generator(seed))


@pytest.fixture
def wild():
    """A captioner with large random weights: its sentences differ in words and length."""
    model = ShowAndTell(7, SMALL).eval()
    generator = make_generator(3)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(1.5 * torch.randn(weight.shape, generator=generator))
        model.tell.weight *= 3
        model.tell.bias[END] = 0.0
    return model


@torch.no_grad()
def log_probability(model, picture, words):
    """Score one sentence by teacher forcing, word by word."""
    caption = torch.tensor([[START, *words, END]])
    found = next_word_log_probability(model(picture[None], caption)[0])
    return float(found.gather(1, caption[0, 1:, None]).sum())


def every_sentence(model, picture, *, longest):
    """Return all sentences of the seven-word vocabulary with their log-probabilities."""
    said = (s for n in range(longest + 1) for s in itertools.product(range(3, 7), repeat=n))
    return {words: log_probability(model, picture, words) for words in said}


def spoken(words):
    return tuple(word for word in words.tolist() if word > END)


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


def test_the_cell_is_torchs():
    ours, theirs = LSTMCell(5, 7).double(), nn.LSTMCell(5, 7).double()
    with torch.no_grad():
        theirs.weight_ih.copy_(ours.from_input.weight)
        theirs.weight_hh.copy_(ours.from_hidden.weight)
        theirs.bias_ih.copy_(ours.from_input.bias)
        theirs.bias_hh.zero_()
    generator = make_generator(0)
    x = torch.randn(4, 3, 5, generator=generator, dtype=torch.double)
    mine = other = (torch.zeros(3, 7).double(), torch.zeros(3, 7).double())
    for now in x:
        mine, other = ours(now, mine), theirs(now, other)
        torch.testing.assert_close(mine, other)


def test_teacher_forcing_is_stepping_with_the_true_words(wild):
    captions = encode_captions(
        [["a", "b"], ["b"]], Vocabulary(("<pad>", "<start>", "<end>", "a", "b"), (1,) * 5)
    )
    logits, state = wild(grids(2), captions), wild.start(grids(2))
    for time in range(captions.shape[1] - 1):
        step, state = wild.step(captions[:, time], state)
        torch.testing.assert_close(step, logits[:, time])
    at = captions[:, 1:] != PAD
    torch.testing.assert_close(wild(grids(2), captions, at), logits[at])


def test_loss_is_the_mean_cross_entropy_and_padding_changes_nothing(wild):
    captions = torch.tensor([[START, 3, 4, END, PAD], [START, 5, END, PAD, PAD]])
    loss = caption_loss(wild, (grids(2), captions))
    chances = wild(grids(2), captions).softmax(dim=-1)
    true = [chances[0, 0, 3], chances[0, 1, 4], chances[0, 2, END], chances[1, 0, 5],
            chances[1, 1, END]]  # fmt: skip
    torch.testing.assert_close(loss, -torch.stack(true).log().mean())
    longer = nn.functional.pad(captions, (0, 6))
    torch.testing.assert_close(caption_loss(wild, (grids(2), longer)), loss)
    alone = caption_loss(wild, (grids(2)[1:], captions[1:, :3]))
    torch.testing.assert_close(alone, -torch.stack(true[3:]).log().mean())


@pytest.mark.parametrize("power", [0.0, 0.7, 2.0])
def test_a_wide_beam_is_exhaustive_search(wild, power):
    pictures = grids(6, seed=1)
    told = beam_search(wild, pictures, beam=4**3, longest=3, length_power=power)
    for row, picture in enumerate(pictures):
        all_of_them = every_sentence(wild, picture, longest=3)
        best = max(all_of_them, key=lambda s: all_of_them[s] / (len(s) + 1) ** power)
        assert spoken(told.words[row]) == best
        assert float(told.log_probability[row]) == pytest.approx(all_of_them[best], abs=1e-4)
    assert len({len(spoken(words)) for words in told.words}) > 1 or power == 2.0


@torch.no_grad()
def one_by_one(model, picture, *, beam, longest):
    """Beam search as tutorials write it: one picture, lists of sentences, the beam shrinks."""
    live, finished = [(0.0, (START,), model.start(picture[None]))], []
    for place in range(longest + 1):
        options = []
        for score, words, state in live:
            logits, after = model.step(torch.tensor(words[-1:]), state)
            found = next_word_log_probability(logits, must_end=place == longest)[0]
            options += [(score + float(s), (*words, n), after) for n, s in enumerate(found)]
        options.sort(key=lambda option: -option[0])
        live = [option for option in options[:beam] if option[0] > -torch.inf]
        finished += [option for option in live if option[1][-1] == END]
        beam -= sum(option[1][-1] == END for option in live)
        live = [option for option in live if option[1][-1] != END]
        if not live:
            break
    return max(finished, key=lambda option: option[0])


@pytest.mark.parametrize("beam", [1, 2, 3, 5])
def test_beam_search_of_many_is_that_of_each_alone(wild, beam):
    pictures = grids(12, seed=2)
    told = beam_search(wild, pictures, beam=beam, longest=6)
    for row, picture in enumerate(pictures):
        score, words, _ = one_by_one(wild, picture, beam=beam, longest=6)
        assert spoken(told.words[row]) == words[1:-1]
        assert float(told.log_probability[row]) == pytest.approx(score, abs=1e-4)
    if beam > 1:  # some pictures are done long before others
        assert len({len(spoken(words)) for words in told.words}) > 1


def test_greedy_is_a_beam_of_one_and_a_wider_one_finds_no_less(wild):
    pictures = grids(20, seed=3)
    first, same = greedy(wild, pictures, longest=6), beam_search(wild, pictures, beam=1, longest=6)
    assert torch.equal(first.words, same.words)
    torch.testing.assert_close(first.log_probability, same.log_probability)
    wider = beam_search(wild, pictures, beam=100, longest=6)
    assert (wider.log_probability >= first.log_probability - 1e-5).all()
    assert (wider.log_probability > first.log_probability + 1e-3).any()


def test_samples_come_as_often_as_they_are_probable(wild):
    picture = grids(1, seed=1)
    told = sample(wild, picture.expand(4000, -1, -1, -1), generator=make_generator(0), longest=2)
    assert torch.equal(
        told.words,
        sample(
            wild, picture.expand(4000, -1, -1, -1), generator=make_generator(0), longest=2
        ).words,
    )
    said = [spoken(words) for words in told.words]
    for words, expected in every_sentence(wild, picture[0], longest=1).items():
        share = said.count(words) / len(said)
        assert share == pytest.approx(torch.tensor(expected).exp().item(), abs=0.03)
    cold = sample(wild, picture, generator=make_generator(0), temperature=1e-4, longest=6)
    assert torch.equal(cold.words, greedy(wild, picture, longest=6).words)


def test_log_probabilities_are_those_of_teacher_forcing(wild):
    pictures = grids(5)
    found = (
        greedy(wild, pictures, longest=4),
        sample(wild, pictures, generator=make_generator(1), longest=4),
        beam_search(wild, pictures, beam=3, longest=4),
    )
    for told in found:
        for row, picture in enumerate(pictures):
            words = spoken(told.words[row])
            if len(words) < 4:  # a sentence that must end did not choose to
                expected = log_probability(wild, picture, words)
                assert float(told.log_probability[row]) == pytest.approx(expected, abs=1e-4)


def test_a_sentence_begun_is_only_finished(wild):
    pictures, begin = grids(4), torch.tensor([[3, 4], [5, 6], [3, 3], [6, 5]])
    for told in (
        greedy(wild, pictures, longest=3, begin=begin),
        sample(wild, pictures, generator=make_generator(0), longest=3, begin=begin),
        beam_search(wild, pictures, beam=16, longest=3, begin=begin),
    ):
        assert torch.equal(told.words[:, :2], begin)
    same = greedy(wild, pictures, longest=3, begin=begin[0])
    assert torch.equal(same.words, greedy(wild, pictures, longest=3, begin=begin[[0] * 4]).words)
    for row, picture in enumerate(pictures):
        possible = every_sentence(wild, picture, longest=3)
        possible = {s: p for s, p in possible.items() if s[:2] == tuple(begin[row].tolist())}
        assert spoken(told.words[row]) == max(possible, key=possible.get)


def test_a_trace_is_what_went_on_behind_the_words(wild):
    pictures = grids(3)
    told = greedy(wild, pictures, longest=5)
    hidden = trace(wild, pictures, told.words, lambda state: state[0])
    assert hidden.shape == (3, 6, 7)
    said = (told.words.cumsum(dim=1) > 0) & (told.words != PAD)
    chosen = next_word_log_probability(wild.tell(hidden[:, 0])).argmax(dim=1)
    assert torch.equal(chosen[said[:, 0]], told.words[said[:, 0], 0])


@pytest.mark.parametrize("regions", [(1, 1), (2, 3)])
def test_it_overfits_one_batch_and_tells_it(regions):
    config = ShowAndTellConfig(features=4, regions=regions, embedding=16, hidden=32, dropout=0.0)
    vocabulary = caption_vocabulary(SENTENCES)
    batch = grids(4), encode_captions(SENTENCES, vocabulary)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ShowAndTell(len(vocabulary), config)
    history = fit(
        model, [batch], caption_loss, generator=make_generator(0), steps=100, learning_rate=1e-2,
        progress=False,
    )  # fmt: skip
    assert history.losses[-1] < 0.02 < history.losses[0]
    assert decode_captions(greedy(model, batch[0]).words, vocabulary) == SENTENCES


def test_gradients_reach_every_parameter_and_the_same_seed_gives_the_same():
    captions = encode_captions(SENTENCES, caption_vocabulary(SENTENCES))

    def train():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = ShowAndTell(13, SMALL)
        batches = CaptionBatches(
            grids(4), captions, torch.arange(4), batch_size=2, generator=make_generator(0)
        )
        fit(model, batches, caption_loss, generator=make_generator(0), steps=3, progress=False)
        return model

    first, same = train(), train()
    for weight, twin in zip(first.parameters(), same.parameters(), strict=True):
        assert torch.equal(weight, twin)
    caption_loss(first, (grids(4), captions)).backward()
    for name, weight in first.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


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


def test_a_decoder_whose_logits_are_nan_is_refused(wild):
    with torch.no_grad():
        wild.tell.bias.fill_(float("nan"))
    draw = {"generator": make_generator(0)}
    for search, options in ((greedy, {}), (beam_search, {}), (sample, draw)):
        with pytest.raises(ValueError, match=r"logits hold NaN .* diverged"):
            search(wild, grids(2), **options)


def test_bad_input_is_refused(wild):
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
    with pytest.raises(ValueError, match=r"pictures has shape .* need size 4 where it has 3"):
        wild.start(torch.zeros(1, 3, 2, 3))
    with pytest.raises(ValueError, match="each row from START on"):
        wild(pictures, torch.tensor([[3, 4], [START, 4]]))
    with pytest.raises(ValueError, match="temperature is 0"):
        sample(wild, pictures, generator=make_generator(0), temperature=0)
    with pytest.raises(ValueError, match="beam is 0, it must be"):
        beam_search(wild, pictures, beam=0)
    for power in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="length_power is"):
            beam_search(wild, pictures, length_power=power)
    with pytest.raises(ValueError, match="longest is 0"):
        greedy(wild, pictures, longest=0)
    with pytest.raises(ValueError, match="at most 20 words, no markers"):
        greedy(wild, pictures, begin=torch.full((2, 1), END))
