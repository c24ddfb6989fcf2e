#!/bin/bash -eu
# SPDX-License-Identifier: MIT
# build.sh - builds the harnesses as OSS-Fuzz does, from the root of the tree: each into
# $OUT, with its corpus as X_seed_corpus.zip and, where there is one, its dictionary.
#
# It sets CC, CXX, CFLAGS, CXXFLAGS, LIB_FUZZING_ENGINE, OUT and WORK; `scripts/fuzz
# --oss-fuzz` does so here. The library is compiled by hand: neither the tests' packages nor
# mimalloc is needed, because under a sanitizer memory comes from malloc. What is linked is
# static, for programs run where only they are.

objects=$WORK/libfaas
mkdir -p "$objects" "$OUT"
flags="$CFLAGS -std=c11 -D_DEFAULT_SOURCE= -DFAASI_SANITIZED=1 -DFAAS_STATIC -Iinclude -Isrc -Itests"

compile() { # SOURCE
    # shellcheck disable=SC2086 # these are words
    $CC $flags -c "$1" -o "$objects/$(echo "$1" | tr / _).o"
}

# As many at once as there are processors.
for source in src/core/*.c src/model/*.c src/onnx/graphs.c src/cli/trace.c fuzz/fuzz_*.c; do
    compile "$source" &
    while test "$(jobs -r | wc -l)" -ge "${JOBS:-$(nproc)}"; do
        wait -n
    done
done
while test "$(jobs | wc -l)" -gt 0; do
    wait -n
done

rm -f "$objects/libfaas.a"
ar rcs "$objects/libfaas.a" "$objects"/src_*.o

for source in fuzz/fuzz_*.c; do
    name=$(basename "$source" .c)
    corpus=fuzz/corpus/${name#fuzz_}
    # shellcheck disable=SC2086 # these are words
    $CXX $CXXFLAGS "$objects/fuzz_$name.c.o" -o "$OUT/$name" $LIB_FUZZING_ENGINE \
        "$objects/libfaas.a" -l:libffi.a -l:libz.a -lpthread -ldl -lm
    rm -f "$OUT/${name}_seed_corpus.zip"
    zip -q -j -r "$OUT/${name}_seed_corpus.zip" "$corpus"
    test ! -f "fuzz/dictionaries/${name#fuzz_}" ||
        cp "fuzz/dictionaries/${name#fuzz_}" "$OUT/$name.dict"
done
