import json

from tiny_runs import only_error


def test_writes_figure_and_numbers(call_tool, trained, tmp_path):
    files = ["--figure", tmp_path / "curves.png", "--json", tmp_path / "curves.json"]
    code, output, errors = call_tool(
        "tools/compare_runs.py", trained[0], *files, "--command", "tools/train.py X"
    )
    assert code == 0, errors
    summary = json.loads((tmp_path / "curves.json").read_text())
    (run,) = summary["runs"]
    assert run["epochs"] == [1, 2, 3] and summary["commands"] == ["tools/train.py X"]
    assert f"accuracy/top1 {run['metrics']['accuracy/top1'][-1]:.4g} after epoch 3" in output
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_folder_that_is_no_run(call_tool, tmp_path):
    files = ["--figure", tmp_path / "curves.png", "--json", tmp_path / "curves.json"]
    message = only_error(*call_tool("tools/compare_runs.py", tmp_path, *files))
    assert "not a work folder" in message and not list(tmp_path.iterdir())
