"""Laws of pictures, masks and boxes."""

import pytest
import torch

from mmlib.runtime import make_generator
from mmlib.world.backdrops import lattice, noise
from mmlib.world.figures import FIGURES
from mmlib.world.pictures import PAINTS, boxes, cell_shares, draw, masks, outlines
from mmlib.world.sampling import sample_scenes
from mmlib.world.scenes import CATEGORIES, COLOURS, SCENE_CLASSES

BRIGHTNESS = torch.tensor([0.299, 0.587, 0.114])[:, None, None]


@pytest.fixture(scope="module")
def scenes():
    return sample_scenes(60, generator=make_generator(0))


def test_pictures_have_their_shape_and_range(scenes):
    pictures = draw(scenes, size=40, generator=make_generator(0))
    assert pictures.shape == (60, 3, 40, 40)
    assert pictures.dtype == torch.float32
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    assert pictures.flatten(1).std(dim=1).min() > 0.05


def test_same_seed_same_noise_and_no_generator_no_noise(scenes):
    one, same, other = (draw(scenes, generator=make_generator(seed)) for seed in (5, 5, 6))
    torch.testing.assert_close(one, same)
    assert not torch.equal(one, other)
    torch.testing.assert_close(draw(scenes), draw(scenes, noise=0, generator=make_generator(0)))
    spread = (one - draw(scenes))[(draw(scenes) - 0.5).abs() < 0.4].std()
    torch.testing.assert_close(spread, torch.tensor(0.02), rtol=0.05, atol=0)


def test_a_scene_looks_the_same_alone_and_in_a_batch(scenes):
    torch.testing.assert_close(draw(scenes)[7:9], draw(scenes[7:9]), atol=1e-4, rtol=0)


def test_a_large_picture_shrinks_to_the_small_one(scenes):
    shrunk = torch.nn.functional.avg_pool2d(draw(scenes[:20], size=256), 4)
    assert (shrunk - draw(scenes[:20], size=64)).abs().mean() < 0.03


def test_night_is_darker_than_day_in_every_scene_class(scenes):
    day = draw(scenes.replace(night=torch.zeros_like(scenes.night)))
    night = draw(scenes.replace(night=torch.ones_like(scenes.night)))
    assert ((BRIGHTNESS * (day - night)).sum(dim=1).mean(dim=(1, 2)) > 0.1).all()


def test_scene_classes_and_textures_look_different(scenes):
    empty = scenes[:1].replace(present=torch.zeros(1, 4, dtype=torch.bool))
    views = [
        draw(empty.replace(scene_class=torch.tensor([scene_class])))
        for scene_class in range(len(SCENE_CLASSES))
    ]
    for index, one in enumerate(views):
        assert all((one - other).abs().mean() > 0.02 for other in views[index + 1 :])
    other = draw(empty.replace(texture=empty.texture + 1))
    assert (draw(empty) - other).abs().mean() > 0.005


def masks_by_hand(scenes, size):
    """Decide for each pixel alone which object is nearest there."""
    seen = torch.zeros(len(scenes), scenes.slots, size, size, dtype=torch.bool)
    at = (torch.arange(size) + 0.5) / size
    for index, objects in enumerate(scenes.objects()):
        free = torch.ones(size, size, dtype=torch.bool)
        for obj in sorted(objects, key=lambda obj: obj.depth):
            u = ((at - obj.x) / (obj.size / 2)).expand(size, size).contiguous()
            v = ((at - obj.y) / (obj.size / 2))[:, None].expand(size, size).contiguous()
            u = -u if scenes.mirrored[index, obj.slot] else u
            inside = torch.stack([d for d, _ in FIGURES[obj.category](u, v)]).amin(dim=0) <= 0
            seen[index, obj.slot] = inside & free
            free &= ~inside
    return seen


@pytest.mark.parametrize("size", [32, 65])
def test_masks_agree_with_asking_every_pixel(scenes, size):
    # a pixel whose middle lies on an outline to rounding may fall on either side
    assert (masks(scenes, size=size) != masks_by_hand(scenes, size)).float().mean() < 1e-5


def test_masks_are_disjoint_and_everything_present_is_seen(scenes):
    seen = masks(scenes)
    assert seen.sum(dim=1).max() == 1
    assert torch.equal(seen.any(dim=(2, 3)), scenes.present)


def test_covered_objects_show_less_than_alone_and_the_nearest_shows_all(scenes):
    seen, alone = masks(scenes).sum(dim=(2, 3)), outlines(scenes).sum(dim=(2, 3))
    assert (seen <= alone).all()
    assert (seen < alone).any()
    nearest = scenes.depth.masked_fill(~scenes.present, 2).argmin(dim=1, keepdim=True)
    assert torch.equal(seen.gather(1, nearest), alone.gather(1, nearest))


