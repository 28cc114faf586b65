"""Visual question answering: every formula against loops or torch, laws, training, bad input."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from mmlib.data.vocabulary import UnknownWordError
from mmlib.foundations.pretraining import WORDS, ImageClassifier
from mmlib.runtime import make_generator
from mmlib.training import fit
from mmlib.vision_text import vqa
from mmlib.vision_text.vqa import Modulated, PointWise, StackedAttention, VqaConfig
from mmlib.world.pictures import draw
from mmlib.world.questions import ANSWERS, TYPES, Question, ask
from mmlib.world.sampling import sample_scenes

TINY = VqaConfig(
    features=6, named=5, embedding=12, hidden=16, fused=24, value=12, meters=3, outlines=4
)
MODELS = {
    "point-wise": lambda words: PointWise(words, TINY),
    "question only": lambda words: PointWise(words, TINY, senses="question"),
    "picture only": lambda words: PointWise(words, TINY, senses="picture"),
    "modulation": lambda words: Modulated(words, TINY),
    "attention": lambda words: StackedAttention(words, TINY),
}


@pytest.fixture(scope="module")
def asked():
    scenes = sample_scenes(8, generator=make_generator(0), slots=3)
    return ask(scenes, per_scene=3, generator=make_generator(1))


@pytest.fixture(scope="module")
def vocabulary(asked):
    time = Question("is it day or night", "day", "time")
    return vqa.question_vocabulary([*asked, [time]])


@pytest.fixture(scope="module")
def batch(asked, vocabulary):
    grids = 3 * torch.randn(8, 11, 4, 4, generator=make_generator(2)).relu()
    return vqa.examples(grids, asked, vocabulary)


def made(name, vocabulary, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return MODELS[name](len(vocabulary))


def test_words_are_numbered_from_one_and_padded_with_zeros(vocabulary):
    numbers = vqa.encode_questions([["Is it day or night?"], ["is it night"]], vocabulary)
    assert numbers.shape == (2, 1, 5)
    assert vocabulary.decode(numbers[0, 0] - 1) == ["is", "it", "day", "or", "night"]
    assert numbers[1, 0, 3:].tolist() == [0, 0]


def test_a_plural_is_its_singular_and_an_ending():
    asked = [[Question("is there a bird", "no", "existence")],
             [Question("how many birds are there", "one", "count"),
              Question("how many dogs are there", "one", "count")]]  # fmt: skip
    words = vqa.question_vocabulary(asked)
    assert "birds" not in words
    assert "dogs" in words  # no singular is known: it stays whole
    assert vqa.pieces_of("Birds? Dogs, is", words) == ["bird", "-s", "dogs", "is"]
    assert vqa.pieces_of("frogs", words) == ["frogs"]  # and will be an unknown word
    numbers = vqa.encode_questions([["birds"], ["bird"]], words)
    assert numbers[0, 0, 0] == numbers[1, 0, 0]


def test_examples_hold_the_answers(asked, batch):
    _, questions, answers = batch
    assert questions.shape[:2] == answers.shape == (8, 3)
    assert [ANSWERS[i] for i in answers[2].tolist()] == [q.answer for q in asked[2]]


def test_the_named_grid_is_the_eyes_with_its_words_beside_it():
    eye = ImageClassifier().eval()
    pictures = torch.rand(2, 3, 32, 32, generator=make_generator(0))
    named = vqa.NamingGrid(eye)
    with torch.no_grad():
        grid, seen = named(pictures), eye(pictures)
    assert grid.shape == (2, named.channels, 4, 4)
    assert named.channels == VqaConfig().channels
    chances = 1 / (1 + torch.exp(-seen.cells))
    torch.testing.assert_close(grid[:, -len(WORDS) :], 4 * chances)
    with torch.no_grad():
        features = eye.encoder(pictures)
    mean, spread = features.mean(1, keepdim=True), features.var(1, correction=0, keepdim=True)
    torch.testing.assert_close(grid[:, : -len(WORDS)], (features - mean) / (spread + 1e-5).sqrt())


def test_the_reader_is_torchs_own_cell_word_by_word(vocabulary):
    """The state after the last word, from torch.nn.LSTMCell with the same weights."""
    reader = vqa.QuestionReader(len(vocabulary), TINY)
    cell = nn.LSTMCell(12, 16)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in reader.lstm.state_dict().items()})
    questions = torch.tensor([[3, 1, 2, 0, 0], [5, 4, 3, 2, 1]])
    context, last, there = reader(questions)
    assert there.tolist() == [[True] * 3 + [False] * 2, [True] * 5]
    for row, length in ((0, 3), (1, 5)):
        state = (torch.zeros(1, 16), torch.zeros(1, 16))
        for place in range(length):
            state = cell(reader.embed(questions[row : row + 1, place]), state)
            torch.testing.assert_close(context[row, place, 12:], state[0][0])
        torch.testing.assert_close(last[row], state[0][0])


def test_each_different_question_is_read_once():
    questions = torch.tensor([[[3, 1, 0], [2, 2, 0]], [[3, 1, 2], [3, 1, 0]]])
    different, place = vqa.distinct(questions)
    assert different.tolist() == [[3, 1, 0], [2, 2, 0], [3, 1, 2]]
    assert place.tolist() == [[0, 1], [2, 0]]
    assert torch.equal(different[place], questions)


@pytest.mark.parametrize("name", MODELS)
def test_who_else_asks_makes_no_difference(name, batch, vocabulary):
    model, (grids, questions, _) = made(name, vocabulary), batch
    assert len(vqa.distinct(questions)[0]) < questions.shape[:2].numel()
    alone = [model(g[None], q[None, None]) for g, q in zip(grids, questions[:, 1], strict=True)]
    torch.testing.assert_close(model(grids, questions)[:, 1], torch.cat(alone)[:, 0])


def standard(vectors):
    """Return vectors (items, size) with mean 0 and standard deviation 1 each."""
    mean, spread = vectors.mean(1, keepdim=True), vectors.var(1, correction=0, keepdim=True)
    return (vectors - mean) / (spread + 1e-5).sqrt()


def test_point_wise_is_the_product_of_two_vectors(batch, vocabulary):
    model = made("point-wise", vocabulary)
    grids, questions, _ = batch
    last = model.reader(questions[:, 1])[1]
    picture = torch.stack([torch.cat([g.mean((1, 2)), g.flatten(1).max(1).values]) for g in grids])
    asked = (standard(last) @ model.question.weight.T + model.question.bias).tanh()
    seen = (standard(picture) @ model.picture.weight.T + model.picture.bias).tanh()
    expected = model.answer(torch.stack([a * b for a, b in zip(asked, seen, strict=True)]))
    torch.testing.assert_close(model(grids, questions)[:, 1], expected)


@pytest.mark.parametrize(
    ("symmetry", "changes"), [("point-wise", False), ("modulation", True), ("attention", True)]
)
def test_the_product_does_not_know_where_things_are(symmetry, changes, batch, vocabulary):
    """Cells shuffled over the picture: the pooled product cannot tell, attention can."""
    model = made(symmetry, vocabulary)
    grids, questions, _ = batch
    order = torch.randperm(16, generator=make_generator(3))
    shuffled = grids.flatten(2)[..., order].unflatten(2, (4, 4))
    with torch.no_grad():
        same = torch.allclose(model(grids, questions), model(shuffled, questions), atol=1e-6)
    assert same is not changes


def test_a_missing_sense_makes_no_difference(batch, vocabulary):
    grids, questions, _ = batch
    with torch.no_grad():
        blind, deaf = made("question only", vocabulary), made("picture only", vocabulary)
        assert torch.equal(blind(grids, questions), blind(1 + grids, questions))
        answers = deaf(grids, questions)
        assert torch.equal(answers[:, 0], answers[:, 2])
        assert not torch.equal(answers, deaf(1 + grids, questions))
    assert answers.shape == (8, 3, len(ANSWERS))


def test_modulation_by_loops(batch, vocabulary):
    """Each cell's features, one after the other: scale, shift, cut off; mix; once more; pool."""
    model, (grids, questions, _) = made("modulation", vocabulary), batch
    with torch.no_grad():
        last = model.reader(questions[:1, 1])[1]
        both = (model.modulation.weight @ standard(last)[0] + model.modulation.bias).reshape(4, 12)
        line = [-0.75, -0.25, 0.25, 0.75]
        places = torch.tensor([[line] * 4, [[y] * 4 for y in line]])
        seen = model.see(torch.cat([grids[0], places])[None])[0].flatten(1).T  # (cells, value)
        left = []
        for cell in seen:
            once = torch.tensor(
                [max(0, (1 + both[0, i]) * cell[i] + both[1, i]) for i in range(12)]
            )
            mixed = model.mix(once)
            left.append(once + ((1 + both[2]) * mixed + both[3]).clamp(min=0))
        left = torch.stack(left)
        expected = model.answer(torch.cat([left.mean(0), left.max(0).values]))
        torch.testing.assert_close(model(grids, questions)[0, 1], expected)


