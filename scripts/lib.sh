# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# lib.sh - what the scripts share: what Debian calls what we need, where the demo's data
# comes from, how a preset is built. Sourced with `root` set to the tree.
#
# shellcheck disable=SC2034,SC2154 # used by, and set by, the script that sources it

# ---- Debian's names. TOOL=PACKAGE is there when the tool is, wherever it came from.

need_to_build="cmake=cmake ninja=ninja-build gcc=gcc pkg-config=pkg-config libc6-dev
    libffi-dev libxxhash-dev libmimalloc-dev zlib1g-dev"
need_to_python="$need_to_build python3-dev python3-venv python3-setuptools python3-wheel
    python3-build"
need_to_test="$need_to_build g++=g++ clang=clang nm=binutils python3=python3 spin=spin check
    relacy-dev doxygen=doxygen libuv1-dev libglib2.0-dev libxgboost-dev $need_to_python
    python3-pytest python3-numpy mypy=mypy"
need_to_bench="$need_to_build g++=g++ python3=python3 libglib2.0-dev libboost-dev
    libuv1-dev libtbb-dev libconcurrentqueue-dev libzmq3-dev libyajl-dev libsimdjson-dev
    libxgboost-dev"
need_to_fuzz="$need_to_build g++=g++ clang=clang check relacy-dev libclang-rt-14-dev python3=python3"
need_to_fuzz_afl="afl-fuzz=afl++" # with need_to_fuzz
need_to_fuzz_oss="zip=zip unzip=unzip" # likewise
need_to_bench_python="$need_to_python python3-numpy python3-blinker python3-pyee"
need_to_plot="gnuplot=gnuplot-nox"
need_to_docs="doxygen=doxygen python3=python3 sphinx-build=python3-sphinx python3-breathe furo
    python3-myst-parser"
need_to_fetch="npm=npm ca-certificates"

say() {
    printf '%s\n' "$*" >&2
}

die() {
    say "$(basename "$0"): $*"
    exit 1
}

# Prints those of the needs that are not there, by their package's name.
needs_missing() { # NEED...
    for need in "$@"; do
        package=${need#*=}
        case $need in
        *=*) command -v "${need%%=*}" >/dev/null && continue ;;
        *)
            # Without dpkg nobody knows; the configure step will tell.
            command -v dpkg-query >/dev/null || continue
            status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=
            test "$status" = installed && continue
            ;;
        esac
        printf '%s ' "$package"
    done
}

# Installs what is missing. Asks for rights only if something is. Returns 1, having said
# what to do, when it cannot.
needs_install() { # NEED...
    missing=$(needs_missing "$@")
    test -n "$missing" || return 0
    command="apt-get install --no-install-recommends $missing"
    if ! command -v apt-get >/dev/null; then
        say "Missing, by their Debian names: $missing"
        say "There is no apt-get here. Install them your system's way, then run this again."
        return 1
    fi
    if test "$(id -u)" -eq 0; then
        as_root=
    elif command -v sudo >/dev/null; then
        as_root=sudo
        say "Some packages are missing; sudo may ask for your password."
    else
        say "Missing: $missing"
        say "There is no sudo here. As root, run"
        say "    apt-get update && $command"
        say "then run this again."
        return 1
    fi
    say "Installing: $missing"
    # The words of $missing are packages, and $as_root may be none.
    # shellcheck disable=SC2086
    if ! $as_root apt-get -q update ||
        ! $as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get -q -y install --no-install-recommends $missing; then
        say "This failed: apt-get update && $command"
        say "With the network there and rights to install, run it by hand, then run this again."
        return 1
    fi
}

# ---- What is fetched: files of npm packages, pinned in scripts/data.lock.

data_dir=$root/build/data

# Says which command failed, what it said, and what to do.
data_failed() { # FILE COMMAND REASON
    say "$1 cannot be had. This failed:"
    say "    $2"
    say "$3"
    return 1
}

