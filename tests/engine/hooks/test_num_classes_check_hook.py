from types import SimpleNamespace

import pytest
from tiny_runs import only_error
from torch import nn

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


@pytest.mark.parametrize("dataset", [SimpleNamespace(metainfo=None), SimpleNamespace()])
def test_data_without_class_names_are_let_through(dataset):
    without = runner(10, ())
    without.train_dataloader.dataset = dataset
    NumClassesCheckHook().before_train(without)


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


def detector(number, **head):
    parts = {name: nn.Module() for name in ("rpn_head", "roi_head", "other")}
    parts["rpn_head"].num_classes = 1
    parts["roi_head"].bbox_head = nn.ModuleList([nn.Module(), nn.Module()])
    for cascade in parts["roi_head"].bbox_head:
        cascade.num_classes = number
    parts["roi_head"].mask_head = nn.Module()
    for name, value in {"num_classes": number, **head}.items():
        setattr(parts["roi_head"].mask_head, name, value)
    return nn.ModuleDict(parts)


def test_every_head_of_a_detector_counts():
    hook = NumClassesCheckHook()
    of_three = runner(None, ("a", "b", "c"))
    of_three.model = detector(3)
    hook.before_train(of_three)
    of_three.model = detector(80)
    with pytest.raises(UserError) as error:
        hook.before_train(of_three)
    assert "has 80 classes (model.roi_head.bbox_head.0.num_classes)" in str(error.value)
    for name in ("bbox_head.0", "bbox_head.1", "mask_head"):
        assert f"model.roi_head.{name}.num_classes=3" in str(error.value)
    of_three.model = detector(3, num_classes=80)
    with pytest.raises(UserError, match="80 classes .model.roi_head.mask_head.num_classes"):
        hook.before_train(of_three)
    of_three.model = detector(3, num_classes=80, class_agnostic=True)
    hook.before_train(of_three)


def test_classes_of_the_checkpoint_count_when_it_is_continued():
    hook = NumClassesCheckHook()
    hook.after_load_checkpoint(None, {"meta": {"dataset_meta": {"classes": ("x", "y")}}})
    started = runner(2, ("y", "x"))
    # Weights to start from may come from other data.
    hook.before_train(started)
    started._resume = True
    with pytest.raises(UserError, match="class 0 is 'x' in the checkpoint that is continued"):
        hook.before_train(started)


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