def test_coordinates_grow_to_the_right_and_downwards():
    at = vqa.coordinates(2, 4)
    torch.testing.assert_close(at[0], torch.tensor([[-0.75, -0.25, 0.25, 0.75]] * 2))
    torch.testing.assert_close(at[1], torch.tensor([[-0.5] * 4, [0.5] * 4]))


def test_what_one_glimpse_reads_is_closed_to_the_next():
    scores = torch.tensor([[[9.0, 9.0], [6.0, 6.0], [0.0, 0.0], [5.0, 5.0]]])
    there = torch.tensor([[True, True, True, False]])
    read = vqa.read_in_turn(scores, there)
    torch.testing.assert_close(read.sum(dim=1), torch.ones(1, 2))
    assert read[0, 3].tolist() == [0, 0]
    assert read[0, :, 0].argmax() == 0
    assert read[0, :, 1].argmax() == 1
    first = torch.softmax(scores[0, :3, 0], dim=0)
    second = torch.softmax(scores[0, :3, 1] + 3 * torch.log(1 - 0.999 * first), dim=0)
    torch.testing.assert_close(read[0, :3], torch.stack([first, second], dim=1))


def test_measures_by_loops():
    """Expected place, variance and best match, from their definitions."""
    scores = torch.randn(1, 1, 1, 6, generator=make_generator(0))
    where = scores.softmax(dim=-1)
    found = vqa.measure(scores, where, 2)[0, 0, 0].tolist()  # 2 rows, 3 columns
    cells = [(x, y) for y in (-0.5, 0.5) for x in (-2 / 3, 0.0, 2 / 3)]
    weights = where[0, 0, 0].tolist()
    for axis in (0, 1):
        mean = sum(w * cell[axis] for w, cell in zip(weights, cells, strict=True))
        square = sum(w * cell[axis] ** 2 for w, cell in zip(weights, cells, strict=True))
        assert found[axis] == pytest.approx(mean, abs=1e-6)
        assert found[2 + axis] == pytest.approx(2 * (square - mean**2), abs=1e-6)
    assert found[4] == pytest.approx(math.tanh(max(scores.flatten().tolist()) / 4))


