"""Programs of warm_python.py run as those of the interpreter do."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from warm_python import warm_python

SEEN = """
import json, os, sys
told = dict(
    arguments=sys.argv, folder=os.getcwd(), name=__name__, variable=os.environ.get("VARIABLE"),
    path=sys.path[:2], read=sys.stdin.read(), modules=sorted(
        {name.split(".")[0] for name in sys.modules}
        & {"gcp_mm", "mmcv", "mmdet", "mmengine", "mmpretrain", "torch", "sklearn"}))
print(json.dumps(told))
print("aside", file=sys.stderr)
"""


@pytest.fixture(scope="module", params=["interpreter", "warm"])
def python(request, warm_env):
    """Return each of the two."""
    if warm_env["PYTHON"] == sys.executable:
        pytest.skip("this system has not what warm_python.py takes")
    return sys.executable if request.param == "interpreter" else warm_env["PYTHON"]


@pytest.mark.parametrize("how", ["text", "module", "script"])
def test_program_sees_what_it_was_started_with(python, tmp_path, how):
    for name in ("below", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "below/seen.py").write_text(SEEN)
    words = {"text": ["-c", SEEN], "module": ["-m", "seen"], "script": ["seen.py"]}[how]
    process = subprocess.run(
        [python, *words, "a b", "-u"],
        cwd=tmp_path / "below",
        env={**os.environ, "VARIABLE": "é\n", "PYTHONPATH": str(tmp_path / "other")},
        input="typed",
        capture_output=True,
        text=True,
        check=True,
    )
    told, folder = json.loads(process.stdout), str(tmp_path / "below")
    modules = told.pop("modules")
    assert modules == ([] if python == sys.executable else ["sklearn", "torch"])
    first = "-c" if how == "text" else "seen.py" if how == "script" else f"{folder}/seen.py"
    assert told == dict(
        arguments=[first, "a b", "-u"],
        folder=folder,
        name="__main__",
        variable="é\n",
        path=["" if how == "text" else folder, str(tmp_path / "other")],
        read="typed",
    )
    assert process.stderr == "aside\n"


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('what')", 1, "what\n"),
        ("import os; os._exit(7)", 7, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, ""),
        ("1 / 0", 1, "ZeroDivisionError: division by zero\n"),
        ("import atexit, sys; atexit.register(print, 'end', file=sys.stderr)", 0, "end\n"),
    ],
)
def test_program_ends_as_it_would(python, text, code, said):
    process = subprocess.run([python, "-c", text], capture_output=True, text=True, check=False)
    assert process.returncode == code
    assert process.stderr.endswith(said) and bool(process.stderr) == bool(said)


# Says when it can be interrupted, and starts a program that outlives it if nothing is done.
# A shell may have started the tests with SIGINT ignored, which programs inherit.
WAITING = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
subprocess.Popen(["sleep", "60"])
try:
    print("waiting", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(5)
"""


def test_signals_reach_a_program(python):
    process = subprocess.Popen([python, "-c", WAITING.replace("60", "9")], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"waiting\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == b"interrupted\n"
    assert process.wait() == 5
    process.stdout.close()


def test_program_and_what_it_started_end_with_a_killed_client(warm_env):
    if warm_env["PYTHON"] == sys.executable:
        pytest.skip("this system has not what warm_python.py takes")
    process = subprocess.Popen([warm_env["PYTHON"], "-c", WAITING], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"waiting\n"
    process.kill()
    began = time.monotonic()
    process.communicate()
    assert time.monotonic() < began + 30


def test_processes_draw_other_numbers(warm_env):
    # Each of them forks from the state that the server has.
    text = "import random, numpy; print(random.random(), *numpy.random.rand(1))"
    drawn = [
        subprocess.check_output([warm_env["PYTHON"], "-c", text], text=True).split()
        for _ in range(2)
    ]
    assert len({number for numbers in drawn for number in numbers}) == 4


def test_server_ends_with_the_last_that_needs_it(tmp_path, tool_env):
    python, first = warm_python(tmp_path, tool_env, ())
    again, second = warm_python(tmp_path, tool_env, ())
    assert python == again
    first.close()
    assert subprocess.run([python, "-c", ""], check=False).returncode == 0
    second.close()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if subprocess.run([python, "-c", ""], stderr=subprocess.DEVNULL, check=False).returncode:
            break
        time.sleep(0.1)
    else:
        pytest.fail("the server is still there")
    python, lease = warm_python(tmp_path, tool_env, ())
    assert subprocess.run([python, "-c", ""], check=False).returncode == 0
    lease.close()
