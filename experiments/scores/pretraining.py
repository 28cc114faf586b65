"""Few labels: what pretrained encoders are worth against training from scratch.

The image encoder must tell apart the 16 coloured categories that its own training never showed
(``held_out``), the audio encoder how many categories sound at once; both from a few labelled
examples of each class.
"""

import torch
from torch import Tensor, nn

from mmlib.data.batches import Batches
from mmlib.foundations import pretraining
from mmlib.foundations.pretraining import AudioEncoder, Classifier, ImageEncoder
from mmlib.probe import few_shot_indices, linear_probe
from mmlib.runtime import make_generator
from mmlib.training import evaluate, fit
from mmlib.world.labels import held_out_objects, sound_mixtures

TITLE = "Few labels: accuracy with 1, 5 and 20 labelled examples of each class"
WAYS = (
    "raw input",
    "untrained encoder, frozen",
    "pretrained encoder, frozen",
    "pretrained encoder, fine-tuned",
    "trained from scratch",
)
SYSTEMS = tuple(f"{modality}, {way}" for modality in ("images", "sounds") for way in WAYS)
LABELS = (1, 5, 20)  # labelled examples of each class
TEST = 800  # examples to measure on
STEPS = 100  # of fine-tuning and of training from scratch


def train_classifier(
    encoder: nn.Module, few: tuple[Tensor, Tensor], new: tuple[Tensor, Tensor], seed: int
) -> float:
    """Train an encoder with a new last layer end to end; return the accuracy on ``new``."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Classifier(encoder, int(few[1].max()) + 1)
    fit(
        model,
        Batches(few, batch_size=32, generator=make_generator(seed)),
        pretraining.classify_loss,
        generator=make_generator(seed),
        steps=STEPS,
        progress=False,
    )
    return evaluate(
        model, Batches(new, batch_size=100), lambda m, b: (m(b[0]).argmax(dim=1) == b[1]).double()
    )


def compare(modality: str, seed: int) -> dict[str, float]:
    """Return the accuracy of every way to learn from few labels, for one modality."""
    make, load, world = {
        "images": (ImageEncoder, pretraining.load_image_encoder, held_out_objects),
        "sounds": (AudioEncoder, pretraining.load_audio_encoder, sound_mixtures),
    }[modality]
    generator = make_generator(1000 + seed)
    inputs, labels = world(1200, generator=generator)
    test, truth = world(TEST, generator=generator)

    def random() -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return make()

    features = {
        WAYS[0]: [x.flatten(1)[:, ::4] for x in (inputs, test)],
        WAYS[1]: [pretraining.extract_features(random().eval(), x) for x in (inputs, test)],
        WAYS[2]: [pretraining.extract_features(load(), x) for x in (inputs, test)],
    }
    scores = {}
    for count in LABELS:
        chosen = few_shot_indices(labels, count)
        for way, (train, new) in features.items():
            found = torch.as_tensor(linear_probe(train[chosen], labels[chosen], new).labels)
            scores[f"{modality}, {way}: {count}"] = float((found == truth).double().mean())
        few = inputs[chosen], labels[chosen]
        for way, encoder in ((WAYS[3], load()), (WAYS[4], random())):
            scores[f"{modality}, {way}: {count}"] = train_classifier(
                encoder, few, (test, truth), seed
            )
    return scores


def run(seed: int) -> dict[str, float]:
    """Return accuracies by "modality, way: labels of each class"."""
    return compare("images", seed) | compare("sounds", seed)
