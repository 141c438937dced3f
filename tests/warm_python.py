"""A Python whose processes begin with the libraries imported that the stack imports.

Of the five seconds that importing the stack takes, four go into torch, scikit-learn, pandas and
the like. A server has imported these, but no package of OpenMMLab and nothing of this project, and
forks a process for each program. Who starts the program starts ``python`` from here: it passes on
its streams, its folder, its environment and the signals that it gets, and ends as the program does.

It is for tests of what a program does once it runs. Tests of a process from its start (options of
the interpreter, other libraries, what an import prints), and of its parent, need a real one.

A second server is forked from the first and has imported OpenMMLab and this project as well
(``whole_stack.py``), for programs of which no import is tested. That takes a training two of its
three seconds.
"""

import atexit
import contextlib
import fcntl
import gc
import importlib
import json
import os
import selectors
import shlex
import signal
import socket
import sys
from pathlib import Path

LIBRARIES = (
    *("torch._dynamo", "torch.distributed.fsdp", "torch.distributed.optim"),
    *("torch.distributed.run", "torch.utils.data", "torch.utils.tensorboard", "torchvision"),
    *("cv2", "imagecorruptions", "matplotlib.pyplot", "pandas", "pycocotools.mask", "rich.table"),
    *("scipy.optimize", "scipy.stats", "shapely", "sklearn.cluster", "sklearn.gaussian_process"),
    "yapf",
)
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LONGEST_ADDRESS = 100


def warm_python(
    folder: Path,
    env: dict[str, str],
    libraries: tuple[str, ...] = LIBRARIES,
    interpreter: str = sys.executable,
    start: str = "",
) -> tuple[str, socket.socket | None]:
    """Return the path of such a Python, and what keeps its server alive until it is closed.

    Workers of a session share the server of their folder; the first of them starts it, with
    ``start`` in place of the interpreter: another such Python. A library may be a folder, in which
    those behind it are looked for first. Where the system has not what this takes, it is the
    interpreter itself.
    """
    address, python = folder / "warm", folder / "python"
    if not hasattr(os, "pidfd_open") or len(os.fsencode(address)) > LONGEST_ADDRESS:
        return interpreter, None
    with (folder / "warm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(OSError):
            return str(python), _lease(address)
        address.unlink(missing_ok=True)
        # -I -S: the client needs nothing that takes time to find.
        words = [interpreter, "-I", "-S", __file__, "start", str(address)]
        python.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        python.chmod(0o755)
        _start_server(address, env, [start or interpreter, __file__, "serve"], libraries)
        return str(python), _lease(address)


def _start_server(
    address: Path, env: dict[str, str], words: list[str], libraries: tuple[str, ...]
) -> None:
    """Start a server, which begins to listen here, so that it can be called at once."""
    import subprocess

    # What PYTHONPATH says is each program's own.
    env = {name: value for name, value in env.items() if name != "PYTHONPATH"}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen(64)
        subprocess.Popen(
            [*words, "0", *libraries],
            env=env,
            stdin=listener,
            start_new_session=True,
        )


def _lease(address: Path) -> socket.socket:
    """Connect to a server, and wait until it says that it will not end before this does."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(address))
    connection.sendall(b"{}\n")
    if not connection.recv(1):
        raise ConnectionResetError("the server has just ended")
    return connection


def start(address: str, words: list[str]) -> None:
    """Have a program run by the server, and end as it does."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        for number in PASSED_ON:
            signal.signal(number, lambda number, _: server.send(bytes([number])))
        request = {"words": words, "folder": str(Path.cwd()), "env": dict(os.environ)}
        request["python"] = str(Path(address).with_name("python"))
        content = json.dumps(request).encode() + b"\n"
        sent = socket.send_fds(server, [content], [0, 1, 2])
        server.sendall(content[sent:])
        answer = server.recv(4)
    if not answer:
        sys.exit("the server of warm_python.py has ended")
    code = os.waitstatus_to_exitcode(int.from_bytes(answer, "little"))
    if code < 0:
        with contextlib.suppress(OSError):  # nobody may handle SIGKILL anyway
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


class Server:
    """Forks a process for each request, until nobody is connected any more."""

    def __init__(self, listener: socket.socket) -> None:
        self.selector = selectors.DefaultSelector()
        self.selector.register(listener, selectors.EVENT_READ, self.accept)
        self.listener = listener
        self.request: dict | None = None

    def serve(self) -> dict | None:
        """Return None in the server, at its end, and in a forked process what it has to run."""
        served = False
        while self.request is None and not (served and len(self.selector.get_map()) == 1):
            for key, _ in self.selector.select():
                key.data()
                if self.request is not None:
                    break
            served = True
        return self.request

    def accept(self) -> None:
        """Take a request, and fork for it if it is more than a lease."""
        connection, _ = self.listener.accept()
        content, streams, _, _ = socket.recv_fds(connection, 2**16, 3)
        while content and not content.endswith(b"\n"):
            content += connection.recv(2**16)
        if not content:
            connection.close()
            return
        request = json.loads(content)
        if not request:
            self.watch(connection, lambda: self.forget(connection))
            connection.send(b"\n")
            return
        pid = os.fork()
        if pid == 0:
            for key in list(self.selector.get_map().values()):
                key.fileobj.close() if hasattr(key.fileobj, "close") else os.close(key.fd)
            connection.close()
            self.request = request | {"streams": streams}
            return
        for stream in streams:
            os.close(stream)
        ended = os.pidfd_open(pid)
        self.watch(ended, lambda: self.answer(connection, ended, pid))
        self.watch(connection, lambda: self.pass_on(connection, pid))

    def watch(self, file: socket.socket | int, react: object) -> None:
        """Call a function when there is something to read."""
        self.selector.register(file, selectors.EVENT_READ, react)

    def forget(self, connection: socket.socket) -> None:
        """Close a connection."""
        if connection.fileno() >= 0:
            self.selector.unregister(connection)
            connection.close()

    def pass_on(self, connection: socket.socket, pid: int) -> None:
        """Send a signal to a program, and kill it and what it started if its client has ended."""
        try:
            number = connection.recv(1)
        except OSError:
            number = b""
        if number:
            os.kill(pid, number[0])
            return
        self.forget(connection)
        for kill in (os.killpg, os.kill):  # it may have no session of its own yet
            with contextlib.suppress(ProcessLookupError):
                kill(pid, signal.SIGKILL)

    def answer(self, connection: socket.socket, ended: int, pid: int) -> None:
        """Tell the client of a program how that has ended."""
        _, status = os.waitpid(pid, 0)
        self.selector.unregister(ended)
        os.close(ended)
        with contextlib.suppress(OSError):
            connection.send(status.to_bytes(4, "little"))
        self.forget(connection)


def import_libraries(names: list[str]) -> None:
    """Import what takes the time; not all of it need be installed."""
    path = list(sys.path)
    for name in names:
        if Path(name).is_absolute():
            sys.path.insert(0, name)
            continue
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    sys.path[:] = path
    launcher = sys.modules.get("torch.distributed.elastic.rendezvous.dynamic_rendezvous")
    if launcher is not None:
        # It names its callers, and would look for their source among all that is imported.
        launcher.get_method_name = lambda depth=2: sys._getframe(depth).f_code.co_name
    gc.collect()
    gc.freeze()


def become(request: dict) -> None:
    """Take over the streams, the environment and the folder of a client, in a new session."""
    os.setsid()
    for number, stream in enumerate(request["streams"]):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["folder"])
    sys.executable = request["python"]  # for who starts more processes
    # Those that they replace may be of this kind, and must not close them.
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    # Not the numbers of every other process.
    for module in filter(None, map(sys.modules.get, ("random", "numpy.random"))):
        module.seed()


