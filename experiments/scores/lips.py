"""Lips from speech: the time-delayed LSTM with several delays, against linear regression.

All learn from the same clips of 120 speakers and are measured on 60 clips of 20 others. The error
is the landmarks' mean distance in percent of the mouth's width; *opening* the correlation between
true and predicted opening of the lips; *in step* the share of clips for which a synchrony network,
which looks at blended frames, finds the offset within one frame of 0.
"""

import torch
from torch import Tensor

from mmlib.data.batches import Batches
from mmlib.data.standardise import Standardise
from mmlib.metrics import pearson
from mmlib.runtime import make_generator
from mmlib.training import fit, warm_then_cool
from mmlib.vision_audio import lips
from mmlib.world import faces

TITLE = "Lips from speech: landmark error, and whether sound and lips are in step"
DELAYS = (0, 5, 10, 20, 30)  # steps of 10 ms
SYSTEMS = (
    "mean mouth",
    "ridge regression, one moment",
    "ridge regression, 600 ms",
    "LSTM, 100 ms, another's sound",
    *(f"LSTM, {10 * delay} ms" for delay in DELAYS),
    "LSTM, 100 ms, correlation loss",
    "true outlines, blended",
)
SPEAKERS, EACH, STEPS = 120, 3, 300  # as in the chapter
PENALTIES = (1e2, 1e3, 1e4)


def run(seed: int) -> dict[str, float]:
    """Return error, opening and in step by "system: measure"."""
    training = lips.make_clips(SPEAKERS, each=EACH, generator=make_generator(7000 + seed))
    test = lips.make_clips(20, each=3, generator=make_generator(8000 + seed))
    heard, test_heard = lips.features(training.waves), lips.features(test.waves)
    pca = lips.MouthPCA.over(training.outlines)
    components, over = pca.encode(training.outlines), Standardise.over(heard.mT)
    found = {"mean mouth": torch.zeros(60, lips.FRAMES, lips.COMPONENTS)}
    inputs, test_inputs = over(heard.mT).mT, over(test_heard.mT).mT
    for name, reach in (("one moment", 0), ("600 ms", 30)):
        found[f"ridge regression, {name}"] = tuned_ridge(inputs, components, test_inputs, reach)

    def train(delay: int, loss=lips.shape_loss) -> torch.nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = lips.TimeDelayedLSTM(over, delay=delay)
        lips.train_lips(
            model, heard, components, generator=make_generator(seed), steps=STEPS, loss=loss,
            progress=False,
        )  # fmt: skip
        return model

    with_delay = {delay: train(delay) for delay in DELAYS}
    guided = train(10, lips.guided_loss(pca, judge(heard, training, seed), weight=0.1))
    with torch.no_grad():
        for delay, model in with_delay.items():
            found[f"LSTM, {10 * delay} ms"] = model(test_heard)
        found["LSTM, 100 ms, another's sound"] = with_delay[10](test_heard.roll(EACH, dims=0))
        found["LSTM, 100 ms, correlation loss"] = guided(test_heard)
    found["true outlines, blended"] = pca.encode(test.outlines)
    net = synchrony_network(heard, training, seed)
    scores = {}
    for name, predicted in found.items():
        for measure, value in measures(pca.decode(predicted), test, test_heard, net).items():
            scores[f"{name}: {measure}"] = value
    return scores


def tuned_ridge(heard: Tensor, components: Tensor, test: Tensor, reach: int) -> Tensor:
    """Return the baseline's components, its penalty chosen on the last fifth of the speakers."""
    kept = 4 * len(heard) // 5
    errors = {}
    for penalty in PENALTIES:
        model = lips.ridge(heard[:kept], components[:kept], reach=reach, penalty=penalty)
        away = lips.predict_ridge(model, heard[kept:], reach=reach) - components[kept:]
        errors[penalty] = float(away.square().mean())
    best = min(errors, key=errors.get)
    model = lips.ridge(heard, components, reach=reach, penalty=best)
    return lips.predict_ridge(model, test, reach=reach)


def judge(heard: Tensor, training: lips.Clips, seed: int) -> lips.Correlation:
    """Train the encoders of the correlation loss, with false pairs, and fix them."""
    outlines = training.outlines
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = lips.Correlation(
            Standardise.over(lips.changes(heard)), Standardise.over(outlines.diff(dim=1).mT)
        )
    order = make_generator(seed)
    data = Batches((heard, outlines), batch_size=30, generator=order)
    fit(
        model, data, lips.match_loss, generator=order, steps=150, learning_rate=2e-3,
        schedule=warm_then_cool, progress=False,
    )  # fmt: skip
    return model.requires_grad_(False)


def synchrony_network(heard: Tensor, training: lips.Clips, seed: int) -> lips.SyncNet:
    """Train the synchrony network on true mouths."""
    order = make_generator(100 + seed)
    mouths = lips.mouth_videos(training, generator=order)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = lips.SyncNet(Standardise.over(heard.mT))
    lips.train_syncnet(net, heard, mouths, generator=order, progress=False)
    return net


def measures(outlines: Tensor, test: lips.Clips, heard: Tensor, net: lips.SyncNet) -> dict:
    """Return the three measures of predicted outlines (clips, frames, 40)."""
    videos = []
    for number, face in enumerate(test.faces):
        first = number - number % EACH
        others = [n for n in range(first, first + EACH) if n != number]
        tracks = test.tracks[others].flatten(0, 1)
        pictures = faces.mouth_frames(face, tracks)
        blended = lips.blend_frames(outlines[number], faces.mouth_outline(tracks), pictures)
        videos.append(blended.mean(dim=1))
    distances = lips.offset_distances(net, heard, torch.stack(videos))
    offset = distances.argmin(dim=1) - distances.shape[1] // 2
    true = test.outlines
    return {
        "error": float(lips.landmark_error(outlines, true).mean()),
        "opening": float(pearson(*(lips.opening(x).flatten() for x in (outlines, true)))),
        "in step": float((offset.abs() <= 1).double().mean()),
    }
