"""What the system says of a process (Linux)."""

from pathlib import Path


def is_running(pid: int) -> bool:
    """Return whether a process exists and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def users_of(folder: Path) -> dict[int, str]:
    """Return the processes that have a file below a folder open, or name it, by their number."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            links = [process / "cwd", *(process / "fd").iterdir()]
            places = [str(link.readlink()) for link in links]
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if command and any(str(folder) in text for text in (*places, command)):
            found[int(process.name)] = command
    return found
