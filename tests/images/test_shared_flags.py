import copy
import pickle
from multiprocessing.reduction import ForkingPickler

import pytest
from torch import multiprocessing

from gcp_mm.images.load_image import SharedFlags


def copied(flags):
    return copy.deepcopy(flags)


def pickled(flags):
    return pickle.loads(pickle.dumps(flags))


def same(flags):
    return flags


def set_two(flags, index):
    flags.set(index)
    flags.set(7)


def test_a_flag_is_new_once():
    flags = SharedFlags(5)
    assert flags.indices() == []
    assert [flags.set(3), flags.set(1), flags.set(3)] == [True, True, False]
    assert flags.indices() == [1, 3]


@pytest.mark.parametrize("prepare", [same, copied, pickled])
def test_forked_processes_set_the_same_flags(prepare):
    flags = SharedFlags(10)
    flags.set(0)
    flags = prepare(flags)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=set_two, args=(flags, index)) for index in (2, 5)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert flags.indices() == [0, 2, 5, 7]


def test_torch_hands_over_the_same_flags_to_spawned_processes():
    flags = SharedFlags(3)
    other = ForkingPickler.loads(ForkingPickler.dumps(flags))
    other.set(1)
    assert flags.indices() == [1]


@pytest.mark.parametrize("prepare", [copied, pickled])
def test_a_copy_has_flags_of_its_own(prepare):
    flags = SharedFlags(3)
    other = prepare(flags)
    other.set(1)
    assert flags.indices() == []
