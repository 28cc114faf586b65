"""Right and wrong answers to the homework on captions, as students would write them.

``RIGHT``: for each function, different ways that must pass. ``WRONG``: for each function, a word
that the hint must hold, which names the cause, and the answer that must fail.
"""

import heapq
import math
from collections import Counter
from fractions import Fraction

import numpy as np
import scipy.special


def filled(rows, pad):
    longest = max(len(row) for row in rows)
    return [list(row) + [pad] * (longest - len(row)) for row in rows]


def forcing_by_lists(captions, start, end, pad):
    return filled([[start, *c] for c in captions], pad), filled([[*c, end] for c in captions], pad)


def forcing_word_by_word(captions, start, end, pad):
    inputs = np.full((len(captions), 1 + max(map(len, captions))), pad)
    targets = inputs.copy()
    for i, caption in enumerate(captions):
        before = start
        for t, word in enumerate([*caption, end]):
            inputs[i, t], targets[i, t] = before, word
            before = word
    return np.array([inputs, targets])


def forcing_sliced(captions, start, end, pad):
    whole = np.array(filled([[start, *c, end] for c in captions], pad))
    return whole[:, :-1], whole[:, 1:]


def forcing_end_last(captions, start, end, pad):
    rows = filled(captions, pad)
    return [[start, *row] for row in rows], [[*row, end] for row in rows]


def forcing_copied(captions, start, end, pad):
    inputs, _ = forcing_by_lists(captions, start, end, pad)
    return inputs, inputs


def forcing_without_end(captions, start, end, pad):
    return filled([[start, *c[:-1]] for c in captions], pad), filled(captions, pad)


def forcing_front(captions, start, end, pad):
    longest = 1 + max(map(len, captions))
    rows = [[start, *c] for c in captions], [[*c, end] for c in captions]
    return [[[pad] * (longest - len(row)) + row for row in both] for both in rows]


def forcing_cut(captions, start, end, pad):
    least = 1 + min(map(len, captions))
    return [[row[:least] for row in rows] for rows in forcing_by_lists(captions, start, end, pad)]


def loss_in_loops(logits, targets, pad):
    total, count = 0.0, 0
    for row, words in zip(logits, targets, strict=True):
        for scores, word in zip(row, words, strict=True):
            if word != pad:
                total += math.log(sum(math.exp(s) for s in scores)) - scores[word]
                count += 1
    return total / count


def loss_by_picking(logits, targets, pad):
    batch, time = np.nonzero(targets != pad)
    rows = scipy.special.log_softmax(logits[batch, time], axis=1)
    return -np.mean(rows[np.arange(len(batch)), targets[batch, time]])


def loss_with(reduce, *, axis=2):
    def answer(logits, targets, pad):
        rows = -scipy.special.log_softmax(logits, axis=axis)
        i, t = np.indices(targets.shape)
        return reduce(rows[i, t, targets], (targets != pad).astype(float))

    return answer


def loss_masked_early(logits, targets, pad):
    mask = (targets != pad)[:, :, None]
    return loss_with(lambda x, m: x.sum() / m.sum())(np.where(mask, logits, 0), targets, pad)


def n_grams(words, n):
    return [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]


def bleu_in_loops(candidate, references, order):
    words = candidate.split()
    product = Fraction(1)
    for n in range(1, order + 1):
        grams = n_grams(words, n)
        matches = 0
        for gram in set(grams):
            most = max(n_grams(reference.split(), n).count(gram) for reference in references)
            matches += min(grams.count(gram), most)
        product *= Fraction(matches, len(grams))
    lengths = sorted(len(reference.split()) for reference in references)
    closest = min(lengths, key=lambda length: abs(length - len(words)))
    penalty = 1 if len(words) >= closest else math.exp(1 - closest / len(words))
    return penalty * float(product) ** (1 / order)


def bleu_by_counters(candidate, references, order):
    words, others = candidate.split(), [reference.split() for reference in references]
    score = 0.0
    for n in range(1, order + 1):
        limit = Counter()
        for other in others:
            limit |= Counter(n_grams(other, n))
        found = Counter(n_grams(words, n))
        if not found & limit:
            return 0.0
        score += math.log((found & limit).total() / found.total()) / order
    gaps = sorted((abs(len(other) - len(words)), len(other)) for other in others)
    return math.exp(score + min(0, 1 - gaps[0][1] / len(words)))