# Fetches a file into build/data, unless it is there. Returns 1, having said why, when it
# cannot.
data_fetch() { # FILE
    test ! -f "$data_dir/$1" || return 0
    read -r _ package version integrity member <<EOF
$(grep "^$1 " "$root/scripts/data.lock")
EOF
    # shellcheck disable=SC2086
    needs_install $need_to_fetch || return 1

    say "Fetching $package $version"
    work=$data_dir/work
    archive=$work/$package-$version.tgz
    rm -rf "$work"
    mkdir -p "$work"
    pack="npm pack $package@$version"
    if ! (cd "$work" &&
        npm pack --loglevel=error --fetch-retries=1 --cache "$work/cache" "$package@$version") \
        >"$work/npm.log" 2>&1 || ! test -f "$archive"; then
        sed 's/^/    | /' "$work/npm.log" >&2
        data_failed "$1" "$pack" "Is the network there? It is needed once; then
$data_dir/$1 is kept. With a copy of the package's $member at hand, put it there instead."
        return 1
    fi

    # The registry gives base64 of the digest, sha512sum hexadecimal.
    want=$(printf '%s' "${integrity#sha512-}" | base64 -d | od -An -v -tx1 | tr -d ' \n')
    got=$(sha512sum "$archive" | cut -d ' ' -f 1)
    if test "$want" != "$got"; then
        data_failed "$1" "$pack" "What came is not what scripts/data.lock pins:
    pinned sha512 $want
    got    sha512 $got
Nothing of it is used. If your network rewrites downloads, fetch from another one."
        return 1
    fi
    if ! tar -xzf "$archive" -C "$work" "package/$member"; then
        data_failed "$1" "tar -xzf $archive package/$member" "The archive has no such file."
        return 1
    fi
    mv "$work/package/$member" "$data_dir/$1"
    rm -rf "$work"
}

# ---- Models with known answers: too large for the tree, and not in any package.

models_dir=${FAAS_MODELS_DIR:-$root/../shared/data/models}

# Returns 1, having said what is missing, when they are not there.
models_find() {
    test -f "$models_dir/mnist/model.onnx" && return 0
    say "No models in $models_dir; FAAS_MODELS_DIR says where else they are:"
    say "    mnist/model.onnx, mnist/t10k-images-idx3-ubyte, mnist/t10k-labels-idx1-ubyte"
    return 1
}

# ---- Building.

# Configures and builds a preset.
build_preset() { # PRESET
    (cd "$root" && cmake --preset "$1" && cmake --build --preset "$1")
}

# The thread sanitizer of this age does not know the widest address randomisation.
without_randomisation() { # COMMAND...
    if setarch "$(uname -m)" -R true 2>/dev/null; then
        setarch "$(uname -m)" -R "$@"
    else
        "$@"
    fi
}

# Builds the wheel of the Python package and installs it into a fresh environment, which sees
# Debian's packages, but nothing of the tree. Prints nothing but errors.
python_environment=$root/build/python-env
build_python() {
    package=$root/build/python-package
    rm -rf "$package" "$python_environment"
    mkdir -p "$package"
    (cd "$root" && cmake --preset release >/dev/null &&
        cmake --build --preset release --target faas_embedded) || return 1
    # A copy: what setuptools leaves behind is not for the tree.
    mkdir -p "$package/bindings"
    cp -r "$root/bindings/python" "$package/bindings/python"
    ln -s "$root/include" "$package/include"
    (cd "$package/bindings/python" &&
        FAAS_CORE=$root/build/release/libfaas_embedded.a \
            /usr/bin/python3 -m build --no-isolation --wheel . >"$package/build.log" 2>&1) || {
        cat "$package/build.log" >&2
        return 1
    }
    /usr/bin/python3 -m venv --system-site-packages "$python_environment" &&
        "$python_environment/bin/pip" install -q --no-index --no-deps \
            "$package"/bindings/python/dist/faas-*-cp311-abi3-*.whl
}

# Builds the demo alone: it needs neither C++ nor what only tests and benches use.
build_demo() { # EXAMPLE
    (cd "$root" && cmake --preset release -DFAAS_TESTS=OFF -DFAAS_BENCH=OFF &&
        cmake --build --preset release --target "$1")
}
