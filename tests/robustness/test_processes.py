"""Which files each process of each shard takes."""

import itertools

import pytest

from gcp_mm.robustness.evaluation import processes


@pytest.mark.parametrize("worlds", [(1, 1), (2, 1), (1, 3), (3, 2), (2, 2, 5), (4,)])
@pytest.mark.parametrize("number", [1, 7, 40])
def test_shards_of_any_number_of_processes_take_each_file_once(monkeypatch, worlds, number):
    taken = []
    for shard, world in enumerate(worlds):
        monkeypatch.setattr(processes, "get_world_size", lambda world=world: world)
        for rank in range(world):
            monkeypatch.setattr(processes, "get_rank", lambda rank=rank: rank)
            taken.append(list(processes.share(number, (shard, len(worlds)))))
    assert sorted(itertools.chain(*taken)) == list(range(number))
    # A shard is the same files for any number of processes, see gcp_mm.robustness.evaluation.merge.
    first = sorted(itertools.chain(*taken[: worlds[0]]))
    assert first == list(range(0, number, len(worlds)))
