from types import SimpleNamespace

import pytest
from tiny_runs import only_error

from gcp_mm.engine.hooks import NumClassesCheckHook
from gcp_mm.errors import UserError


def runner(num_classes, classes):
    dataset = SimpleNamespace(metainfo={"classes": classes}, data_root="data/x")
    loader = SimpleNamespace(dataset=dataset)
    model = SimpleNamespace(head=SimpleNamespace(num_classes=num_classes))
    return SimpleNamespace(
        model=model, train_dataloader=loader, test_dataloader=loader, val_loop=None
    )


@pytest.mark.parametrize("mode", ["train", "test"])
def test_other_number_of_classes_is_refused(mode):
    check = getattr(NumClassesCheckHook(), f"before_{mode}")
    check(runner(4, ("a", "b", "c", "d")))
    with pytest.raises(UserError) as error:
        check(runner(10, ("a", "b", "c", "d")))
    for part in ("has 10 classes", "have 4 (a, b, c, ...", "data/x", "model.head.num_classes=4"):
        assert part in str(error.value)


def with_validation(train, val):
    both = runner(len(train), train)
    both.val_loop = object()
    both.val_dataloader = runner(len(train), val).train_dataloader
    return both


def test_validation_with_other_classes_is_refused():
    hook = NumClassesCheckHook()
    hook.before_train(with_validation(("a", "b", "c"), ("a", "b", "c")))
    with pytest.raises(UserError, match="class 2 is 'c' in training, but 'd' in the val data"):
        hook.before_train(with_validation(("a", "b", "c"), ("a", "b", "d")))
    with pytest.raises(UserError, match="has 3 classes.*val data have 2"):
        hook.before_train(with_validation(("a", "b", "c"), ("b", "c")))


def test_classes_of_the_checkpoint_count_in_a_test():
    hook = NumClassesCheckHook()
    hook.after_load_checkpoint(None, {"meta": {"dataset_meta": {"classes": ("x", "y")}}})
    hook.before_test(runner(2, ("x", "y")))
    with pytest.raises(UserError, match="class 1 is 'y' in training, but 'z' in the test data"):
        hook.before_test(runner(2, ("x", "z")))
    # A published file says nothing about its classes.
    hook.after_load_checkpoint(None, {"state_dict": {}})
    hook.before_test(runner(2, ("x", "z")))


def test_network_without_a_head_and_data_without_classes_pass():
    NumClassesCheckHook().before_train(runner(None, ("a",)))
    NumClassesCheckHook().before_train(runner(10, None))


def test_training_stops_before_the_first_batch(call_tool, classifier, tmp_path):
    message = only_error(
        *call_tool(
            *("tools/train.py", classifier, "--work-dir", tmp_path),
            *("--cfg-options", "model.head.num_classes=5"),
        )
    )
    assert "has 5 classes" in message and "have 3 (class_0, class_1, class_2" in message
