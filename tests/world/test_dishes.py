"""Laws of dishes: locked by their seed, every fact in the text and in the picture."""

import itertools

import pytest
import torch

from mmlib.runtime import make_generator
from mmlib.world import dishes as world
from mmlib.world.dishes import (
    COOKS,
    CUTTING,
    INGREDIENTS,
    NAMES,
    PARTS,
    STEPS,
    TOPPINGS,
    VEGETABLES,
    draw,
    make_dishes,
    sample_dishes,
    write,
)


@pytest.fixture(scope="module")
def dishes():
    return sample_dishes(300, generator=make_generator(0))


def test_same_seed_same_dishes_texts_and_pictures_other_seed_others(dishes):
    def made(seed):
        generator = make_generator(seed)
        drawn = sample_dishes(20, generator=generator)
        return drawn.facts(), write(drawn, generator=generator), draw(drawn, generator=generator)

    one, same, other = made(0), made(0), made(1)
    assert torch.equal(one[0], same[0])
    assert one[1] == same[1]
    torch.testing.assert_close(one[2], same[2])
    assert not torch.equal(one[0], other[0])
    assert one[1] != other[1]


def test_the_global_random_state_is_left_alone(dishes):
    before = torch.get_rng_state()
    draw(dishes[:3], generator=make_generator(0))
    write(dishes[:3], generator=make_generator(0))
    assert torch.equal(before, torch.get_rng_state())


def test_there_are_as_many_dishes_as_facts_combine_and_each_is_another():
    assert len(INGREDIENTS) == 6 * 5 * 4
    assert len(STEPS) == 3 * 4 * 3 * 4
    everything = torch.cartesian_prod(torch.arange(len(INGREDIENTS)), torch.arange(len(STEPS)))
    facts = make_dishes(*everything.T).facts()
    assert len(facts.unique(dim=0)) == len(facts) == 17_280
    assert (facts[:, 0] != facts[:, 1]).all()


def test_the_splits_share_no_dish_but_every_list_of_ingredients_and_all_steps():
    train = sample_dishes(13_824, generator=make_generator(0)).facts()
    held_out = sample_dishes(3_456, generator=make_generator(0), split="held out").facts()
    both = torch.cat([train, held_out])
    assert len(both.unique(dim=0)) == len(both) == 17_280
    for part in (slice(0, 3), slice(3, 7)):
        seen, tested = (set(map(tuple, f[:, part].tolist())) for f in (train, held_out))
        assert tested == seen


def test_a_category_is_the_main_vegetable_and_its_cooking(dishes):
    for facts, number in zip(dishes.facts().tolist(), dishes.category().tolist(), strict=True):
        assert world.CATEGORIES[number] == f"{world.COOKING[facts[4]]} {VEGETABLES[facts[0]]}"


def only(options, words):
    """Return which of the options, tuples of wordings, occurs; exactly one must."""
    found = [i for i, wordings in enumerate(options) if set(wordings) & set(words)]
    assert len(found) == 1
    return found[0]


def test_every_fact_can_be_read_from_the_recipe(dishes):
    recipes = write(dishes, generator=make_generator(1))
    for facts, recipe in zip(dishes.facts().tolist(), recipes, strict=True):
        main, second, topping, *told = facts
        listed, steps = recipe.ingredients, recipe.instructions
        order = [name for name in listed for v in VEGETABLES if name in NAMES[v]]
        assert order[0] in NAMES[VEGETABLES[main]]
        assert order[1] in NAMES[VEGETABLES[second]]
        assert only([NAMES[t] for t in TOPPINGS], listed) == topping
        for part, cut, cooking in zip(PARTS, told[::2], told[1::2], strict=True):
            about = [step.replace(part, "{}") for step in steps if part in step]
            assert len(about) == 2
            assert (only(CUTTING, about[:1]), only(COOKS, about[1:])) == (cut, cooking)


def test_a_bag_of_words_does_not_tell_what_is_done_to_which_part():
    """Steps swapped between vegetables and topping: other dishes, the same words."""
    facts = sample_dishes(50, generator=make_generator(7)).facts()
    swapped = facts[:, [0, 1, 2, 5, 6, 3, 4]]
    for one, other in zip(facts.tolist(), swapped.tolist(), strict=True):
        words = [
            sorted(
                word
                for part, cut, cooking in zip(PARTS, f[3::2], f[4::2], strict=True)
                for step in (CUTTING[cut][0], COOKS[cooking][0])
                for word in step.format(part).split()
            )
            for f in (one, other)
        ]
        assert words[0] == words[1]


def test_instructions_name_no_ingredient_and_ingredients_no_step(dishes):
    names = {word for name in itertools.chain(*NAMES.values()) for word in name.split("_")}
    names |= {*VEGETABLES, *TOPPINGS}
    recipes = write(dishes, generator=make_generator(2))
    told = {word for r in recipes for step in r.instructions for word in step.split()}
    assert not told & names
    assert not {name for r in recipes for name in r.ingredients} & told - {"water"}


def test_about_half_of_the_titles_say_what_it_is(dishes):
    recipes = write(dishes, generator=make_generator(3))
    telling = [r.title.split()[0] in VEGETABLES for r in recipes]
    assert 0.4 < sum(telling) / len(telling) < 0.6
    for main, recipe, tells in zip(dishes.main.tolist(), recipes, telling, strict=True):
        assert not tells or recipe.title.split()[0] == VEGETABLES[main]


def test_pictures_have_their_shape_and_range(dishes):
    pictures = draw(dishes[:9], generator=make_generator(0), size=40)
    assert pictures.shape == (9, 3, 40, 40)
    assert pictures.min() >= 0
    assert pictures.max() <= 1


@pytest.mark.parametrize("fact", range(7))
def test_every_fact_shows_in_the_picture(fact):
    """Change one fact, keep the random numbers: nearly all pictures change (one may be covered)."""
    facts = sample_dishes(40, generator=make_generator(4)).facts()
    changed = facts.clone()
    sizes = (6, 6, 4, 3, 4, 3, 4)
    changed[:, fact] = (changed[:, fact] + 1) % sizes[fact]
    if fact < 2:  # the two vegetables must differ
        same = changed[:, 0] == changed[:, 1]
        changed[same, fact] = (changed[same, fact] + 1) % 6
    differ = []
    for one, other in zip(facts.split(1), changed.split(1), strict=True):
        drawn = [
            draw(world.Dishes(*rows.T), generator=make_generator(5), noise=0)
            for rows in (one, other, one)
        ]
        assert torch.equal(drawn[0], drawn[2])
        differ.append((drawn[0] - drawn[1]).abs().max() > 0.03)
    assert sum(differ) >= 38


def test_burnt_is_darker_than_boiled(dishes):
    def brightness(cooking):
        facts = dishes[:60].facts()
        facts[:, 4] = cooking
        return draw(world.Dishes(*facts.T), generator=make_generator(6)).mean()

    assert brightness(3) < brightness(2) < brightness(0)


def test_bad_requests_are_refused(dishes):
    with pytest.raises(ValueError, match="split is 'test', choose one of train, held out"):
        sample_dishes(3, generator=make_generator(0), split="test")
    with pytest.raises(ValueError, match="count is 20000, there are 13824 different dishes"):
        sample_dishes(20_000, generator=make_generator(0))
    with pytest.raises(ValueError, match="size is 8, it must be a whole number of 16 or more"):
        draw(dishes[:1], generator=make_generator(0), size=8)
    with pytest.raises(ValueError, match="noise is 2"):
        draw(dishes[:1], generator=make_generator(0), noise=2)
