"""Two processes with half the batch each do what one process does with the whole batch.

Both probe the landscape in each step, for the tests of that; the training under SLURM and the one
with other batches do not. That a probe changes no training is a test of its hook.
"""

from stand_in_srun import SRUN, put_on_path
from tiny_runs import largest_difference, read_checkpoint, read_log, read_scalars


def test_weights_and_momenta_are_those_of_one_process(trained_by_one, trained_by_two):
    folders = (trained_by_one, trained_by_two)
    one, two = (read_checkpoint(folder / "epoch_3.pth") for folder in folders)
    assert largest_difference(two["state_dict"], one["state_dict"]) < 1e-5
    momenta = [
        {key: state["momentum_buffer"] for key, state in run["optimizer"]["state"].items()}
        for run in (two, one)
    ]
    assert largest_difference(*momenta) < 1e-4


def test_schedule_and_metrics_are_those_of_one_process(trained_by_one, trained_by_two):
    (steps, epochs), (one_steps, one_epochs) = map(read_scalars, (trained_by_two, trained_by_one))
    assert [(step, steps[step]["epoch"], steps[step]["lr"]) for step in steps] == [
        (step, one_steps[step]["epoch"], one_steps[step]["lr"]) for step in one_steps
    ]
    # An odd number of images: one of the processes evaluates one more.
    found, expected = (
        {
            epoch: values["accuracy/top1"]
            for epoch, values in run.items()
            if "landscape/loss_min" not in values
        }
        for run in (epochs, one_epochs)
    )
    assert found == expected
    assert set(found) == {1, 2, 3}


def test_both_processes_took_part(trained_by_two):
    assert "2 per process x 2 processes" in read_log(trained_by_two)


def test_other_batches_give_other_weights(trained_by_one, smooth_classifier, call_tool, tmp_path):
    """The comparison above would notice if a process trained on other images."""
    code, _, errors = call_tool(
        *("tools/train.py", smooth_classifier, "--work-dir", tmp_path, "--cfg-options"),
        *("train_dataloader.sampler.seed=1", "train_cfg.val_interval=9"),
    )
    assert code == 0, errors
    one, other = (
        read_checkpoint(folder / "epoch_3.pth")["state_dict"]
        for folder in (trained_by_one, tmp_path)
    )
    assert largest_difference(other, one) > 1e-3


def test_processes_under_slurm_train_and_evaluate_together(
    run_loaded, smooth_classifier, trained_by_one, tmp_path
):
    work_dir = tmp_path / "work"
    job = dict(GPUS="2", PATH=put_on_path(tmp_path, SRUN))
    options = ["--cfg-options", "train_dataloader.batch_size=2"]
    process = run_loaded(
        *("bash", "tools/slurm_train.sh", "cpu", "job", smooth_classifier),
        *("--work-dir", work_dir, *options, "train_cfg.max_epochs=1"),
        **job,
    )
    assert process.returncode == 0, process.stderr
    assert "2 per process x 2 processes" in read_log(work_dir)
    one, two = (
        read_checkpoint(folder / "epoch_1.pth")["state_dict"]
        for folder in (trained_by_one, work_dir)
    )
    assert largest_difference(two, one) < 1e-5

    process = run_loaded(
        *("bash", "tools/slurm_test.sh", "cpu", "job", smooth_classifier),
        *(work_dir / "epoch_1.pth", "--work-dir", tmp_path / "tested"),
        **job,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.count("results: accuracy/top1") == 1
