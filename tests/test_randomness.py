"""States are lent, read, and put back exactly."""

import torch

from mmlib.randomness import RandomStates, global_randomness_from
from mmlib.runtime import make_generator


def test_dropout_follows_the_generator_and_the_global_state_is_put_back():
    def dropped(seed):
        with global_randomness_from(make_generator(seed), device=torch.device("cpu")):
            return torch.nn.functional.dropout(torch.ones(50))

    before = torch.get_rng_state()
    assert torch.equal(dropped(1), dropped(1))
    assert not torch.equal(dropped(1), dropped(2))
    assert torch.equal(torch.get_rng_state(), before)


def test_states_written_back_give_the_same_numbers_again():
    generator = make_generator(0)
    states = RandomStates({"own": generator, "none": None}, torch.device("cpu"))

    def draw():
        return torch.cat([torch.rand(3), torch.rand(3, generator=generator)])

    before = states.read()
    first, second = draw(), draw()
    states.write(before)
    assert torch.equal(draw(), first)
    assert not torch.equal(first, second)
