#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh - builds and runs the consumer programs by one of the ways:
#
#     run.sh WAY SOURCE BUILD CMAKE CC CXX GENERATOR
#
# WAY is find_package, pkg_config, add_subdirectory or fetch_content.
# Each way installs for itself, below BUILD/consumers, so that all may run at once.
set -eu

way=$1 source=$2 build=$3 cmake=$4 cc=$5 cxx=$6 generator=$7
here=$source/tests/consumers
work=$build/consumers/$way
prefix=$work/prefix

rm -rf "$work"
mkdir -p "$work"

run() { # PROGRAM SHARED|STATIC: runs it, and looks at what it is linked with
    "$1"
    needed=$(readelf -d "$1" | grep -c 'NEEDED.*libfaas\.so' || true)
    case $2,$needed in
    shared,1 | static,0) ;;
    *)
        echo "$1: should be linked with the $2 library" >&2
        exit 1
        ;;
    esac
    # The host's malloc stays the host's: mimalloc, which has one, is not linked.
    if ldd "$1" | grep mimalloc >&2; then
        exit 1
    fi
}

run_all() { # BUILD_FOLDER
    for language in c cpp cpp20; do
        run "$1/faas_$language" shared
        run "$1/faas_static_$language" static
    done
    "$1/faas_module"
}

case $way in
find_package)
    "$cmake" --install "$build" --prefix "$prefix" >"$work/install.log"
    "$cmake" -G "$generator" -S "$here/find_package" -B "$work/build" \
        -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_PREFIX_PATH="$prefix"
    "$cmake" --build "$work/build"
    run_all "$work/build"
    ;;
add_subdirectory | fetch_content)
    "$cmake" -G "$generator" -S "$here/$way" -B "$work/build" \
        -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" -DFAAS_SOURCE_DIR="$source"
    "$cmake" --build "$work/build"
    run_all "$work/build"
    ;;
pkg_config)
    "$cmake" --install "$build" --prefix "$prefix" >"$work/install.log"
    PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name faas.pc)")
    export PKG_CONFIG_PATH
    libdir=$(pkg-config --variable=libdir faas)
    # shellcheck disable=SC2046,SC2086
    $cc -std=c11 -Wall -Wextra -Werror "$here/module.c" -o "$work/faas_module" \
        $(pkg-config --cflags --libs faas-onnx) -Wl,-rpath,"$libdir"
    "$work/faas_module"
    # Words of pkg-config are options: they must split. With both libraries in one folder
    # the linker takes the shared one, so the static one gets a folder of its own.
    mkdir "$work/static"
    ln -s "$libdir/libfaas.a" "$work/static/"
    for language in c cpp cpp20; do
        case $language in
        c) compiler="$cc -std=c11" ;;
        cpp) compiler="$cxx -std=c++17 -DCONSUMER_STANDARD=17" ;;
        cpp20) compiler="$cxx -std=c++20 -DCONSUMER_STANDARD=20" ;;
        esac
        # shellcheck disable=SC2046,SC2086
        $compiler -Wall -Wextra -Werror "$here/consumer.${language%20}" -o "$work/faas_$language" \
            $(pkg-config --cflags --libs faas) -Wl,-rpath,"$libdir"
        # shellcheck disable=SC2046,SC2086
        $compiler -Wall -Wextra -Werror "$here/consumer.${language%20}" \
            -o "$work/faas_static_$language" -L"$work/static" \
            $(pkg-config --static --cflags --libs faas)
    done
    run_all "$work"
    ;;
*)
    echo "run.sh: no such way: $way" >&2
    exit 1
    ;;
esac
