"""The config that the page on COCO-format data shows works as it stands."""

import re

from coco_files import CLASSES, write, write_coco
from mmengine.config import Config
from mmengine.registry import DATASETS, METRICS, init_default_scope


def test_recipe(repo, tmp_path, monkeypatch, kept_scope):
    init_default_scope("mmdet")
    text = (repo / "docs/coco_data.md").read_text()
    (shown,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    config = tmp_path / "mine.py"
    config.write_text(shown.replace('"./', f'"{repo}/configs/'))
    for split in ("train", "val"):
        content = write_coco(tmp_path / "data/mine", split)
        write(tmp_path / "data/mine", content, split).rename(
            tmp_path / f"data/mine/annotations/{split}.json"
        )
        (tmp_path / f"data/mine/{split}2017").rename(tmp_path / f"data/mine/{split}")
    monkeypatch.chdir(tmp_path)
    cfg = Config.fromfile(config)
    for stage in ("train", "val", "test"):
        dataset = DATASETS.build(cfg[f"{stage}_dataloader"].dataset)
        assert len(dataset) == 4 and dataset.metainfo["classes"] == CLASSES
        assert dataset[0]["inputs"].shape[0] == 3
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        metric = METRICS.build(evaluator)
        metric.dataset_meta = dataset.metainfo
        assert metric.cat_ids == [1, 2, 3]
    heads = cfg.model.roi_head
    assert heads.bbox_head.num_classes == heads.mask_head.num_classes == 3
