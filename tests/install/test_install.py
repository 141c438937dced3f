"""What the installer does, leaves alone and survives."""

import time

LITE = ["venv", "sync", "project"]


def test_installs_once_and_follows_changes(machine):
    clone = machine.clone()
    # Compilers are nobody's business here.
    machine.remove("c++")
    status, output = machine.install(clone)
    assert (status, machine.done()) == (0, LITE), output
    assert [line[:5] for line in output.splitlines() if line[:1] == "["] == [
        f"[{step}/4]" for step in range(1, 5)
    ]
    started = time.monotonic()
    assert machine.install(clone) == (0, "Installed already: .venv is up to date.\n")
    assert machine.done() == []
    assert time.monotonic() - started < 10

    (clone / "configs" / "new.py").write_text("# a config that is copied on installation\n")
    assert machine.install(clone)[0] == 0
    assert machine.done() == ["project"]

    with (clone / "requirements" / "lock.txt").open("a") as lock:
        lock.write("# changed\n")
    assert machine.install(clone)[0] == 0
    assert machine.done() == ["sync", "project"]


def test_lock_is_installed_whole_and_exactly(machine):
    clone = machine.clone()
    machine.install(clone)
    lock = (clone / "requirements/lock.txt").read_text()
    assert machine.requirements() == "".join(
        line.replace("==", "===", 1) if line[:1].isalnum() else line
        for line in lock.splitlines(keepends=True)
    )
    (sync,) = [line for line in machine.commands() if line.startswith("pip sync")]
    assert "--require-hashes" in sync


def test_missing_kernels_are_compiled_again(machine):
    clone = machine.clone()
    machine.install(clone)
    library = clone / "gcp_mm/ops/cpu_kernels/_kernels.so"
    library.parent.mkdir(parents=True)
    library.touch()
    # As installed from here on.
    machine.install(clone, "--force")
    assert machine.install(clone) == (0, "Installed already: .venv is up to date.\n")
    library.unlink()
    assert machine.install(clone)[0] == 0
    assert machine.done() == ["project"]
    # Where they cannot be compiled, once is enough.
    assert machine.install(clone) == (0, "Installed already: .venv is up to date.\n")


def test_moved_tree_gets_a_new_environment(machine):
    clone = machine.clone()
    machine.install(clone)
    clone.rename(machine.folder / "moved")
    status, output = machine.install(machine.folder / "moved")
    assert (status, machine.done()[0]) == (0, "venv")
    assert f"it was made for {clone}" in output


def test_removed_mmcv_is_put_back(machine):
    clone = machine.clone()
    machine.install(clone)
    (clone / ".venv/lib/python3/site-packages/mmcv/__init__.py").unlink()
    assert machine.install(clone)[0] == 0
    assert machine.done() == ["sync", "project"]


def test_failed_self_check_fails_the_install(machine):
    clone = machine.clone()
    status, output = machine.install(clone, FAKE_DOCTOR="1")
    assert status != 0
    assert "FAIL" in output
    assert machine.install(clone)[0] == 0
    assert machine.done()[0] == "sync"


def test_forks_have_an_environment_and_a_lock_of_their_own(machine):
    clone = machine.clone()
    machine.install(clone)
    status, output = machine.install(clone, STACK="onedl")
    assert status == 0, output
    assert "onedl-mmcv===2.3.6" in machine.requirements()
    assert "\nmmcv-lite=" not in machine.requirements()
    assert (clone / ".venv-onedl/bin/python").exists()
    for stack in ("", "onedl"):
        assert machine.install(clone, STACK=stack)[1].startswith("Installed already")
    for options, complaint in (
        ({"STACK": "onedl", "MMCV": "build"}, "MMCV=build goes with the default stack"),
        ({"STACK": "other"}, "openmmlab or onedl is needed"),
    ):
        assert complaint in machine.install(clone, **options)[1]


def test_other_torch_replaces_that_of_the_lock(machine):
    clone = machine.clone()
    status, output = machine.install(clone, TORCH="cu126")
    assert (status, machine.done()) == (0, ["venv", "sync", "torch", "project"]), output
    assert "--torch-backend cu126 torch==2.13.0 torchvision==0.28.0" in machine.commands()[2]
    names = {line.split("=")[0] for line in machine.requirements().splitlines()}
    assert "numpy" in names
    # What comes with that torch is not downloaded for the other one.
    assert not [
        name
        for name in names
        if name.startswith(("torch", "nvidia-", "cuda-", "triton")) and name != "torchmetrics"
    ]
    # Kept unasked, also when the lock changes.
    assert machine.install(clone)[1].startswith("Installed already")
    with (clone / "requirements" / "lock.txt").open("a") as lock:
        lock.write("# changed\n")
    machine.install(clone)
    assert machine.done() == ["sync", "torch", "project"]
    machine.install(clone, TORCH="default")
    assert machine.done() == ["sync", "project"]
    assert "torch===2.13.0" in machine.requirements()


def test_torch_from_an_index_of_the_users_choice(machine):
    clone = machine.clone()
    machine.install(clone, TORCH="https://mirror.example/torch")
    assert "--index https://mirror.example/torch torch==2.13.0" in machine.commands()[2]
    status, output = machine.install(clone, TORCH="cuda")
    assert status != 0
    assert "TORCH=cuda: not a build of torch" in output


def test_clone_in_a_folder_with_a_blank(machine):
    clone = machine.clone("my clone")
    status, output = machine.install(clone, MMCV="build")
    assert status == 0, output
    assert machine.done() == [
        *["venv", "sync", "wheel  0 precompiled_cxx.sh", "no mmcv-lite", "mmcv", "project"]
    ]
    assert machine.install(clone) == (0, "Installed already: .venv is up to date.\n")
    (clone / "configs/new.py").touch()
    assert machine.install(clone)[0] == 0
    assert machine.done() == ["project"]
    assert machine.install(clone, "--check-only")[1].endswith(".venv is up to date\n")


def test_bundle_in_a_folder_with_a_blank(machine):
    clone = machine.clone("my clone")
    files = "torch-2.13.0-cp311.whl uv-0.13.9-py3.whl"
    for _ in range(2):
        status, output = machine.bundle(clone, BUNDLE="my bundle", FAKE_FILES=files)
        assert status == 0, output
    status, output = machine.install(clone, OFFLINE="my bundle")
    assert status == 0, output
    assert machine.done() == ["venv", "sync", "project"]
