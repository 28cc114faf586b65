"""Short captions name what is there, and the recogniser's rule allows each of them."""

import re

from mmlib.runtime import make_generator
from mmlib.world import sampling
from mmlib.world.phones import pronounce
from mmlib.world.short_captions import CAPTION_RULE, content_words, short_captions


def test_captions_name_what_there_is_and_can_be_spoken():
    scenes = sampling.sample_scenes(40, generator=make_generator(0), slots=1)
    captions, content = short_captions(scenes), content_words(scenes)
    rule = re.compile(CAPTION_RULE.replace(" | ", "|"))
    for caption, words, objects in zip(captions, content, scenes.objects(), strict=True):
        assert words[:2] == (objects[0].colour, objects[0].category)
        assert set(words) <= set(caption.split())
        assert all(pronounce(word) for word in caption.split())
        assert rule.fullmatch(caption)
