"""Each schedule in every iteration against its formula, or its table."""

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS

from gcp_mm.engine.schedules import PolyToEndLR, TabulatedLR
from gcp_mm.errors import UserError
from gcp_mm.plots.learning_rates import learning_rates

SETTINGS = [
    f"{family}_{mode}"
    for family in ("resnet", "mobilenetv2", "shufflenetv2")
    for mode in ("lrnorm", "lrfast", "lradju")
]


def make_optimizer(lr=0.5):
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)


def rates(schedule, optimizer, number):
    found = []
    optimizer.step()  # or a warning says that the schedule comes before it
    for _ in range(number):
        found.append(optimizer.param_groups[0]["lr"])
        schedule.step()
    return found


def decay(power, epochs, epoch_length, eta_min=0.0):
    """Return the rates of every iteration of polynomial decay, and the one after them."""
    optimizer = make_optimizer()
    schedule = PolyToEndLR.build_iter_from_epoch(
        optimizer, end=epochs, epoch_length=epoch_length, power=power, eta_min=eta_min
    )
    found = rates(schedule, optimizer, epochs * epoch_length)
    return found, optimizer.param_groups[0]["lr"]


@pytest.mark.slow
@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize(("epochs", "epoch_length"), [(1, 1), (3, 7), (240, 13), (60, 1251)])
def test_equals_the_formula_in_every_iteration(power, epochs, epoch_length):
    found, after = decay(power, epochs, epoch_length)
    total = epochs * epoch_length
    expected = [0.5 * (1 - i / total) ** power for i in range(total)]
    assert found == pytest.approx(expected, rel=1e-9)
    assert after == pytest.approx(0, abs=1e-12) and found[-1] > 0


def test_minimum_is_reached_after_the_last_iteration():
    found, after = decay(1, 2, 5, eta_min=0.1)
    assert found == pytest.approx([0.1 + 0.4 * (1 - i / 10) for i in range(10)])
    assert after == pytest.approx(0.1)


def by_iteration(table, epochs, epoch_length, optimizer):
    return TabulatedLR.build_iter_from_epoch(
        optimizer, table=table, end=epochs, epoch_length=epoch_length
    )


@pytest.mark.parametrize("table", [[1.0], [1.0, 0.1, 0.01], [0.5, 1.0, 0.7, 0.2, 0.0]])
@pytest.mark.parametrize(("epochs", "epoch_length"), [(1, 1), (1, 13), (3, 7), (4, 5), (60, 11)])
def test_each_factor_has_an_equal_part_of_the_iterations(table, epochs, epoch_length):
    optimizer, total = make_optimizer(), epochs * epoch_length
    found = rates(by_iteration(table, epochs, epoch_length, optimizer), optimizer, total)
    # The part that an iteration begins in, in whole numbers.
    starts = [-(-part * total // len(table)) for part in range(len(table))]
    expected = []
    for start, end, factor in zip(starts, [*starts[1:], total], table, strict=True):
        expected += [0.5 * factor] * (end - start)
    assert found == pytest.approx(expected, rel=1e-12)


def test_between_other_schedules_it_changes_only_its_own_steps():
    optimizer = make_optimizer()
    schedule = TabulatedLR(optimizer, table=[0.1, 0.2], begin=3, end=7)
    found = rates(schedule, optimizer, 10)
    assert found[3:7] == pytest.approx([0.05, 0.05, 0.1, 0.1])
    assert found[7:] == pytest.approx([0.1] * 3)


@pytest.mark.parametrize("setting", SETTINGS)
def test_in_its_own_length_it_is_the_published_schedule_in_every_epoch(repo, setting):
    cfg = Config.fromfile(repo / f"configs/_base_/schedules/{setting}.py")
    published = learning_rates(cfg)
    table = (published[:, 0] / cfg.optim_wrapper.optimizer.lr).tolist()
    cfg.param_scheduler = dict(type="gcp_mm.TabulatedLR", table=table, convert_to_iter_based=True)
    found = learning_rates(cfg, epoch_length=3)
    # As mmengine's Runner builds and steps it: constant within the epochs.
    assert found == pytest.approx(published.repeat(3, axis=1), rel=1e-12)


def test_steps_by_epochs_are_those_of_the_table():
    optimizer = make_optimizer()
    setting = dict(type="gcp_mm.TabulatedLR", table=[1, 0.5, 0.25, 0.125], by_epoch=True, end=4)
    wrapper = OptimWrapper(optimizer)
    schedule = PARAM_SCHEDULERS.build(setting, default_args=dict(optimizer=wrapper))
    assert rates(schedule, wrapper, 4) == pytest.approx([0.5, 0.25, 0.125, 0.0625])


@pytest.mark.parametrize("done", [0, 1, 5, 13])
def test_goes_on_where_it_was(done):
    table = [1.0, 0.3, 0.9, 0.1, 0.2]
    optimizer = make_optimizer()
    straight = rates(by_iteration(table, 2, 7, optimizer), optimizer, 14)

    first = make_optimizer()
    schedule = by_iteration(table, 2, 7, first)
    before = rates(schedule, first, done)
    second = make_optimizer(lr=9.0)
    resumed = by_iteration([7.0], 2, 7, second)
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(schedule.state_dict())
    assert before + rates(resumed, second, 14 - done) == straight


def test_refuses_a_table_of_nothing_and_counting_iterations_twice():
    with pytest.raises(UserError, match="table is empty"):
        TabulatedLR(make_optimizer(), table=[])
    for wrong in (dict(by_epoch=False, epoch_length=5), dict(epoch_length=0)):
        with pytest.raises(UserError, match="convert_to_iter_based needs by_epoch=True"):
            TabulatedLR.build_iter_from_epoch(make_optimizer(), table=[1.0], end=2, **wrong)


def test_refuses_a_length_below_one():
    with pytest.raises(ValueError, match="end should be larger than begin"):
        TabulatedLR(make_optimizer(), table=[1.0], begin=3, end=3)
