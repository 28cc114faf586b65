"""Each score against two other people's scorers, or against its definition by brute force."""

import random
import re
from contextlib import redirect_stdout
from itertools import combinations, pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nltk.translate.bleu_score import corpus_bleu
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from mmlib.text_metrics import bleu, cider_d, normalise_answer, rouge_l, vqa_accuracy

WORDS = "a the dog cat red blue house runs sleeps by in front of big small star and one"


def corpus(seed: int, pictures: int = 30, *, least: int = 1):
    """Draw sentences that share much, with 1 to 5 references a picture, of all lengths."""
    draw = random.Random(seed)

    def sentence(shortest):
        return draw.choices(WORDS.split()[: draw.randint(3, 18)], k=draw.randint(shortest, 14))

    references = [[sentence(1) for _ in range(draw.randint(1, 5))] for _ in range(pictures)]
    candidates = [
        [
            word if draw.random() < 0.7 else draw.choice(WORDS.split())
            for word in draw.choice(truths)
        ]
        if draw.random() < 0.7
        else sentence(least)
        for truths in references
    ]
    candidates = [c if len(c) >= least else sentence(least) for c in candidates]
    return candidates, references


def official(scorer, candidates, references):
    """Score with pycocoevalcap, which takes dictionaries of sentences as strings."""
    true = {i: [" ".join(r) for r in truths] for i, truths in enumerate(references)}
    said = {i: [" ".join(candidate)] for i, candidate in enumerate(candidates)}
    return scorer.compute_score(true, said)


@pytest.mark.parametrize("seed", range(10))
def test_bleu_is_that_of_the_captioning_challenge(seed, capsys):
    candidates, references = corpus(seed)
    theirs, _ = official(Bleu(4), candidates, references)
    assert bleu(candidates, references) == pytest.approx(tuple(theirs), rel=1e-12)


SHORT = st.lists(st.sampled_from("abc"), max_size=3)


@given(corpus=st.lists(st.tuples(SHORT, SHORT.filter(len)), min_size=1, max_size=3))
def test_bleu_of_short_captions_is_that_of_the_captioning_challenge(corpus):
    candidates, references = [said for said, _ in corpus], [[true] for _, true in corpus]
    with redirect_stdout(None):
        theirs, _ = official(Bleu(4), candidates, references)
    assert bleu(candidates, references) == pytest.approx(tuple(theirs), rel=1e-12)


def test_three_right_words_have_a_bleu_4_of_three_hundredths():
    said = [["a", "red", "ball"]] * 9
    assert bleu(said, [[true] for true in said]) == pytest.approx((1, 1, 1, 1e-6**0.25))


@pytest.mark.parametrize("seed", range(10))
def test_bleu_is_that_of_nltk(seed):
    # from 4 words on: nltk counts one n-gram too many for a sentence that is too short for any
    candidates, references = corpus(seed, least=4)
    theirs = [corpus_bleu(references, candidates, weights=[1 / n] * n) for n in range(1, 5)]
    assert bleu(candidates, references) == pytest.approx(tuple(theirs))


def test_bleu_takes_the_closest_reference_and_of_two_as_close_the_shorter(capsys):
    candidates, references = [["a"] * 5, ["b"] * 4], [[["a"] * 3, ["a"] * 7], [["b"] * 9]]
    theirs, _ = official(Bleu(4), candidates, references)
    ours = bleu(candidates, references)
    assert ours == pytest.approx(tuple(theirs))
    assert ours[0] == pytest.approx(torch.tensor(1 - 12 / 9).exp())  # r is 3 + 9, c is 9


def test_bleu_is_one_for_a_copy_and_zero_without_a_common_ngram():
    _, references = corpus(0)
    longest = [max(truths, key=len) for truths in references]
    assert bleu(longest, references) == pytest.approx((1, 1, 1, 1))
    assert bleu([["x"]] * len(references), references) == pytest.approx((0, 0, 0, 0), abs=1e-6)
    assert bleu([[]] * len(references), references) == (0, 0, 0, 0)
    assert bleu([["a", "b", "c"]], [[["a", "b", "d"]]])[:2] == pytest.approx((2 / 3, 3**-0.5))
    long = bleu([["a", "b", "c", "x"]], [[["a", "b", "d"]]])
    assert long[2:] == pytest.approx((0, 0), abs=1e-3)


@pytest.mark.parametrize("seed", range(10))
def test_rouge_l_is_that_of_the_captioning_challenge(seed):
    candidates, references = corpus(seed)
    mean, each = official(Rouge(), candidates, references)
    ours = rouge_l(candidates, references)
    torch.testing.assert_close(ours, torch.from_numpy(each))
    assert float(ours.mean()) == pytest.approx(mean)


@pytest.mark.parametrize("seed", range(10))
def test_cider_d_is_that_of_the_captioning_challenge(seed):
    candidates, references = corpus(seed)
    mean, each = official(Cider(), candidates, references)
    ours = cider_d(candidates, references)
    torch.testing.assert_close(ours, torch.from_numpy(each))
    assert float(ours.mean()) == pytest.approx(mean)


