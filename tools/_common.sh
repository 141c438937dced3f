# What the launch scripts share; sourced, with `tools` set to their folder.

is_positive() { [[ $1 =~ ^[1-9][0-9]*$ ]]; }

# fail_with_usage SCRIPT MESSAGE...: the usage is in the first lines of the script.
fail_with_usage() {
    echo "error: ${*:2}; usage:" >&2
    grep -h '^# .*bash tools\|^#   .*bash tools' "$tools/$1" >&2
    exit 2
}

# The environment that `make install` made, unless another one is asked for.
project_python() {
    local python=${PYTHON:-$tools/../.venv/bin/python}
    [[ -n ${PYTHON:-} || -x $python ]] || python=python
    echo "$python"
}
