_base_ = './_base_/faster_rcnn_coco.py'
