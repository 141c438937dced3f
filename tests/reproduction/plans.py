"""A plan of the smallest runs, and texts that would like to be more than texts."""

import copy
from typing import Any

import yaml

# On `class_folders`: a stage of a ResNet-18, eight channels.
TINY: dict[str, Any] = {
    "title": "Two tiny runs",
    "text": "For a test.",
    "data_root": "data",
    "seeds": [0],
    "verdict": {
        "confidence": 0.95,
        "min_seeds": 3,
        "primary": {"convergence": ["top1/lrfast"], "landscape": ["loss_band/lrfast"]},
    },
    "groups": {
        "tiny": {
            "title": "A stage",
            "bases": ["_base_/datasets/imagenet_bs32.py", "_base_/runtime_classification.py"],
            "shorten": 0.04,
            "schedules": {"lrfast": ["_base_/schedules/resnet_lrfast.py"]},
            "settings": {
                "model": {
                    "backbone": {
                        **{"depth": 18, "stem_channels": 8, "base_channels": 8, "num_stages": 1},
                        **{"strides": [1], "dilations": [1], "out_indices": [0]},
                    },
                    "head": {"num_classes": 3, "topk": [1]},
                },
                "data_preprocessor": {"num_classes": 3},
            },
            "arms": {
                "gap": {
                    "title": "GAP",
                    "base": "_base_/models/resnet_gap.py",
                    "settings": {"model": {"head": {"in_channels": 8}}},
                },
                "gcp": {
                    "title": "GCP",
                    "base": "_base_/models/resnet_gcp.py",
                    "settings": {
                        "model": {
                            "neck": {"in_channels": 8, "reduced_channels": 4},
                            "head": {"in_channels": 10},
                        }
                    },
                },
            },
            "treatment": "gcp",
            "controls": ["gap"],
        }
    },
}
LANDSCAPE = {
    "schedule": "lrfast",
    "arms": ["gap", "gcp"],
    "interval": 1,
    "etas": {"start": 0.1, "stop": 1.0, "num": 2},
    "images": 4,
    "sharpness": {"radius": 0.5, "directions": 1},
}
ROBUSTNESS = {
    "schedule": "lrfast",
    "arms": ["gap", "gcp"],
    "images": "{data}/val",
    "size": 32,
    "input_size": 32,
    "epochs": [1],
    "corruptions": ["contrast"],
    "severities": [1, 3],
    "perturbations": ["translate"],
}
DETECTION = {
    "schedule": "lrfast",
    "bases": ["demo/mask_rcnn_r18_gcpm_scenes.py"],
    "treatments": ["gcpm"],
    "controls": ["gap"],
    "arms": {
        "gap": {
            "title": "GAP",
            "classifier": "gap",
            "settings": {"model": {"backbone": {"type": "ResNet"}}},
        },
        "gcpm": {"title": "GCPM", "classifier": "gcp"},
    },
}
# Each begins a code, a placeholder of mmengine, of this package or of a page.
HOSTILE = (
    "'); __import__('os').system('touch {marker}'); ('",
    '"); __import__("os").system("touch {marker}"); ("',
    "a\n__import__('os').system('touch {marker}')\n#",
    "\\",
    "\\'",
    '{{$NOWHERE:a\'}}\'+str(__import__("os").system("touch${IFS}{marker}"))#',
    "{{$HOME:x}}",
    "{{ fileDirname }}",
    "{{_base_.model.type}}",
    "{{{{data}}}}",
    "</script><script>alert(1)</script>",
    "**`[x](javascript:alert(1))",
    "\u202e\u2028 \N{SNOWMAN} $x_1$",
)


def tiny(**parts: Any) -> dict[str, Any]:
    """Return a copy of the tiny plan, with parts of its group."""
    content = copy.deepcopy(TINY)
    content["groups"]["tiny"].update(copy.deepcopy(parts))
    if "landscape" not in parts:
        del content["verdict"]["primary"]["landscape"]
    return content


def full() -> dict[str, Any]:
    """Return a tiny plan that has everything."""
    return tiny(landscape=LANDSCAPE, robustness=ROBUSTNESS, detection=DETECTION)


def write_plan(path, content: Any):
    """Write a plan, or a text as it is."""
    if not isinstance(content, str):
        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        content = yaml.dump(content, Dumper=dumper, sort_keys=False)
    path.write_text(content, encoding="utf-8")
    return path


def runnable(**parts: Any) -> dict[str, Any]:
    """Return the tiny plan on `class_folders`: a second for each training."""
    content = tiny(**parts)
    pipeline = [{"type": "LoadImageFromFile", "imdecode_backend": "pillow"}, {"type": "PackInputs"}]
    dataset = {"_delete_": True, "type": "CustomDataset", "data_root": "{data}"}
    loader = {"batch_size": 8, "num_workers": 0, "persistent_workers": False, "pin_memory": False}
    content["groups"]["tiny"]["settings"] |= {
        f"{split}_dataloader": {
            "dataset": {**dataset, "data_prefix": split, "pipeline": pipeline},
            **loader,
        }
        for split in ("train", "val")
    }
    content["groups"]["tiny"]["settings"] |= {
        "val_evaluator": {"topk": [1]},
        "optim_wrapper": {"optimizer": {"lr": 0.01}},
        "default_hooks": {"logger": {"interval": 1}},
    }
    return content