def test_cider_d_counts_what_is_said_of_few_pictures():
    references = [[["a", "dog", "runs"]], [["a", "cat", "runs"]], [["a", "cow", "runs"]]]
    same, rare, usual = cider_d([["a", "dog", "runs"], ["cat"], ["a", "runs"]], references, order=1)
    assert same == pytest.approx(10)
    assert usual == 0
    assert rare == pytest.approx(10 * torch.tensor(-4 / 72).exp())  # 2 words shorter


def test_an_empty_candidate_scores_nothing_and_harms_nobody():
    candidates, references = corpus(3)
    candidates[4] = []
    assert rouge_l(candidates, references)[4] == 0
    assert cider_d(candidates, references)[4] == 0
    others = [i for i in range(len(candidates)) if i != 4]
    full = rouge_l([candidates[i] for i in others], [references[i] for i in others])
    torch.testing.assert_close(rouge_l(candidates, references)[others], full)


SENTENCES = st.lists(st.sampled_from("abcd"), min_size=1, max_size=7)


@given(first=SENTENCES, second=SENTENCES)
def test_rouge_l_measures_the_longest_common_subsequence(first, second):
    shared = max(
        n for n in range(len(first) + 1) if {*combinations(first, n)} & {*combinations(second, n)}
    )
    p, r = shared / len(first), shared / len(second)
    expected = (1 + 1.44) * p * r / (r + 1.44 * p) if shared else 0
    assert float(rouge_l([first], [[second]])) == pytest.approx(expected)


@given(answers=st.lists(st.sampled_from("xyz"), min_size=10, max_size=10))
def test_vqa_accuracy_is_the_mean_over_all_subsets_of_nine(answers):
    nines = list(combinations(answers, 9))
    expected = sum(min(nine.count("x") / 3, 1) for nine in nines) / len(nines)
    assert float(vqa_accuracy(["x"], [answers])) == pytest.approx(expected)


@pytest.mark.parametrize(("people", "expected"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1)])
def test_vqa_accuracy_of_so_many_people(people, expected):
    # 30, 60, 90, 100 per cent: the figures everybody knows from the leaderboards
    answers = ["2"] * people + ["3"] * (10 - people)
    assert float(vqa_accuracy(["2"], [answers])) == pytest.approx(expected)


def test_vqa_accuracy_normalises_both_sides_where_people_differ():
    answers = [["The two dogs."] * 2 + ["2 dogs"] + ["cats"] * 7]
    assert float(vqa_accuracy(["two  Dogs"], answers)) == pytest.approx(0.9)


@pytest.mark.parametrize(("said", "expected"), [("t-shirt", 1), (" t-shirt\n", 1), ("t shirt", 0)])
def test_vqa_accuracy_is_by_the_letter_where_all_people_agree(said, expected):
    assert float(vqa_accuracy([said], [["t-shirt"] * 9 + ["t-shirt "]])) == expected
    differ = ["t-shirt"] * 9 + ["t shirt"]
    assert float(vqa_accuracy([said], [differ])) == 1


@pytest.mark.parametrize(
    ("said", "compared"),
    [
        ("YES", "yes"),
        ("the red ball", "red ball"),
        ("Two", "2"),
        ("none", "0"),
        ("ten.", "10"),
        ("3.5", "3.5"),
        ("100,978", "100978"),  # the example of the official page
        ("dont know", "don't know"),
        ("couldnt've", "couldn't've"),
        ("it's 10:30", "it's 10:30"),
        ("red, blue", "red blue"),
        ("black/white", "black white"),
        ("red ,blue,green", "red bluegreen"),  # a quirk of the official code
        ("t-shirt", "t shirt"),
        ("somebody'd", "somebodyd"),  # a slip of the official table
        ("a\tcat\n", "cat"),
        ("she'll", "she'll"),
        ("shell", "shell"),
        ("", ""),
    ],
)
def test_an_answer_is_normalised_as_the_official_page_says(said, compared):
    assert normalise_answer(said) == compared