def test_inside_the_nearest_object_nothing_else_shines_through(scenes):
    nearest = scenes.depth.masked_fill(~scenes.present, 2).argmin(dim=1, keepdim=True)
    alone = scenes.replace(present=torch.zeros_like(scenes.present).scatter(1, nearest, True))
    outline = masks(alone).any(dim=1)[:, None]
    inside = -torch.nn.functional.max_pool2d(-outline.float(), 3, stride=1, padding=1) == 1
    differ = (draw(scenes) - draw(alone)).abs().amax(dim=1, keepdim=True)
    assert differ[inside].max() < 1e-4
    assert differ.max() > 0.3  # the other objects are drawn, elsewhere


def test_an_object_taken_away_changes_the_picture_where_it_was_seen(scenes):
    with_it, seen = draw(scenes), masks(scenes)
    first = scenes.present.long().argmax(dim=1, keepdim=True)
    without = draw(scenes.replace(present=scenes.present.scatter(1, first, False)))
    changed = ((with_it - without).abs().amax(dim=1) > 0.01)[:, None]
    gone = seen.gather(1, first[:, :, None, None].expand(-1, 1, 64, 64))
    assert changed[gone].float().mean() > 0.9
    assert changed[~gone].float().mean() < 0.05  # its edge and its shadow


def test_an_objects_own_colour_is_what_one_sees_by_day():
    drawn = sample_scenes(300, generator=make_generator(3), slots=1)
    drawn = drawn.replace(night=torch.zeros(300, dtype=torch.bool))
    pictures, seen = draw(drawn), masks(drawn)
    right = 0
    for picture, mask, colour in zip(pictures, seen[:, 0], drawn.colour[:, 0], strict=True):
        pixels = picture[:, mask].T[:, None]  # (pixels, 1, 3)
        votes = (pixels - PAINTS).norm(dim=-1).argmin(dim=1).bincount(minlength=len(COLOURS))
        brights = votes[: len(COLOURS) - 1]  # cream, glass and glints all vote for white
        right += int((votes if colour == 7 else brights).argmax() == colour)
    assert right / 300 > 0.75


@pytest.mark.parametrize("size", [16, 64])
def test_boxes_are_the_tight_bounds_of_masks(scenes, size):
    seen = masks(scenes, size=size)
    for mask, box in zip(seen.flatten(0, 1), boxes(seen).flatten(0, 1).tolist(), strict=True):
        if not mask.any():
            assert box == [0, 0, 0, 0]
            continue
        rows, columns = mask.nonzero().T
        assert box == [
            columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        ]  # fmt: skip


def test_objects_may_stick_out_of_the_picture(scenes):
    corner = scenes[:10].replace(x=torch.full((10, 4), 0.0), y=torch.full((10, 4), 1.0))
    assert draw(corner).isfinite().all()
    assert (masks(corner, size=65) != masks_by_hand(corner, 65)).float().mean() < 1e-4


def test_noise_is_smooth_in_range_and_bound_to_the_texture(scenes):
    at = torch.linspace(0, 1, 50)
    values = noise(scenes, 4, 6, at, at, salt=1)
    assert values.min() >= 0
    assert values.max() <= 1
    assert values.diff(dim=2).abs().max() < 0.2
    grid = noise(scenes, 4, 6, torch.linspace(0, 1, 4), torch.linspace(0, 1, 6), salt=1)
    torch.testing.assert_close(grid, lattice(scenes.texture, 4, 6, salt=1))
    assert not torch.equal(grid[0], grid[1])
    assert not torch.equal(grid, lattice(scenes.texture, 4, 6, salt=2))
    with pytest.raises(ValueError, match="99 by 99 values, a lattice has at most"):
        lattice(scenes.texture, 99, 99, salt=0)


@pytest.mark.parametrize("size", [8, 64.0, True])
def test_a_bad_size_is_refused(scenes, size):
    with pytest.raises(ValueError, match=r"size is .*, it must be a whole number of 16 or more"):
        draw(scenes, size=size)


def test_bad_noise_and_bad_masks_are_refused(scenes):
    with pytest.raises(ValueError, match=r"noise is -0\.1"):
        draw(scenes, noise=-0.1)
    with pytest.raises(TypeError, match=r"seen has dtype torch\.float32"):
        boxes(torch.zeros(2, 8, 8))


def test_every_category_can_be_drawn_alone():
    one = sample_scenes(len(CATEGORIES), generator=make_generator(0), slots=1)
    one = one.replace(
        category=torch.arange(len(CATEGORIES))[:, None], present=torch.ones(10, 1).bool()
    )
    assert masks(one).any(dim=(1, 2, 3)).all()


def test_cells_share_a_mask_by_their_part_of_it():
    seen = torch.zeros(1, 16, 16, dtype=torch.bool)
    seen[0, :8, :4], seen[0, 8, 8] = True, True
    expected = torch.tensor([[[32.0, 0.0], [0.0, 1.0]]]) / 33
    assert torch.allclose(cell_shares(seen, 2, 2), expected)
    with pytest.raises(ValueError, match="a mask is empty"):
        cell_shares(torch.zeros(1, 16, 16, dtype=torch.bool), 2, 2)
