"""Randomness as an argument, the choice of a device, and worker threads."""

import threading
import time

import numpy as np
import pytest
import torch

from mmlib.runtime import make_generator, pick_device, worker_threads


def test_the_device_is_one_that_works():
    device = pick_device()
    assert torch.ones(2, device=device).sum().item() == 2
    if torch.cuda.is_available():
        assert device.type == "cuda"


def test_same_seed_same_numbers_whatever_else_draws():
    first = torch.rand(5, generator=make_generator(3))
    generator = make_generator(3)
    torch.rand(100)
    assert torch.equal(torch.rand(5, generator=generator), first)
    assert not torch.equal(torch.rand(5, generator=make_generator(4)), first)


def test_the_global_state_is_left_alone():
    before = torch.get_rng_state()
    torch.rand(5, generator=make_generator(3))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_whole_number_of_numpy_is_a_seed():
    same = (torch.rand(5, generator=make_generator(seed)) for seed in (3, np.int64(3)))
    assert torch.equal(*same)


@pytest.mark.parametrize("seed", [-1, 1.0, "0", True, None, 2**64])
def test_a_seed_that_is_no_whole_number_is_refused(seed):
    with pytest.raises(ValueError, match=rf"seed is {seed!r}, it must be a whole number of 0"):
        make_generator(seed)


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_work_is_done_in_order_and_torch_has_its_threads_back(jobs):
    with worker_threads(jobs) as run:
        assert run(lambda item: item * item, range(6)) == [0, 1, 4, 9, 16, 25]
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_two_jobs_run_side_by_side_with_one_torch_thread_each():
    together = threading.Barrier(2, timeout=600)  # breaks unless both threads reach it

    def meet(item):
        together.wait()
        return torch.get_num_threads()

    with worker_threads(2) as run:
        assert run(meet, range(2)) == [1, 1]


@pytest.mark.usefixtures("two_threads")
def test_the_callers_thread_does_the_first_half_and_another_one_the_second():
    with worker_threads(2) as run:
        *mine, other, last = run(lambda item: threading.get_ident(), range(4))
    assert mine == 2 * [threading.get_ident()]
    assert other == last != mine[0]


@pytest.mark.usefixtures("two_threads")
def test_an_error_in_the_callers_thread_waits_for_the_other():
    begun, done = threading.Event(), []

    def fail_or_finish(item):
        if item == 0:
            begun.wait(600)
            raise ZeroDivisionError
        begun.set()
        time.sleep(0.2)
        done.append(item)

    with pytest.raises(ZeroDivisionError), worker_threads(2) as run:
        run(fail_or_finish, range(2))
    assert done == [1]


@pytest.mark.usefixtures("two_threads")
def test_an_error_in_a_thread_comes_out_and_torch_has_its_threads_back():
    with pytest.raises(ZeroDivisionError), worker_threads(2) as run:
        run(lambda item: 1 // item, [1, 0])
    assert torch.get_num_threads() == 2