def official_normal_form(answer: str) -> str:
    """The official page's steps, written anew, letter by letter and without regular expressions."""
    text = answer.replace("\t", " ").replace("\n", " ").strip()
    pairs = set(pairwise(text))
    threes = zip(text, text[1:], text[2:], strict=False)
    thousands = any(a.isdigit() and b == "," and c.isdigit() for a, b, c in threes)
    letters = ""
    for letter in text:
        if letter not in ';/[]"{}()=+\\_-><@`,?!':
            letters += letter
        elif not (thousands or (letter, " ") in pairs or (" ", letter) in pairs):
            letters += " "
    kept = [a for a, b in zip(letters, letters[1:] + " ", strict=True) if a != "." or b.isdigit()]
    digits = {"none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "ten": "10"}
    mended = {"dont": "don't", "couldnt've": "couldn't've", "whats": "what's"}
    words = [digits.get(word, word) for word in "".join(kept).lower().split()]
    return " ".join(mended.get(word, word) for word in words if word not in ("a", "an", "the"))


PIECES = "a an The two none TEN dont couldnt've its it's 3.5 1,000 U.S. t-shirt (big) [x] .5 5. Yes"
SPOKEN = st.lists(
    st.tuples(
        st.sampled_from(PIECES.split()),
        st.sampled_from(["", "", ".", ",", "?", "!", ";", "/", ")", '"']),
        st.sampled_from([" ", " ", "  ", ",", "/", "-", "\n"]),
    ), min_size=1, max_size=4,
).map(lambda parts: "".join(map("".join, parts)))  # fmt: skip


@given(answer=SPOKEN)
def test_answers_are_normalised_as_by_the_official_steps(answer):
    assert normalise_answer(answer) == official_normal_form(answer)


@given(said=SPOKEN, people=st.lists(st.tuples(SPOKEN, st.booleans()), min_size=10, max_size=10))
def test_vqa_accuracy_is_the_official_scorers(said, people):
    """The scorer's loops: each person in turn is left out and the nine others are asked.

    Half of the people or so say the same as the machine, in other letters. (Where all give the very
    same answer the scorer compares letter by letter: a test of its own, above.)
    """
    answers = [said.upper() if same else other for other, same in people]
    if len({" ".join(answer.split()) for answer in answers}) == 1:
        answers[0] += " else"
    compared, truth = official_normal_form(said), list(map(official_normal_form, answers))
    accuracies = []
    for one in range(10):
        agree = [other for other in range(10) if other != one and truth[other] == compared]
        accuracies.append(min(1, len(agree) / 3))
    found = vqa_accuracy([said], [answers])
    assert float(found) == pytest.approx(sum(accuracies) / 10)


PLAIN = st.text(alphabet="abeht 1;/?!-", max_size=15)


@given(text=PLAIN)
def test_normalising_is_done_after_once_and_leaves_no_marks(text):
    once = normalise_answer(text)
    assert re.fullmatch(r"[abeht1]+( [abeht1]+)*|", once)
    assert not {"a", "the"} & set(once.split())
    assert normalise_answer(once) == once


@pytest.mark.parametrize("score", [bleu, rouge_l, cider_d])
def test_sentences_that_cannot_be_scored_are_refused(score):
    with pytest.raises(ValueError, match="there are 1 and 2 pictures"):
        score([["a"]], [[["a"]], [["b"]]])
    with pytest.raises(ValueError, match="there are 0 and 0 pictures"):
        score([], [])
    with pytest.raises(TypeError, match="'a dog' of picture 1 is one string: split it"):
        score([["a"], "a dog"], [[["a"]], [["a"]]])
    with pytest.raises(TypeError, match="'a dog' of picture 0 is one string"):
        score([["a"], ["a"]], [["a dog"], [["a"]]])
    with pytest.raises(ValueError, match="picture 1 has no reference"):
        score([["a"], ["a"]], [[["a"]], []])
    with pytest.raises(ValueError, match="picture 0 has no reference, or one without a word"):
        score([["a"], ["a"]], [[["a"], []], [["a"]]])


@pytest.mark.parametrize("score", [bleu, rouge_l, cider_d])
def test_what_can_be_read_once_only_scores_the_same(score):
    candidates, references = corpus(0)
    once = (iter(said) for said in candidates), (map(iter, truths) for truths in references)
    torch.testing.assert_close(score(*once), score(candidates, references))


@pytest.mark.parametrize("score", [bleu, rouge_l, cider_d])
def test_none_and_nan_among_sentences_and_words_are_refused(score):
    for bad in (None, 3.5):
        with pytest.raises(TypeError, match=f"{bad} of picture 1 is not a list of words"):
            score([["a"], bad], [[["a"]], [["a"]]])
        with pytest.raises(TypeError, match=f"{bad} of picture 1 is not a list of words"):
            score([["a"], ["a"]], [[["a"]], [bad]])
        with pytest.raises(TypeError, match=f"picture 0 has the word {bad}, which is not a string"):
            score([["a", bad], ["a"]], [[["a"]], [["a"]]])


@pytest.mark.parametrize("score", [bleu, cider_d])
def test_an_order_below_one_is_refused(score):
    with pytest.raises(ValueError, match="order is 0"):
        score([["a"]] * 2, [[["a"]]] * 2, order=0)


@pytest.mark.parametrize(("pictures", "sigma"), [(1, 6), (2, 0)])
def test_cider_d_refuses_one_picture_and_no_tolerance(pictures, sigma):
    with pytest.raises(ValueError, match=f"CIDEr-D got {pictures} pictures and sigma {sigma}"):
        cider_d([["a"]] * pictures, [[["a"]]] * pictures, sigma=sigma)


def test_answers_that_cannot_be_scored_are_refused():
    with pytest.raises(ValueError, match="there are 2 and 1 questions"):
        vqa_accuracy(["yes", "no"], [["yes"] * 10])
    with pytest.raises(TypeError, match="the answers 'yes' are one string"):
        vqa_accuracy(["yes"], ["yes"])
    with pytest.raises(TypeError, match="the answer None is not a string"):
        vqa_accuracy([None], [["yes"] * 10])
    with pytest.raises(ValueError, match="a question has 3 answers, it needs 4"):
        vqa_accuracy(["yes"], [["yes"] * 3])
