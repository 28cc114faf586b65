"""Short captions of one object, "a red bird in the forest", and what each of them must name."""

from mmlib.world import words
from mmlib.world.scenes import CATEGORIES, COLOURS, SCENE_CLASSES, Scenes

CAPTION_RULE = "(a | an) ({}) ({}) ({})".format(  # in the Java Speech Grammar Format
    " | ".join(COLOURS),
    " | ".join(CATEGORIES),
    " | ".join(words.WHERE[name][0] for name in SCENE_CLASSES),
)


def short_captions(scenes: Scenes) -> list[str]:
    """Return a short caption of each scene's first object, "a red bird in the forest"."""
    found = []
    for index, (first, *_) in enumerate(scenes.objects()):
        where = words.WHERE[scenes.scene_class_name(index)][0]
        found.append(f"{words.with_article(f'{first.colour} {first.category}')} {where}")
    return found


def content_words(scenes: Scenes) -> list[tuple[str, str, str]]:
    """Return what each short caption must name: colour, category, scene class."""
    return [
        (first.colour, first.category, scenes.scene_class_name(index))
        for index, (first, *_) in enumerate(scenes.objects())
    ]
