# Sourced by all of scripts/; never run by itself.
# Makes .venv exactly as uv.lock says, and is silent and instant when it already is. WITHOUT_VENV=1: only finds uv.

say() { printf '%s\n' "$*" >&2; }
fail() { say "${0##*/}: $*"; exit 1; }

find_python() {
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed and was not found. Install it, or name it: PYTHON=/path/to/python3.12 ${0##*/}"
}

# Debian keeps ensurepip, without which no virtual environment can be made, in a package of its own.
install_venv_package() {
    command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] ||
        fail "this Python cannot make virtual environments; install its venv package (Debian: apt-get install python3-venv)"
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-venv; } \
        >/dev/null 2>&1 || fail "apt-get could not install python3-venv; install it by hand and try again"
}

# uv comes from PATH, else from its own small virtual environment in the cache.
find_uv() {
    if command -v uv; then return; fi
    uv_home="${XDG_CACHE_HOME:-$HOME/.cache}/kaniko-bed/uv"
    if [ ! -x "$uv_home/bin/uv" ]; then
        say "installing uv (once, from the Python package index)"
        if ! "$1" -m venv --clear "$uv_home" >/dev/null 2>&1; then
            install_venv_package
            "$1" -m venv --clear "$uv_home" || fail "no virtual environment could be made in $uv_home"
        fi
        "$uv_home/bin/pip" --quiet --disable-pip-version-check install 'uv>=0.9,<1' ||
            fail "pip could not install uv; is the Python package index reachable?"
    fi
    echo "$uv_home/bin/uv"
}

make_venv() {
    stamp=$(cat uv.lock pyproject.toml | sha256sum)
    [ "$(cat .venv/.made-from 2>/dev/null)" = "$stamp" ] && [ -x .venv/bin/python ] && return
    python=$(find_python) || exit 1
    uv=$(find_uv "$python") || exit 1
    say "preparing .venv from uv.lock"
    UV_SYSTEM_CERTS=1 UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy \
        "$uv" sync --quiet --locked --compile-bytecode --python "$python" ||
        fail "the Python environment could not be made from uv.lock (see above)"
    printf '%s' "$stamp" > .venv/.made-from
}

# Files on a command line are those of whoever calls, and not of the project's folder.
export CALLED_FROM="$PWD"
cd "$(dirname "$0")/.." || exit 1
[ -n "${WITHOUT_VENV:-}" ] || make_venv
export PYTHONPATH="$PWD/scripts"
