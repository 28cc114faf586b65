"""How many layers transfer: the first n of the image encoder copied, frozen or fine-tuned.

The experiment of Yosinski et al. (NIPS 2014) on the 16 held-out coloured categories, five labels
each: networks AnB (frozen) and AnB+ (fine-tuned); with n = 0 both are training from scratch.
"""

import torch

from experiments.scores.pretraining import TEST, train_classifier
from mmlib.foundations import pretraining
from mmlib.probe import few_shot_indices
from mmlib.runtime import make_generator
from mmlib.world.labels import held_out_objects

TITLE = "Transfer layer by layer: accuracy with five labels of each class"
COPIED = range(6)  # how many of the five layers
SYSTEMS = tuple(f"first {count} of 5 layers copied" for count in COPIED)


def run(seed: int) -> dict[str, float]:
    """Return accuracies by "layers copied: frozen or fine-tuned"."""
    generator = make_generator(1000 + seed)
    inputs, labels = held_out_objects(1200, generator=generator)
    new = held_out_objects(TEST, generator=generator)
    chosen = few_shot_indices(labels, 5)
    trained, scores = pretraining.load_image_encoder(), {}
    for count, system in zip(COPIED, SYSTEMS, strict=True):
        for name, freeze in (("frozen", True), ("fine-tuned", False)):
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                encoder = pretraining.copy_layers(trained, count, freeze=freeze)
            scores[f"{system}: {name}"] = train_classifier(
                encoder, (inputs[chosen], labels[chosen]), new, seed
            )
    return scores
