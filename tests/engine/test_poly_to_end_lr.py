import pytest
import torch

from gcp_mm.engine.poly_to_end_lr import PolyToEndLR


def rates(power, epochs, epoch_length, eta_min=0.0):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    schedule = PolyToEndLR.build_iter_from_epoch(
        optimizer, end=epochs, epoch_length=epoch_length, power=power, eta_min=eta_min
    )
    found = []
    optimizer.step()  # or a warning says that the schedule comes before it
    for _ in range(epochs * epoch_length):
        found.append(optimizer.param_groups[0]["lr"])
        schedule.step()
    return found, optimizer.param_groups[0]["lr"]


@pytest.mark.slow
@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize(("epochs", "epoch_length"), [(1, 1), (3, 7), (240, 13), (60, 1251)])
def test_equals_the_formula_in_every_iteration(power, epochs, epoch_length):
    found, after = rates(power, epochs, epoch_length)
    total = epochs * epoch_length
    expected = [0.5 * (1 - i / total) ** power for i in range(total)]
    assert found == pytest.approx(expected, rel=1e-9)
    assert after == pytest.approx(0, abs=1e-12) and found[-1] > 0


def test_minimum_is_reached_after_the_last_iteration():
    found, after = rates(1, 2, 5, eta_min=0.1)
    assert found == pytest.approx([0.1 + 0.4 * (1 - i / 10) for i in range(10)])
    assert after == pytest.approx(0.1)
