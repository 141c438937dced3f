# What the launch scripts share; sourced, with `tools` set to their folder.

is_positive() { [[ $1 =~ ^[1-9][0-9]*$ ]]; }

# fail_with_usage SCRIPT MESSAGE...: the usage is in the first lines of the script.
fail_with_usage() {
    echo "error: ${*:2}; usage:" >&2
    grep -h '^# .*bash tools\|^#   .*bash tools' "$tools/$1" >&2
    exit 2
}

# The interpreter that is asked for, that of an activated environment, or that of `make install`.
project_python() {
    local python=${PYTHON:-${VIRTUAL_ENV:+$VIRTUAL_ENV/bin/python}}
    python=${python:-$tools/../.venv/bin/python}
    [[ -n ${PYTHON:-} || -x $python ]] || python=python
    echo "$python"
}