def test_amounts_by_loops(vocabulary):
    """Soft counts of cells, of patterns in the map of what was found, and words said there."""
    model, generator = made("attention", vocabulary), make_generator(0)
    scores = 3 * torch.randn(1, 1, 2, 16, generator=generator)
    values = torch.rand(1, 16, 12, generator=generator)
    named = 4 * torch.rand(1, 5, 16, generator=generator)
    with torch.no_grad():
        amounts = model.amounts(scores, values, named, 4)[0, 0, 1]
        found = torch.sigmoid(scores[0, 0, 1] - model.threshold)
        things = sum(found[c] * model.meter(values[0, c]).relu() for c in range(16)) / 4
        padded = torch.zeros(6, 6)
        padded[1:5, 1:5] = found.reshape(4, 4)
        patterns = torch.zeros(4)
        for row in range(4):
            for column in range(4):
                window = padded[row : row + 3, column : column + 3]
                patterns += (
                    (model.outline.weight[:, 0] * window).sum((1, 2)) + model.outline.bias
                ).relu()
        heard = [sum(found[c] * named[0, w, c] for c in range(16)) for w in range(5)]
        said = 1 - torch.exp(-torch.stack(heard))
    torch.testing.assert_close(amounts, torch.cat([things, patterns / 4, said]))


def test_outlines_are_the_layers():
    layer, maps = torch.nn.Conv2d(1, 5, 3, padding=1), torch.randn(2, 3, 4, 6)
    theirs = layer(maps.flatten(0, 1)[:, None]).relu().sum((2, 3)).unflatten(0, (2, 3))
    torch.testing.assert_close(vqa.outlines(maps, layer), theirs)


def test_a_word_counts_once_however_many_cells_say_it(vocabulary):
    """One large thing has one colour, two that touch may have two: their words tell."""
    model = made("attention", vocabulary)
    scores, values = torch.full((1, 1, 2, 16), 9.0), torch.zeros(1, 16, 12)
    large, two = torch.zeros(1, 5, 16), torch.zeros(1, 5, 16)
    large[0, 2, :14] = two[0, 2, :7] = two[0, 3, 7:14] = 4.0
    with torch.no_grad():
        one, both = (model.amounts(scores, values, n, 4)[0, 0, 0, -5:] for n in (large, two))
    assert one.sum() == pytest.approx(1, abs=0.01)
    assert both.sum() == pytest.approx(2, abs=0.01)


