# Five epochs of the curve: a pretrained network on a small data set.
_base_ = './finetune_sgd.py'

train_cfg = dict(max_epochs=5)
