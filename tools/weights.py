"""Train what ships with mmlib: make weights, or python tools/weights.py image audio attention film

Writes, in half precision, to the folder weights of the part of mmlib that uses them: the encoders;
the captioner, the models for questions, the GAN, the detector and the drivers, trained for longer
than on their page; the models for rooms; SoundNet's teachers; the classifier that scores the GAN;
the two networks of faces. For the encoders and the teachers report.json says what was measured on
new scenes, and the files' SHA-256.
An encoder's run that was broken off goes on where it was. The same seeds on the same machine give
the same weights; elsewhere they come out as good, not equal.
"""

import argparse
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save
from sklearn.metrics import average_precision_score
from torch import Tensor, nn

from mmlib.data.batches import Batches
from mmlib.data.captions import CaptionBatches, caption_vocabulary, encode_captions
from mmlib.data.standardise import Standardise
from mmlib.data.visual_questions import question_vocabulary
from mmlib.files import written_whole
from mmlib.foundations import pretraining
from mmlib.metrics import recall_at, retrieval_ranks
from mmlib.runtime import make_generator
from mmlib.training import fit, predict, warm_then_cool
from mmlib.vision_3d import detection, driving, mesh, segmentation
from mmlib.vision_audio import image_to_speech, separation, soundnet, speech2face
from mmlib.vision_text import attention, text_to_image, vqa
from mmlib.world import (
    close_ups,
    faces,
    pictures,
    rooms,
    sampling,
    sounds,
    street_maps,
    voices,
    words,
)
from mmlib.world.labels import sound_labels, word_labels
from mmlib.world.scenes import Scenes
from mmlib.world.shape_views import make_shape_views
from mmlib.world.short_captions import short_captions
from mmlib.world.street_views import front_camera

ROOT = Path(__file__).resolve().parent.parent
UNFINISHED = ROOT / "_build" / "weights"
CHUNK = 16  # batches whose scenes are made at a time
SECONDS = 1.0  # of sound in a clip


# Questions for the longer training: half of them about relations, which are hard to learn.
VQA_TYPES = ("existence", "colour", "count", "comparison", "time", *["relation"] * 8)
SPOKEN = 1600  # clips for the separators
PORTRAITS = 16  # pictures of each person that the face recogniser learns to name
RESTYLED = 0.7  # of them have other hair or glasses than the person has now
TOLD, UNIT_STEPS = 1600, (250, 800, 500)  # pictures; steps to units, to captions, to speech
CAPTIONED, CAPTION_STEPS = 12_000, 1600  # scenes, five captions each; batches of 32
# pictures; steps of either network, in batches of 32: with more the noise loses its effect
DRAWN, GAN_STEPS = 8000, 1000
VQA_SCENES, VQA_STEPS = 40_000, {"attention": 3000, "film": 5000}


@dataclass(frozen=True)
class Recipe:
    """How one of the two is trained."""

    make: Callable[[], nn.Module]
    render: Callable[[Scenes, torch.Generator], Tensor]  # scenes → pictures or waves
    label: Callable[[Scenes], Tensor]
    steps: int
    batch_size: int
    slots: int  # most objects in a scene
    rate: float  # the highest learning rate


def draw(scenes: Scenes, generator: torch.Generator) -> Tensor:
    return pictures.draw(scenes, generator=generator)


def render(scenes: Scenes, generator: torch.Generator) -> Tensor:
    return sounds.render(scenes, seconds=SECONDS, generator=generator)


RECIPES = {
    "image": Recipe(pretraining.ImageClassifier, draw, word_labels, 3000, 64, 4, 4e-3),
    "audio": Recipe(pretraining.AudioClassifier, render, sound_labels, 1200, 32, 3, 3e-3),
}


@dataclass
class Scenery:
    """Batches of scenes that are never seen twice, without the colour–category pairs held out."""

    recipe: Recipe
    generator: torch.Generator

    def __len__(self) -> int:
        return CHUNK

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        count = CHUNK * self.recipe.batch_size
        yield from Batches(
            example(self.recipe, count, "train", self.generator), batch_size=self.recipe.batch_size
        )


def example(
    recipe: Recipe, count: int, split: str, generator: torch.Generator
) -> tuple[Tensor, ...]:
    """Return what ``pretraining_loss`` takes, for new scenes."""
    scenes = sampling.sample_scenes(count, generator=generator, slots=recipe.slots, split=split)
    inputs = recipe.render(scenes, generator)
    return inputs, recipe.label(scenes), scenes.scene_class, scenes.night.float()