def test_a_query_knows_only_the_words_that_are_read(batch, vocabulary):
    """Not the state of the LSTM: what "the" wants must not depend on the words before it."""
    model, (grids, questions, _) = made("attention", vocabulary), batch
    with torch.no_grad():
        model.read.weight.zero_()
        model.read.bias.copy_(torch.tensor([5.0, 0.0, 0.0]))
        found = model.look(grids, questions)
        words = model.reader.embed(questions)  # (batch, questions, words, embedding)
        wanted = model.query(found.read.mT @ words)
    torch.testing.assert_close(found.wanted, wanted.clamp(min=0))
    assert wanted.min() < 0


def test_wanting_has_a_price(batch, vocabulary):
    model = made("attention", vocabulary)
    with torch.no_grad():
        wanted = model.look(*batch[:2]).wanted  # (batch, questions, glimpses, named)
        price = vqa.priced_loss(model, batch) - vqa.vqa_loss(model, batch)
    assert wanted.min() == 0 < wanted.max()
    torch.testing.assert_close(price, vqa.PRICE * wanted.flatten(0, 2).sum(dim=1).mean())


def test_looking_is_attention_and_a_mirrored_picture_moves_it(batch, vocabulary):
    model = made("attention", vocabulary)
    grids, questions, _ = batch
    with torch.no_grad():
        found = model.look(grids, questions)
        mirrored = model.look(grids.flip(3), questions)
    assert found.looked.shape == (8, 3, vqa.GLIMPSES, 4, 4)
    torch.testing.assert_close(found.looked.sum(dim=(3, 4)), torch.ones(8, 3, vqa.GLIMPSES))
    torch.testing.assert_close(mirrored.looked, found.looked.flip(4))
    torch.testing.assert_close(mirrored.read, found.read)


@pytest.mark.parametrize("name", MODELS)
def test_padding_changes_nothing(name, batch, vocabulary):
    model = made(name, vocabulary)
    grids, questions, _ = batch
    longer = nn.functional.pad(questions, (0, 4))
    with torch.no_grad():
        torch.testing.assert_close(model(grids, longer), model(grids, questions))


@pytest.mark.parametrize("name", MODELS)
def test_questions_and_pictures_do_not_touch_each_other(name, batch, vocabulary):
    model = made(name, vocabulary)
    grids, questions, _ = batch
    with torch.no_grad():
        alone = model(grids[2:3], questions[2:3, 1:2])
        torch.testing.assert_close(model(grids, questions)[2:3, 1:2], alone)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_reach_every_parameter(name, batch, vocabulary):
    model = made(name, vocabulary)
    vqa.vqa_loss(model, batch).backward()
    for parameter, value in model.named_parameters():
        assert value.grad is not None, parameter
        assert float(value.grad.abs().sum()) > 0, parameter


@pytest.mark.parametrize("name", ["point-wise", "modulation", "attention"])
def test_one_batch_is_learned_by_heart(name, batch, vocabulary):
    model = made(name, vocabulary)
    fit(model, [batch], vqa.vqa_loss, generator=make_generator(0), steps=150,
        learning_rate=1e-2, progress=False)  # fmt: skip
    grids, questions, answers = batch
    assert torch.equal(vqa.best_answers(model, grids, questions), answers)


def test_same_seed_same_training(batch, vocabulary):
    losses = []
    for seed in (1, 1, 2):
        model = made("attention", vocabulary, seed)
        history = vqa.train(model, batch, steps=3, generator=make_generator(0), progress=False)
        losses.append(history.losses)
    assert losses[0] == losses[1] != losses[2]


def test_the_loss_is_the_mean_over_all_questions(batch, vocabulary):
    model = made("attention", vocabulary)
    grids, questions, answers = batch
    with torch.no_grad():
        logits = model(grids, questions)
        one_by_one = [
            cross_entropy(logits[i, j][None], answers[i, j][None])
            for i in range(8)
            for j in range(3)
        ]
        torch.testing.assert_close(vqa.vqa_loss(model, batch), torch.stack(one_by_one).mean())


def test_a_question_is_answered_with_chances_in_order(batch, vocabulary):
    model = made("attention", vocabulary)
    found = vqa.answer_question(model, batch[0][0], "Is it DAY, or night?", vocabulary, k=4)
    chances = [chance for _, chance in found]
    assert chances == sorted(chances, reverse=True)
    assert all(answer in ANSWERS for answer, _ in found)
    best = vqa.best_answers(
        model, batch[0][:1], vqa.encode_questions([["is it day or night"]], vocabulary)
    )
    assert found[0][0] == ANSWERS[int(best)]