class End:
    """Ends a program without taking its modules to pieces, which takes a third of a second."""

    def __init__(self) -> None:
        self.code: int | None = None
        # The functions of the libraries, and those of the program, come before this one.
        atexit.register(self)

    def __call__(self) -> None:
        """End the process of a program, after all else; the server ends as ever."""
        if self.code is not None:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(self.code)

    def of(self, words: list[str]) -> None:
        """Run a program and keep its exit code."""
        self.code = 0
        try:
            run(words)
        except SystemExit as end:
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
            self.code = 1 if isinstance(end.code, str) else int(end.code or 0) % 256
        except BaseException:
            sys.excepthook(*sys.exc_info())
            self.code = 1


def run(words: list[str]) -> None:
    """Run a program as the interpreter would, of whose options only -u may be given."""
    import runpy
    from types import ModuleType

    unbuffered = words[0] == "-u"
    first, *rest = words[unbuffered:]
    sys.stdout.reconfigure(write_through=unbuffered)
    path = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:0] = ["", *(str(Path(part).absolute()) for part in path)]
    if first == "-c":
        sys.argv = ["-c", *rest[1:]]
        module = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), vars(module))
    elif first == "-m":
        sys.path[0], sys.argv = str(Path.cwd()), rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0], sys.argv = str(Path(first).absolute().parent), [first, *rest]
        runpy.run_path(first, run_name="__main__")


def main() -> None:
    """Be the client or the server."""
    _, role, place, *words = sys.argv
    if role == "start":
        start(place, words)
    listener = socket.socket(fileno=int(place))
    del sys.path[0]  # where this file is
    end = End()
    import_libraries(words)
    request = Server(listener).serve()
    if request is not None:
        become(request)
        end.of(request["words"])


if __name__ == "__main__":
    main()