def train(name: str) -> nn.Module:
    """Train one of the two and return it."""
    recipe = RECIPES[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = recipe.make()
    fit(
        model,
        Scenery(recipe, make_generator(1)),
        pretraining.pretraining_loss,
        generator=make_generator(2),
        steps=recipe.steps,
        optimizer=torch.optim.AdamW(model.parameters(), lr=recipe.rate, weight_decay=1e-3),
        schedule=warm_then_cool,
        checkpoint=UNFINISHED / name,
    )
    return model


def measure(name: str, model: nn.Module, *, count: int = 1000) -> dict[str, float]:
    """Measure a model on new scenes of the training split: precision and accuracies."""
    recipe = RECIPES[name]
    inputs, labels, scene_class, night = example(recipe, count, "train", make_generator(3))
    columns = predict(model, Batches(inputs, batch_size=100), _all_logits)
    words, around, dark = columns.split([labels.shape[1], 5, 1], dim=1)
    return {
        "mean average precision": float(average_precision_score(labels, words, average="macro")),
        "all words right": float(((words > 0) == (labels > 0)).all(dim=1).double().mean()),
        "scene class": float((around.argmax(dim=1) == scene_class).double().mean()),
        "night": float(((dark[:, 0] > 0) == (night > 0)).double().mean()),
    }


def _all_logits(model: nn.Module, batch: Tensor) -> Tensor:
    found = model(batch)
    words = found.words if hasattr(found, "words") else found.categories
    return torch.cat([words, found.scene_class, found.night[:, None]], dim=1)


def ship(name: str) -> None:
    """Train one of the two, write it and what it reaches, measured as it is shipped."""
    model = train(name)
    data = write_weights(pretraining.WEIGHTS / f"{name}_encoder.safetensors", model)
    shipped = getattr(pretraining, f"load_{name}_classifier")()
    recipe = RECIPES[name]
    examples = recipe.steps * recipe.batch_size
    write_report(pretraining.WEIGHTS, name, data, examples, measure(name, shipped))
    shutil.rmtree(UNFINISHED / name)


def write_weights(path: Path, model: nn.Module, **facts: str) -> bytes:
    """Write a model's weights in half precision, and facts of it; return what the file holds."""
    weights = {
        key: (value.half() if value.is_floating_point() else value).contiguous()
        for key, value in model.state_dict().items()
    }
    data = save(weights, metadata=facts or None)
    path.parent.mkdir(exist_ok=True)
    with written_whole(path) as unfinished:
        Path(unfinished).write_bytes(data)
    return data


def minutes_since(start: float) -> str:
    """Return the minutes of processor time since ``time.process_time()`` was ``start``."""
    return f"{(time.process_time() - start) / 60:.1f}"


def write_report(
    folder: Path, name: str, data: bytes, examples: int, scores: dict[str, float]
) -> None:
    """Note in the folder's report what a file of weights is and what it reaches."""
    path = folder / "report.json"
    report = json.loads(path.read_text()) if path.is_file() else {}
    report[name] = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "examples": examples,
        "scores": {key: round(value, 4) for key, value in scores.items()},
    }
    with written_whole(path) as unfinished:
        Path(unfinished).write_text(json.dumps(report, indent=2, sort_keys=True) + "\n")
    print(name, report[name]["scores"])


def ship_vqa(name: str) -> None:
    """Train one of ``vqa.SHIPPED`` as its page shows, for longer, and write its weights."""
    encoder = vqa.GridEncoder(pretraining.load_image_classifier())
    data = vqa.make_vqa_data(
        VQA_SCENES, encoder, generator=make_generator(13), types=VQA_TYPES, objects=(2, 3)
    )
    vocabulary = question_vocabulary(q.text for asked in data.questions for q in asked)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        over = Standardise.over(data.grids[:4000])
        model = vqa.SHIPPED[name](len(vocabulary), over)
    batch = (data.grids, *vqa.encode_data(data, vocabulary))
    start = time.process_time()
    fit(
        model,
        Batches(batch, batch_size=16, generator=make_generator(1)),
        vqa.vqa_loss,
        generator=make_generator(2),
        steps=VQA_STEPS[name],
        learning_rate=1.5e-3,
        schedule=warm_then_cool,
    )
    facts = {"words": " ".join(vocabulary.words), "scenes": str(VQA_SCENES)}
    path = vqa.WEIGHTS / f"vqa_{name}.safetensors"
    write_weights(path, model, minutes=minutes_since(start), **facts)