def bleu_with(*, match=None, length=None, join=None, penalty=None, split=str.split):
    """Return BLEU with one of its parts replaced."""

    def clip(grams, others):
        return sum(min(n, max(o[g] for o in others)) for g, n in Counter(grams).items())

    def answer(candidate, references, order):
        words, others = split(candidate), [split(reference) for reference in references]
        shares = []
        for n in range(1, order + 1):
            grams = n_grams(words, n)
            counts = [Counter(n_grams(other, n)) for other in others]
            shares.append((match or clip)(grams, counts) / len(grams))
        lengths = sorted(len(other) for other in others)
        r = (length or (lambda x, c: min(x, key=lambda i: abs(i - c))))(lengths, len(words))
        factor = (penalty or (lambda c, r: min(1, math.exp(1 - r / c))))(len(words), r)
        return factor * (join or (lambda p: math.prod(p) ** (1 / len(p))))(shares)

    return answer


def different_grams(grams, others):
    """The share of different n-grams, as a count that divided by their number gives it."""
    kinds = set(grams)
    return sum(any(gram in other for other in others) for gram in kinds) / len(kinds) * len(grams)


def logistic(x):
    return 1 / (1 + np.exp(-x))


def lstm_with(*, read=None, bias_counts=True, order="ifgo", new=None, cell_of=None, show=None):
    def answer(word, hidden, cell, weights, bias):
        z = weights @ np.concatenate((read or (lambda x, h: [x, h]))(word, hidden))
        z = dict(zip(order, np.split(z + bias * bias_counts, 4), strict=True))
        i, f, o = (logistic(z[gate]) for gate in "ifo")
        g = (new or np.tanh)(z["g"])
        after = (cell_of or (lambda i, f, g, c: f * c + i * g))(i, f, g, cell)
        return (show or (lambda o, c, old: o * np.tanh(c)))(o, after, cell), after

    return answer


lstm_by_split = lstm_with()


def lstm_one_by_one(word, hidden, cell, weights, bias):
    size = len(hidden)
    read = [*word, *hidden]
    z = [float(np.dot(row, read)) + b for row, b in zip(weights, bias, strict=True)]
    hidden_after, cell_after = [], []
    for k in range(size):
        i, f, g, o = z[k], z[size + k], z[2 * size + k], z[3 * size + k]
        c = cell[k] / (1 + math.exp(-f)) + math.tanh(g) / (1 + math.exp(-i))
        cell_after.append(c)
        hidden_after.append(math.tanh(c) / (1 + math.exp(-o)))
    return [hidden_after, cell_after]


def beam_by_sorting(scores, finished, log_probs, end):
    found = []
    for i, score in enumerate(scores):
        if finished[i]:
            found.append((score, i, end))
        else:
            found += [(score + p, i, word) for word, p in enumerate(log_probs[i])]
    found.sort(reverse=True)
    return [(i, word) for _, i, word in found[: len(scores)]]


def beam_by_heap(scores, finished, log_probs, end):
    table = log_probs + scores[:, None]
    for i in np.flatnonzero(finished):
        table[i] = -math.inf
        table[i, end] = scores[i]
    flat = heapq.nlargest(len(scores), range(table.size), key=table.ravel().__getitem__)
    return np.array([divmod(place, table.shape[1]) for place in flat])


def beam_of(table_of, *, divide=None):
    """Return the step that ranks another table of totals."""

    def answer(scores, finished, log_probs, end):
        table = table_of(scores.reshape(-1, 1), finished.reshape(-1, 1), log_probs, end)
        flat = np.argsort(table.ravel())[::-1][: len(scores)]
        return np.transpose(np.divmod(flat, divide(table) if divide else table.shape[1]))

    return answer


def held(finished, log_probs, end):
    """Finished sentences can only be continued by end, for nothing."""
    only_end = np.full(log_probs.shape, -np.inf)
    only_end[:, end] = 0
    return np.where(finished, only_end, log_probs)


def end_paid(scores, finished, log_probs, end):
    only_end = np.full(log_probs.shape, -np.inf)
    only_end[:, end] = log_probs[:, end]
    return scores + np.where(finished, only_end, log_probs)


