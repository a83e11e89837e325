#!/bin/bash -eu
# SPDX-License-Identifier: MIT
# Builds all fuzzers as OSS-Fuzz asks for them. It sets CC, CXX, CFLAGS, CXXFLAGS, LIB_FUZZING_ENGINE, SRC, WORK and OUT;
# the sources lie in $SRC/lazuli, and those of fmt and nlohmann/json beside them where the system has neither.

# std::from_chars of double is missing from libc++ before 20. The fuzzers run where no libstdc++ is.
CXXFLAGS=${CXXFLAGS//-stdlib=libc++/}
export CXXFLAGS
export LDFLAGS="${LDFLAGS:-} -static-libstdc++"

prefix=$WORK/prefix
mkdir -p "$prefix"
for library in fmt json; do
  [ -d "$SRC/$library" ] || continue
  cmake -G Ninja -S "$SRC/$library" -B "$WORK/$library" -DCMAKE_BUILD_TYPE=None -DCMAKE_INSTALL_PREFIX="$prefix" \
    -DFMT_TEST=OFF -DFMT_DOC=OFF -DJSON_BuildTests=OFF
  cmake --build "$WORK/$library" --target install
done

# No build type: the flags are OSS-Fuzz's alone.
cmake -G Ninja -S "$SRC/lazuli" -B "$WORK/lazuli" -DCMAKE_BUILD_TYPE=None -DCMAKE_PREFIX_PATH="$prefix" \
  -DLAZULI_BUILD_FUZZERS=ON -DLAZULI_FUZZING_ENGINE="$LIB_FUZZING_ENGINE"
cmake --build "$WORK/lazuli" --target fuzzers

sed -n 's/^LAZULI_FUZZER(\(.*\))$/\1/p' "$SRC/lazuli/tests/fuzz/targets.def" | while read -r fuzzer; do
  cp "$WORK/lazuli/bin/fuzz_$fuzzer" "$OUT/"
  [ ! -e "$WORK/lazuli/bin/fuzz_$fuzzer.dict" ] || cp "$WORK/lazuli/bin/fuzz_$fuzzer.dict" "$OUT/"
  # Corpus and regressions may hold files of one name.
  inputs=$(mktemp -d)
  for folder in corpus regressions; do
    for input in "$SRC/lazuli/tests/fuzz/$folder/$fuzzer"/*; do
      [ ! -e "$input" ] || cp "$input" "$inputs/$folder-$(basename "$input")"
    done
  done
  (cd "$inputs" && zip -q -r "$OUT/fuzz_${fuzzer}_seed_corpus.zip" .)
  rm -r "$inputs"
  printf '[libfuzzer]\nrss_limit_mb = 1024\nmalloc_limit_mb = 256\ntimeout = 10\n' >"$OUT/fuzz_$fuzzer.options"
done