TEACHERS = {"object": 350, "scene": 60}  # SoundNet's, and the steps that each is trained for


def teacher_examples(count: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
    """Return pictures of one object each and their labels: only what SoundNet's teachers know."""
    scenes = sampling.sample_scenes(5 * count, generator=generator, slots=1)
    known = scenes.category[:, 0] < len(soundnet.KNOWN_CATEGORIES)
    known &= scenes.scene_class < len(soundnet.KNOWN_SCENES)
    scenes = scenes[known.nonzero()[:count, 0]]
    labels = {"object": scenes.category[:, 0], "scene": scenes.scene_class}
    return pictures.draw(scenes, generator=generator), labels


def ship_teachers() -> None:
    """Train SoundNet's two teachers, each on its own labels of the same pictures; write them."""
    drawn, labels = teacher_examples(4000, make_generator(11))
    fresh, truth = teacher_examples(1000, make_generator(12))
    classes = {"object": soundnet.KNOWN_CATEGORIES, "scene": soundnet.KNOWN_SCENES}
    for name, steps in TEACHERS.items():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = soundnet.new_teacher(len(classes[name]))
        batches = Batches((drawn, labels[name]), batch_size=64, generator=make_generator(13))
        fit(
            model,
            batches,
            pretraining.classify_loss,
            generator=make_generator(14),
            steps=steps,
            learning_rate=3e-3,
            schedule=warm_then_cool,
        )
        data = write_weights(soundnet.WEIGHTS / f"{name}_teacher.safetensors", model)
        shipped = soundnet.load_teacher(name)
        answers = predict(shipped, Batches(fresh, batch_size=100), lambda m, b: m(b).argmax(dim=1))
        accuracy = float((answers == truth[name]).double().mean())
        write_report(soundnet.WEIGHTS, name, data, steps * 64, {"accuracy": accuracy})


def ship_captioner() -> None:
    """Train the decoder with soft attention as its page shows, for longer; write its weights."""
    generator = make_generator(13)
    scenes = sampling.sample_scenes(CAPTIONED, generator=generator, slots=3, split="train")
    grids = pretraining.encode(pretraining.load_image_encoder(), draw(scenes, generator))
    options = {"forms": ("inventory",), "left_to_right": True, "generator": generator}
    texts = [text.split() for some in words.captions(scenes, **options) for text in some]
    vocabulary = caption_vocabulary(texts)
    owner = torch.arange(CAPTIONED).repeat_interleave(5)
    batches = CaptionBatches(
        grids, encode_captions(texts, vocabulary), owner, batch_size=32, pool=20,
        generator=make_generator(1),
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = attention.AttentionDecoder(attention.AttentionConfig(len(vocabulary)))
    start = time.process_time()
    fit(
        model,
        batches,
        attention.attention_loss,
        generator=make_generator(2),
        steps=CAPTION_STEPS,
        learning_rate=6e-3,
        schedule=lambda done: min(1, 20 * done + 0.05) * (1 - done),
    )
    write_weights(
        attention.WEIGHTS, model, words=" ".join(vocabulary.words), minutes=minutes_since(start)
    )


def ship_attribute_classifier() -> None:
    """Train the classifier that scores generated pictures, on all pairs; write its weights."""
    training, fresh = (
        close_ups.make_close_ups(count, generator=make_generator(seed), split="all")
        for count, seed in ((6000, 21), (1000, 22))
    )
    truth, asked = (close_ups.attributes(data.scenes) for data in (training, fresh))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = text_to_image.AttributeClassifier()
    fit(
        model,
        Batches((training.pictures, truth), batch_size=64, generator=make_generator(23)),
        text_to_image.attribute_loss,
        generator=make_generator(24),
        steps=400,
        learning_rate=3e-3,
        schedule=warm_then_cool,
    )
    write_weights(text_to_image.WEIGHTS / "text_to_image_classifier.safetensors", model)
    shipped = text_to_image.load_classifier()
    hits = text_to_image.attribute_hits(shipped, fresh.pictures, asked).double().mean(dim=0)
    print("attribute classifier", dict(zip(close_ups.ATTRIBUTES, hits.tolist(), strict=True)))


def ship_gan() -> None:
    """Train the sentence encoder and GAN-CLS as their page shows, for longer; write both."""
    start, order = time.process_time(), make_generator(13)
    data = close_ups.make_close_ups(DRAWN, generator=order)
    vocabulary, sentences = text_to_image.encode_sentences(data)
    features = pretraining.extract_features(pretraining.load_image_encoder(), data.pictures)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = text_to_image.fit_encoder(
            features, sentences, data.scenes, len(vocabulary), generator=order
        )
        gan = text_to_image.TextGan()
    text_to_image.fit_gan(
        gan,
        data.pictures,
        text_to_image.embed(encoder, sentences),
        generator=order,
        steps=GAN_STEPS,
    )
    model = nn.ModuleDict({"encoder": encoder, "gan": gan})
    write_weights(
        text_to_image.WEIGHTS / "text_to_image_gan.safetensors",
        model,
        words=" ".join(vocabulary.words),
        minutes=minutes_since(start),
        steps=str(GAN_STEPS),
    )


def ship_separators() -> None:
    """Train the two separators as their page shows, for longer, and write their weights."""
    clips = separation.make_clips(SPOKEN, generator=make_generator(15))
    for name in ("faces", "audio_only"):
        start = time.process_time()
        with_faces = name == "faces"
        model, _ = separation.train(
            clips, seed=0, with_faces=with_faces, steps=separation.LONG_STEPS
        )
        write_weights(
            separation.WEIGHTS / f"separation_{name}.safetensors",
            model,
            minutes=minutes_since(start),
        )


def ship_detector() -> None:
    """Train the detector as its page shows, on more streets and for longer; write its weights."""
    start = time.process_time()
    count = detection.LONG_SCENES
    drives = detection.make_drives(count, generator=make_generator(16))
    model, _ = detection.train(drives, seed=0, epochs=detection.LONG_EPOCHS)
    write_weights(detection.WEIGHTS, model, minutes=minutes_since(start), scenes=str(count))


def ship_drivers() -> None:
    """Train camera and lidar joined, with and without sensor dropout; write both."""
    camera = front_camera()
    train = street_maps.samples(driving.STREETS, camera, generator=make_generator(16))
    for name, share in driving.SHIPPED.items():
        start = time.process_time()
        model, _ = driving.train(train, camera, seed=0, epochs=driving.EPOCHS, drop=share)
        path = driving.WEIGHTS / f"driving_{name}.safetensors"
        write_weights(path, model, minutes=minutes_since(start))


def ship_face_networks() -> None:
    """Train the face recogniser, then the decoder of its features; measure and write both."""
    order, start = make_generator(31), time.process_time()
    people = new_faces(speech2face.IDENTITIES, order)
    seen = []
    for _ in range(PORTRAITS):
        then = speech2face.restyle(people, generator=order, share=RESTYLED)
        seen.append(speech2face.photograph(then, generator=order))
    owner = torch.arange(len(people)).repeat(PORTRAITS)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        recogniser, decoder = speech2face.FaceRecogniser(), speech2face.FaceDecoder()
    pairs, options = (torch.cat(seen), owner), {"batch_size": 64, "learning_rate": 3e-3}
    speech2face.train(
        recogniser, pairs, speech2face.recognise_loss,
        generator=make_generator(32), steps=1000, **options,
    )  # fmt: skip
    recogniser.eval()
    known = recogniser(speech2face.photograph(people, generator=order)).argmax(dim=1)
    scores = {"people known": float((known == torch.arange(len(people))).double().mean())}
    others = new_faces(1000, order)
    scores |= measure_recogniser(recogniser, others, order)
    v = []
    for _ in range(2):
        pictures = speech2face.photograph(people + others, generator=order)
        v.append(speech2face.encode_faces(recogniser, pictures))
    canonical = faces.draw(people + others, size=speech2face.SIDE).repeat(2, 1, 1, 1)
    speech2face.train(
        decoder, (torch.cat(v), canonical), speech2face.decode_loss,
        generator=make_generator(33), steps=1200, batch_size=32,
    )  # fmt: skip
    print(f"networks of faces: {(time.process_time() - start) / 60:.1f} minutes, {scores}")
    both = nn.ModuleDict({"recogniser": recogniser, "decoder": decoder})
    write_weights(speech2face.WEIGHTS, both)


def new_faces(count: int, generator: torch.Generator) -> list[faces.Face]:
    """Return the faces of so many new speakers."""
    return [faces.face_of(who, generator) for who in voices.speakers(count, generator)]


def measure_recogniser(
    model: speech2face.FaceRecogniser, people: list[faces.Face], generator: torch.Generator
) -> dict[str, float]:
    """Return R@1 among 100 new people, now and restyled, and what is read of all the others."""
    few, rest = people[:100], people[100:]

    def features(of: list[faces.Face]) -> Tensor:
        return speech2face.encode_faces(model, speech2face.photograph(of, generator=generator))

    first, again = features(few), features(few)
    later = features(speech2face.restyle(few, generator=generator, share=1.0))
    reader = speech2face.ridge(features(rest), speech2face.attributes(rest))
    read = speech2face.attribute_correlations(reader(first), speech2face.attributes(few))
    ranks = {
        name: retrieval_ranks(speech2face.feature_similarity(first, found))
        for name, found in (("found", again), ("found with other hair", later))
    }
    return {name: recall_at(rank, 1).value for name, rank in ranks.items()} | read


def ship_image_to_speech() -> None:
    """Train the three models of image to speech as their page shows, for longer; write them."""
    start, order = time.process_time(), make_generator(13)
    scenes = sampling.sample_scenes(TOLD, generator=order, slots=1, split="train")
    grids = pretraining.encode(pretraining.load_image_encoder(), draw(scenes, order))
    crowd = voices.speakers(300, order)
    spoken = image_to_speech.speak(short_captions(scenes), crowd, generator=order)
    features = pretraining.pooled(grids)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        system = image_to_speech.new_system(image_to_speech.standardise_speech(spoken))
        grounded = image_to_speech.Grounded(system.encoder, Standardise.over(features))
    for_units, for_captions, for_speech = UNIT_STEPS
    image_to_speech.train_units(
        grounded, spoken, features, generator=order, steps=for_units, progress=False
    )
    units = image_to_speech.extract_units(system.encoder, spoken)
    runs = [image_to_speech.collapse(row)[0] for row in units]
    image_to_speech.train_unit_captioner(
        system.captioner, grids, runs, generator=order, steps=for_captions, progress=False
    )
    told = short_captions(scenes[:400])
    own = image_to_speech.speak(told, image_to_speech.VOICES, generator=order)
    image_to_speech.train_speech(
        system.speech,
        [
            image_to_speech.collapse(row)
            for row in image_to_speech.extract_units(system.encoder, own)
        ],
        own,
        generator=order,
        steps=for_speech,
        progress=False,
    )
    all_three = nn.ModuleDict(system._asdict())
    write_weights(image_to_speech.WEIGHTS, all_three, minutes=minutes_since(start))


def ship_meshes() -> None:
    """Train Mesh R-CNN and its sphere baseline as their page shows, for longer; write both."""
    views = make_shape_views(mesh.LONG_VIEWS, generator=make_generator(31))
    for name, sphere in (("cells", False), ("sphere", True)):
        start = time.process_time()
        model, _ = mesh.train(views, seed=0, sphere=sphere, plan=mesh.LONG)
        write_weights(
            mesh.WEIGHTS / f"mesh_{name}.safetensors", model, minutes=minutes_since(start)
        )


def ship_room_models() -> None:
    """Train the models that segment rooms and write their weights."""
    made = rooms.make_rooms(120, generator=make_generator(16), high=0.75)
    data = (made.points, torch.zeros(len(made.points), dtype=torch.long), made.labels)
    for name, make in segmentation.ROOM_MODELS.items():
        start = time.process_time()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = make()
        fit(
            model,
            Batches(data, batch_size=8, generator=make_generator(1)),
            segmentation.turned_loss,
            generator=make_generator(2),
            epochs=segmentation.ROOM_EPOCHS,
            learning_rate=3e-3,
            schedule=warm_then_cool,
        )
        write_weights(
            segmentation.WEIGHTS / f"rooms_{name}.safetensors", model, minutes=minutes_since(start)
        )


SHIP: dict[str, Callable[[], None]] = {
    **{name: partial(ship, name) for name in RECIPES},
    "soft_attention": ship_captioner,
    **{name: partial(ship_vqa, name) for name in vqa.SHIPPED},
    "teachers": ship_teachers,
    "attributes": ship_attribute_classifier,
    "gan": ship_gan,
    "separators": ship_separators,
    "image_to_speech": ship_image_to_speech,
    "detector": ship_detector,
    "drivers": ship_drivers,
    "face_networks": ship_face_networks,
    "meshes": ship_meshes,
    "rooms": ship_room_models,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=[], choices=[[], *SHIP], help="default: all")
    for name in parser.parse_args().names or SHIP:
        SHIP[name]()


if __name__ == "__main__":
    main()
