"""Train the book's image classifier on synthetic scenes, on whatever is there.

The script of the page *Scaling up*, which shows the commands that start it.
"""

import argparse

import torch
from accelerate import PartialState

from mmlib.data.batches import Batches
from mmlib.foundations.pretraining import ImageClassifier, pretraining_loss
from mmlib.runtime import make_generator
from mmlib.training import fit
from mmlib.world import pictures, sampling
from mmlib.world.labels import word_labels

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--scenes", type=int, default=4000)
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--checkpoint", help="a folder of this run's own")
parser.add_argument("--checkpoint-every", type=int, default=100, help="steps")
options = parser.parse_args()

# every process makes the same scenes and the same first weights: the seeds are the same
generator = make_generator(0)
scenes = sampling.sample_scenes(options.scenes, generator=generator, slots=4)
data = (
    pictures.draw(scenes, generator=generator),
    word_labels(scenes),
    scenes.scene_class,
    scenes.night.float(),
)
torch.manual_seed(0)
model = ImageClassifier()

history = fit(
    model,
    Batches(data, batch_size=options.batch_size, generator=generator),
    pretraining_loss,
    generator=make_generator(1),
    epochs=options.epochs,
    learning_rate=4e-3,
    checkpoint=options.checkpoint,
    checkpoint_every=options.checkpoint_every,
)

state = PartialState()  # what Accelerate knows of the processes
if state.is_main_process:
    print(f"{state.num_processes} processes, {history.steps} steps, {history.seconds:.0f} s")
    print(f"loss {history.losses[0]:.6f} -> {history.losses[-1]:.6f}")
state.destroy_process_group()
