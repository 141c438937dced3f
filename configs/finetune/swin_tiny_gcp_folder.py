_base_ = [
    '../_base_/models/swin_tiny_gcp.py',
    '../_base_/datasets/folder_bs64.py',
    '../_base_/schedules/finetune_adamw.py',
    '../_base_/runtime_finetune.py',
]

model = dict(head=dict(num_classes=10))
# The factor 10 of the schedule is untested for a new covariance neck.
# torchvision's: tools/convert_checkpoint.py swin_t-704ceda3.pth DST
load_from = 'checkpoints/swin_t.pth'
