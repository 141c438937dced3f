_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    'mmdet::_base_/datasets/coco_instance.py',
    './schedules/coco_1x_bs8.py',
    './runtime_detection.py',
]

# 8 processes x 1 image; the published run was 4 x 2.
train_dataloader = dict(batch_size=1, dataset=dict(type='gcp_mm.CocoDataset'))
val_dataloader = dict(dataset=dict(type='gcp_mm.CocoDataset'))
test_dataloader = val_dataloader

# COCO's own twelve numbers have AR at 1, 10 and 100 detections; mmdet prints 100, 300 and 1000.
val_evaluator = dict(type='gcp_mm.CocoMetric', proposal_nums=(1, 10, 100))
test_evaluator = val_evaluator