def test_one_look_is_that_of_the_batch(batch, vocabulary):
    model = made("attention", vocabulary)
    look = vqa.look_for(model, batch[0][1], "Is it day or night?", vocabulary)
    numbers = vqa.encode_questions([["is it day or night"]], vocabulary)
    with torch.no_grad():
        whole = model.look(batch[0][1:2], numbers)
    assert look.words == ["is", "it", "day", "or", "night"]
    torch.testing.assert_close(look.read, whole.read[0, 0])
    torch.testing.assert_close(look.looked, whole.looked[0, 0])
    named = batch[0][1, -5:].flatten(1)  # (named, cells): the maps follow from what is wanted
    torch.testing.assert_close(look.looked.flatten(1), (3 * look.wanted @ named).softmax(1))


def test_a_quiz_asks_about_the_pictures_that_it_shows(monkeypatch):
    monkeypatch.setattr(vqa, "AT_ONCE", 2)
    shown = []

    class ImageEncoder(nn.AvgPool2d):
        def forward(self, pictures):
            shown.append(pictures)
            return super().forward(pictures)

    eye = ImageEncoder(8)
    quiz = vqa.make_quiz(5, eye, generator=make_generator(0), per_scene=2, types=("time",))
    assert len(quiz.scenes) == len(quiz.questions) == 5
    assert [len(pictures) for pictures in shown] == [2, 2, 1]
    torch.testing.assert_close(torch.cat(shown), draw(quiz.scenes), atol=0.15, rtol=0)  # grain
    torch.testing.assert_close(quiz.grids, nn.AvgPool2d(8)(torch.cat(shown)))
    for night, asked in zip(quiz.scenes.night.tolist(), quiz.questions, strict=True):
        assert [q.answer for q in asked] == ["night" if night else "day"] * 2
    again = vqa.make_quiz(5, eye, generator=make_generator(0), per_scene=2, types=("time",))
    assert torch.equal(quiz.grids, again.grids)


def test_hits_are_counted_by_type_and_the_prior_knows_each_types_favourite():
    training = [[Question("is there a dog", "no", "existence")] * 2,
                [Question("is there a dog", "yes", "existence"),
                 Question("is it day or night", "day", "time")]]  # fmt: skip
    guesses = vqa.most_frequent_answers(training, training)
    assert [[ANSWERS[i] for i in row] for row in guesses.tolist()] == [["no"] * 2, ["no", "day"]]
    hits = vqa.hits_by_type(guesses, training)
    assert {kind: found.tolist() for kind, found in hits.items()} == {
        "existence": [True, True, False],
        "time": [True],
    }
    assert set(TYPES) > set(hits)


def test_an_unknown_word_is_named_with_the_nearest_known_ones(batch, vocabulary):
    model = made("attention", vocabulary)
    with pytest.raises(UnknownWordError, match=r"'nihgt' is not among .* did you mean 'night'"):
        vqa.answer_question(model, batch[0][0], "is it nihgt", vocabulary)
    with pytest.raises(ValueError, match=r"the question '\?!' has no word: ask in words"):
        vqa.answer_question(model, batch[0][0], "?!", vocabulary)


def test_bad_input_is_refused(batch, vocabulary):
    model = made("attention", vocabulary)
    grids, questions, _ = batch
    with pytest.raises(ValueError, match=r"grids has shape \(8, 5, 4, 4\).*need size 11"):
        model(grids[:, :5], questions)
    with pytest.raises(TypeError, match=r"grids has dtype torch\.int64"):
        model(grids.long(), questions)
    with pytest.raises(ValueError, match=r"questions has shape .* need size 8 where it has 7"):
        model(grids, questions[:7])
    with pytest.raises(TypeError, match=r"questions have dtype torch\.float32: encode_questions"):
        model(grids, questions.float())
    with pytest.raises(ValueError, match="a question has no first word"):
        model(grids, torch.zeros_like(questions))
    with pytest.raises(ValueError, match="senses is 'smell', choose one of both, question"):
        PointWise(5, TINY, senses="smell")
    with pytest.raises(ValueError, match=r"the scenes have \[1, 2\] questions: give each equally"):
        vqa.encode_questions([["is it day"], ["is it day", "is it night"]], vocabulary)
