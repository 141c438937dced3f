import numpy as np
import pytest
from mmengine.config import Config

from gcp_mm.errors import UserError
from gcp_mm.plots.learning_rates import learning_rates, plot_learning_rates

WARM_UP = dict(type="LinearLR", start_factor=0.5, by_epoch=False, begin=0, end=3)
STEP = dict(type="StepLR", step_size=1)


def config(schedulers, epochs=4):
    optimizer = dict(type="SGD", lr=1.0)
    return Config(
        dict(
            optim_wrapper=dict(optimizer=optimizer),
            param_scheduler=schedulers,
            train_cfg=dict(max_epochs=epochs),
        )
    )


def test_rate_by_epoch_and_by_iteration():
    halve = dict(type="StepLR", step_size=1, gamma=0.5)
    assert learning_rates(config(halve), 2).tolist() == [[1, 1], [0.5] * 2, [0.25] * 2, [0.125] * 2]
    linear = dict(type="gcp_mm.PolyToEndLR", begin=0, end=2, convert_to_iter_based=True)
    expected = [[1, 0.75], [0.5, 0.25]]
    assert learning_rates(config(linear, 2), 2) == pytest.approx(np.array(expected))


def test_warm_up_and_decay_follow_each_other():
    """Over 4 iterations of an epoch: a linear start in iterations, then a step in epochs."""
    step = dict(type="MultiStepLR", by_epoch=True, milestones=[1], gamma=0.1)
    found = learning_rates(config([WARM_UP, step], 2), 4)
    assert found == pytest.approx(np.array([[0.5, 0.75, 1, 1], [0.1] * 4]))


def test_schedule_without_an_end_lasts_as_long_as_the_training():
    """As in mmengine's Runner: half a cosine over 4 epochs."""
    found = learning_rates(config(dict(type="CosineAnnealingLR", by_epoch=True)))[:, 0]
    expected = [0.5 * (1 + np.cos(np.pi * epoch / 4)) for epoch in range(4)]
    assert found == pytest.approx(np.array(expected), abs=1e-9)


@pytest.mark.parametrize(
    ("schedulers", "epochs", "length", "told"),
    [
        (WARM_UP, 4, 1, "LinearLR of this config counts iterations.*epoch-length"),
        (STEP, 4, 0, "--epoch-length 0: at least 1"),
        (STEP, None, 1, "train_cfg has no max_epochs: it counts iterations"),
        (dict(type="ReduceOnPlateauLR", monitor="loss"), 4, 1, "ReduceOnPlateauLR follows"),
    ],
)
def test_schedule_that_cannot_be_known_is_refused(schedulers, epochs, length, told):
    cfg = config(schedulers, epochs)
    if epochs is None:
        cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=100)
    with pytest.raises(UserError, match=told):
        learning_rates(cfg, length)


def test_figure_has_a_panel_for_each_network(tmp_path):
    rates = {"a_fast": np.array([1.0, 0.1]), "b_fast": np.array([2.0]), "a_slow": np.ones(3)}
    text = plot_learning_rates(rates, tmp_path / "rates.svg").read_text()
    for label in (">a<", ">b<", "fast, 2 epochs", "fast, 1 epochs", "slow, 3 epochs"):
        assert text.count(label) == 1, label


def test_long_schedule_shows_how_far_it_is(impatient, capsys):
    learning_rates(config(STEP))
    assert "] 4/4, " in capsys.readouterr().err
