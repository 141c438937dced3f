"""
Robustness, on your own images
==============================

How much worse does a classifier get on noisy, blurred or foggy images? Here for a folder of your
own, with the functions that ``tools/make_corruptions.py`` and ``tools/test_robustness.py`` call:
:doc:`/robustness` has the commands.

Everything is small: 100 handwritten digits of 32 x 32, three corruptions at three severities, and
two networks that were trained for seconds on clean digits.
"""

import contextlib
import io
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from mmengine.config import Config
from PIL import Image
from small_networks import COLOURS, config, digits, split, trained

from gcp_mm.engine.config import load_config
from gcp_mm.robustness.corrupt import make_corruptions
from gcp_mm.robustness.corrupt.cells import choose_cells
from gcp_mm.robustness.evaluation.evaluate import evaluate
from gcp_mm.robustness.evaluation.options import Options
from gcp_mm.robustness.report import read_models
from gcp_mm.robustness.report.values import error_curves, long_table

# %%
# A folder for each class
# -----------------------
#
# Yours is there already; this one is written here. The digits are those that no network has seen.

temporary = tempfile.TemporaryDirectory()
work = Path(temporary.name)
images, labels = digits()
_, held_out = split()
for label in range(10):
    folder = work / "images" / str(label)
    folder.mkdir(parents=True)
    for row in held_out[labels[held_out] == label][:10].tolist():
        Image.fromarray(images[row].numpy()).save(folder / f"{row:04d}.png")

# %%
# Corrupt them
# ------------
#
# A tree like ImageNet-C, ``corruption/severity/class/image.JPEG``. Each file has a seed of its own:
# made again, it is the same.

NAMES, SEVERITIES = ("gaussian_noise", "defocus_blur", "contrast"), (1, 3, 5)
cells = choose_cells("imagenet-c", NAMES, SEVERITIES)
written, _ = make_corruptions(work / "images", work / "c", cells, size=32)
print(f"{written} files in {len(cells)} cells")

figure, axes = plt.subplots(3, 4, figsize=(5, 3.9), layout="constrained")
example = sorted(path.relative_to(work / "images") for path in work.glob("images/3/*.png"))[0]
for row, name in zip(axes, NAMES, strict=True):
    for axis, severity in zip(row, (0, *SEVERITIES), strict=True):
        cell = work / "c" / name / str(severity) if severity else work / "images"
        path = next((cell / example.parent).glob(f"{example.stem}.*"))
        axis.imshow(Image.open(path))
        axis.set(xticks=[], yticks=[])
        if name == NAMES[0]:
            axis.set_title(f"severity {severity}" if severity else "clean", fontsize=11)
    row[0].set_ylabel(name.replace("_", "\n"), fontsize=11)
figure.set_label(
    "A handwritten three, clean and with Gaussian noise, defocus blur and less contrast at three "
    "severities; at the strongest it is hardly to be recognised"
)
plt.show()

# %%
# Evaluate
# --------
#
# A network is a config and a file of weights, as for the tool. Each gets a result file, which grows
# by a cell at a time, so that an evaluation that was stopped goes on.

READ = [dict(type="gcp_mm.LoadImage"), dict(type="PackInputs")]
for pooling in COLOURS:
    torch.save({"state_dict": trained(pooling).state_dict()}, work / f"{pooling}.pth")
    settings = dict(
        model=config(pooling),
        # The images as the networks were given them: from -1 to 1.
        data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True, num_classes=10),
        # How clean images are read.
        test_dataloader=dict(dataset=dict(type="CustomDataset", pipeline=READ)),
    )
    Config(settings).dump(work / f"{pooling}.py")
    cfg = load_config(str(work / f"{pooling}.py"), work_dir=str(work))
    options = Options(
        dataset="imagenet-c",
        data_root=work / "c",
        out=work / f"{pooling}.json",
        name=pooling,
        names=NAMES,
        severities=SEVERITIES,
        clean_root=work / "images",
        input_size=32,
        device="cpu",
        workers=0,
    )
    # Its progress and times are of no interest here.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        evaluate(cfg, work / f"{pooling}.pth", options)

# %%
# Errors by corruption and severity
# ---------------------------------

models = read_models([work / f"{pooling}.json" for pooling in COLOURS])
curves = error_curves(long_table(models))
clean = {model.name: 100 * model.metrics("imagenet-c")["clean_error"] for model in models}
temporary.cleanup()
print(f"{'error in %':16}{'clean':>7}" + "".join(f"{severity:>7}" for severity in SEVERITIES))
for name in NAMES:
    for model, found in curves.items():
        numbers = (clean[model], *found[name].values())
        print(f"{name:16}" + "".join(f"{number:7.1f}" for number in numbers) + f"   {model}")

figure, axes = plt.subplots(1, 3, figsize=(6, 3), sharey=True, layout="constrained")
for axis, name in zip(axes, NAMES, strict=True):
    for model, marker in zip(curves, "os", strict=True):
        errors = (clean[model], *curves[model][name].values())
        axis.plot((0, *SEVERITIES), errors, marker=marker, color=COLOURS[model], label=model)
    axis.set(title=name.replace("_", " "), xticks=(0, *SEVERITIES), xlabel="severity (0: clean)")
    axis.grid(alpha=0.3)
axes[0].set_ylabel("error (%)")
axes[0].legend(frameon=False)
figure.set_label(
    "Error by severity in three panels: with noise it grows late, with blur steadily, and with "
    "less contrast it is high from the mildest severity on, for both networks"
)
plt.show()

# %%
# Networks that have seen nothing but clean digits fail at the mildest change of contrast, and
# neither pooling is better for all three. Of 100 images an error of 20 % has a standard error of 4
# points, so that small differences say nothing. ``tools/test_robustness.py report`` makes a page,
# tables and figures of the same result files.
