"""Damaged files of every kind at every door: refused in one line, or as good as the intact one."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from doors import TEXTS, WEIGHTS, Door
from forked import Ended, run_forked
from inputs import Inputs
from kills import JOBS, run_job
from outcome import Outcome
from results import digests, first_difference, measurement

_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 123\n" % (b"0" * 64)


def _flip(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]


def _zero(content: bytes, rng: random.Random) -> bytes:
    at, length = rng.randrange(len(content)), min(4096, len(content) // 3 + 1)
    part = content[at : at + length]
    return content[:at] + bytes(len(part)) + content[at + len(part) :]


def _insert(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + rng.randbytes(7) + content[at:]


# What becomes of the content.
CONTENTS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "empty": lambda content, rng: b"",
    "one byte": lambda content, rng: content[:1],
    "half": lambda content, rng: content[: len(content) // 2],
    "cut anywhere": lambda content, rng: content[: rng.randrange(len(content))],
    "last byte gone": lambda content, rng: content[:-1],
    "a bit flipped": _flip,
    "a block of zeros": _zero,
    "bytes inserted": _insert,
    "twice": lambda content, rng: content + content,
    "gzip": lambda content, rng: gzip.compress(content),
    "noise": lambda content, rng: rng.randbytes(max(64, len(content) // 2)),
    "a web page": lambda content, rng: b"<!DOCTYPE html><html><body>404</body></html>",
    "LFS pointer": lambda content, rng: _POINTER,
    "UTF-16": lambda content, rng: content.decode("latin-1").encode("utf-16"),
    "null in JSON": lambda content, rng: b"null",
    "a list in JSON": lambda content, rng: b"[1, 2]",
    "a number in JSON": lambda content, rng: b"1e999",
    "deep JSON": lambda content, rng: b"[" * 100_000,
}

# What takes the place of the file.
PLACES: dict[str, Callable[[Path], None]] = {
    "a folder": lambda path: path.mkdir(),
    "a dangling link": lambda path: path.symlink_to(path.parent / "nowhere"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a named pipe": lambda path: os.mkfifo(path),
}


class Subject(NamedTuple):
    """A kind of file and the doors that it goes through.

    Attributes:
        file: The intact one.
        doors: Those of this kind.
        checked: Whether the format can tell any damage, so that what is accepted has to be as
            good as the intact file. A list of names cut behind a line is another list.
    """

    file: Path
    doors: dict[str, Door]
    checked: bool = False


def _subjects(inputs: Inputs, folder: Path) -> dict[str, Subject]:
    """Make one valid file of each kind with the commands that write it."""
    made = {}
    whole = JOBS["robustness C"]
    shard = whole._replace(
        arguments=lambda *where: [*whole.arguments(*where), "--shard", "0/1"],
    )
    for name, job in {
        **{name: JOBS[name] for name in ("train", "robustness C", "landscape probe")},
        "shard": shard,
    }.items():
        made[name] = folder / name.replace(" ", "_")
        ended, _ = run_job(job, inputs, made[name], again=False)
        assert ended.code == 0, ended.output
    lines = [
        f"{path.relative_to(inputs.images / 'train')} {path.parent.name}"
        for path in sorted((inputs.images / "train").glob("*/*.png"))
    ]
    listing = folder / "listing.txt"
    listing.write_text("\n".join(lines) + "\n")
    weights = {
        name: WEIGHTS[name]
        for name in ("test", "convert --weights-only", "load_checkpoint", "train load_from")
    }
    return {
        "training checkpoint": Subject(
            made["train"] / "work" / "epoch_2.pth",
            {**weights, "train --resume": WEIGHTS["train --resume"]},
            checked=True,
        ),
        "result of robustness": Subject(
            made["robustness C"] / "out.json", {"robustness report": TEXTS["robustness report"]}
        ),
        "shard of robustness": Subject(
            made["shard"] / "out.json", {"robustness merge": TEXTS["robustness merge"]}
        ),
        "records of a probe": Subject(
            made["landscape probe"] / "probe.jsonl", {"landscape plot": TEXTS["landscape plot"]}
        ),
        "label list": Subject(listing, {"train ann_file": TEXTS["train ann_file"]}),
    }


def _result(out: Path) -> dict:
    """Read what a door has written: numbers and weights, no logs and no figures."""
    import torch

    found = measurement(out)
    for path in [*out.glob("*.pth"), *out.glob("work/epoch_*.pth")]:
        content = torch.load(path, map_location="cpu", weights_only=False)
        found[path.name] = digests(content.get("state_dict"))
    for path in out.glob("work/*/*.json"):
        found["metrics"] = {
            key: value for key, value in json.loads(path.read_text()).items() if "time" not in key
        }
    for path in out.rglob("*.csv"):
        found[path.name] = path.read_text()
    return found


def _replace(subject: Subject, damage: str, out: Path, rng: random.Random) -> Path:
    """Write the damaged file under the name of the intact one."""
    file = out / "damaged" / subject.file.name
    file.parent.mkdir(parents=True)
    if damage in PLACES:
        PLACES[damage](file)
    else:
        file.write_bytes(CONTENTS[damage](subject.file.read_bytes(), rng))
    return file


def _judge(ended: Ended, checked: bool, intact: dict, found: dict) -> str | None:
    """Say what is wrong with an end, or None."""
    if ended.crashed:
        return f"crashed: {ended.last_line}"
    if ended.code not in (0, 2):
        return f"ended otherwise: {ended.last_line}"
    if ended.code == 0 and checked and (difference := first_difference(intact, found)):
        return f"accepted, but {difference}"
    return None


def run(inputs: Inputs, seconds: float, seed: int) -> int:
    """Bring every damage of every kind of file to its doors, in random order while there is time.

    Args:
        inputs: See :func:`inputs.make_inputs`.
        seconds: Time to spend.
        seed: Order of the cases and place of the damages.

    Returns:
        Exit status.
    """
    end = time.monotonic() + seconds
    folder = inputs.folder / "damaged"
    folder.mkdir()
    subjects = _subjects(inputs, folder)
    outcome = Outcome("damaged files")
    cases = [
        (kind, damage, door)
        for kind, subject in subjects.items()
        for damage in [*CONTENTS, *PLACES]
        for door in subject.doors
    ]
    # Twice, because the place of some damages is drawn.
    cases *= 2
    random.Random(seed).shuffle(cases)
    intact: dict[tuple[str, str], dict] = {}
    for number, (kind, damage, door) in enumerate(cases):
        if time.monotonic() > end:
            break
        subject = subjects[kind]
        if (kind, door) not in intact:
            out = folder / f"intact_{number}"
            out.mkdir()
            ended = run_forked(subject.doors[door](inputs, subject.file, out))
            if ended.code != 0:
                outcome.failed(f"intact {kind} at {door}", ended.last_line)
            intact[kind, door] = _result(out)
        out = folder / str(number)
        out.mkdir()
        file = _replace(subject, damage, out, random.Random(f"{seed} {number}"))
        ended = run_forked(subject.doors[door](inputs, file, out), patience=60)
        shutil.rmtree(file.parent)
        found = _result(out) if ended.code == 0 else {}
        problem = _judge(ended, subject.checked, intact[kind, door], found)
        if problem:
            outcome.failed(f"{kind}, {damage}, at {door} (case {number})", problem)
        else:
            outcome.held()
            shutil.rmtree(out)
    return outcome.report()