def one_each(scores, finished, log_probs, end):
    best = (scores[:, None] + held(finished[:, None], log_probs, end)).argmax(axis=1)
    return list(enumerate(best))


def mean_of(words, log_probs, start):
    return log_probs[[start, *words[:-1]], words].mean()


def best_by_beam(log_probs, start, end, longest, width=200):
    live, done = [(0.0, [start])], []
    for _ in range(longest):
        scores = np.array([score for score, _ in live])
        table = scores[:, None] + log_probs[[words[-1] for _, words in live]]
        done += [[*words[1:], end] for _, words in live]
        table[:, end] = -np.inf
        flat = np.argsort(-table, axis=None)[:width]
        live = [(table.flat[k], [*live[k // len(log_probs)][1], k % len(log_probs)]) for k in flat]
    return max(done, key=lambda words: mean_of(words, log_probs, start))


def best_by_programming(log_probs, start, end, longest):
    """Of all beginnings of one length that end in the same word, keep the best."""
    best = {start: (0.0, [])}
    done = []
    for _ in range(longest):
        following = {}
        for last, (score, words) in best.items():
            done.append([*words, end])
            for word, p in enumerate((score + log_probs[last]).tolist()):
                if word != end and p > following.get(word, (-math.inf,))[0]:
                    following[word] = (p, last)
        best = {w: (p, [*best[last][1], w]) for w, (p, last) in following.items()}
    return max(done, key=lambda words: mean_of(words, log_probs, start))


def greedy(log_probs, start, end, longest):
    words = [start]
    while words[-1] != end and len(words) < longest:
        words.append(int(log_probs[words[-1]].argmax()))
    return words[1:] if words[-1] == end else [*words[1:], end]


def best_of_lengths(log_probs, start, end, longest):
    """Return the most likely sentence of each length."""
    score, paths, found = log_probs[start], {w: [w] for w in range(len(log_probs))}, []
    for _ in range(longest):
        found.append((score[end], paths[end]))
        total = np.where(np.arange(len(score)) == end, -np.inf, score)[:, None] + log_probs
        paths = {w: [*paths[total[:, w].argmax()], w] for w in range(len(score))}
        score = total.max(axis=0)
    return found


def largest_sum(log_probs, start, end, longest):
    return max(best_of_lengths(log_probs, start, end, longest))[1]


def without_the_end(log_probs, start, end, longest):
    found = best_of_lengths(log_probs, start, end, longest)
    return max(found, key=lambda pair: pair[0] / max(1, len(pair[1]) - 1))[1]


RIGHT = {
    "teacher_forcing": [forcing_by_lists, forcing_word_by_word],
    "caption_loss": [loss_in_loops, loss_by_picking],
    "bleu": [bleu_in_loops, bleu_by_counters],
    "lstm_step": [lstm_by_split, lstm_one_by_one],
    "beam_step": [beam_by_sorting, beam_by_heap],
    "likeliest_sentence": [best_by_beam, best_by_programming],
}
WRONG = {
    "teacher_forcing": [
        ("rows were sliced", forcing_sliced),
        ("padding stands before the end", forcing_end_last),
        ("only copy", forcing_copied),
        ("arrays are swapped", lambda *x: forcing_by_lists(*x)[::-1]),
        ("never learns to say end", forcing_without_end),
        ("filled up with end", lambda c, s, e, p: forcing_by_lists(c, s, e, e)),
        ("in front", forcing_front),
        ("cut to the shortest", forcing_cut),
        ("whole number", lambda *x: np.array(forcing_by_lists(*x), float)),
    ],
    "caption_loss": [
        ("praised for saying pad", loss_with(lambda x, m: x.mean())),
        ("places are still counted", loss_with(lambda x, m: (x * m).mean())),
        (
            "averaged first",
            loss_with(lambda x, m: np.mean(np.sum(x * m, axis=1) / np.sum(m, axis=1))),
        ),
        ("number of captions", loss_with(lambda x, m: (x * m).sum() / len(x))),
        ("sum over the words", loss_with(lambda x, m: (x * m).sum())),
        ("runs over time", loss_with(lambda x, m: (x * m).sum() / m.sum(), axis=1)),
        ("no mask", loss_masked_early),
        (
            "logarithm is missing",
            loss_with(lambda x, m: 1 - (np.exp(-x) * m).sum() / m.sum()),
        ),
        ("sign", lambda *x: -loss_in_loops(*x)),
    ],
    "bleu": [
        ("not clipped", bleu_with(match=lambda g, o: sum(any(c[x] for c in o) for x in g))),
        (
            "added up",
            bleu_with(match=lambda g, o: (Counter(g) & sum(o, Counter())).total()),
        ),
        ("first reference", bleu_with(match=lambda g, o: (Counter(g) & o[0]).total())),
        ("as in a set", bleu_with(match=different_grams)),
        ("penalty is missing", bleu_with(penalty=lambda c, r: 1)),
        ("longest reference", bleu_with(length=lambda x, c: x[-1])),
        ("shortest reference", bleu_with(length=lambda x, c: x[0])),
        ("mean length", bleu_with(length=lambda x, c: sum(x) / len(x))),
        ("too long", bleu_with(penalty=lambda c, r: math.exp(1 - c / r) if c > r else 1)),
        ("bonus", bleu_with(penalty=lambda c, r: math.exp(1 - r / c))),
        ("averaged as a sum", bleu_with(join=lambda p: sum(p) / len(p))),
        ("root is missing", bleu_with(join=math.prod)),
        ("Only the longest n-grams", bleu_with(join=lambda p: p[-1])),
        ("letter by letter", bleu_with(split=list)),
        ("up to a constant", lambda *x: 100 * bleu_by_counters(*x)),
    ],
    "lstm_step": [
        ("Admit and forget", lstm_with(order="figo")),
        ("last two quarters", lstm_with(order="ifog")),
        ("Word and hidden", lstm_with(read=lambda x, h: [h, x])),
        ("bias is missing", lstm_with(bias_counts=False)),
        ("as gates do", lstm_with(new=logistic)),
        ("no tanh", lstm_with(new=lambda z: z)),
        ("Nothing is forgotten", lstm_with(cell_of=lambda i, f, g, c: c + i * g)),
        ("All of the candidate", lstm_with(cell_of=lambda i, f, g, c: f * c + g)),
        ("GRU", lstm_with(cell_of=lambda i, f, g, c: c + i * (g - c))),
        ("as it is", lstm_with(show=lambda o, c, old: o * c)),
        ("old cell", lstm_with(show=lambda o, c, old: o * np.tanh(old))),
        ("results are swapped", lambda *x: lstm_by_split(*x)[::-1]),
        ("shape", lambda *x: lstm_by_split(*x)[0]),
    ],
    "beam_step": [
        ("sentences go on", beam_of(lambda s, f, p, e: s + p)),
        ("sentences are gone", beam_of(lambda s, f, p, e: s + np.where(f == 1, -np.inf, p))),
        ("pay for end", beam_of(end_paid)),
        ("scores so far", beam_of(lambda s, f, p, e: held(f, p, e))),
        ("were multiplied", beam_of(lambda s, f, p, e: -s * held(f, p, e))),
        ("one continuation", one_each),
        ("worst comes first", lambda *x: beam_by_sorting(*x)[::-1]),
        ("columns are swapped", lambda *x: [pair[::-1] for pair in beam_by_sorting(*x)]),
        ("beam's width", beam_of(lambda s, f, p, e: s + held(f, p, e), divide=len)),
        ("whole number", lambda *x: np.array(beam_by_sorting(*x), float)),
    ],
    "likeliest_sentence": [
        ("greedy search", greedy),
        ("largest sum", largest_sum),
        ("count it", without_the_end),
        ("as long as allowed", lambda *x: best_of_lengths(*x)[-1][1]),
        ("dropped too early", lambda *x: best_by_beam(*x, width=3)),
        ("leave it out", lambda p, s, e, n: [s, *best_by_programming(p, s, e, n)]),
        ("does not end", lambda *x: best_by_programming(*x)[:-1]),
        ("goes on after end", lambda p, s, e, n: [*greedy(p, s, e, n), e]),
        ("are allowed", lambda p, s, e, n: best_of_lengths(p, s, e, n + 2)[-1][1]),
        ("no word", lambda p, s, e, n: [len(p), e]),
        ("not made of numbers", lambda *x: "a red bird"),
    ],
}
