#!/bin/sh
# SPDX-License-Identifier: MIT
# Stands before the compiler of a project that builds lazuli as its part: objects of lazuli are copied from the tree where
# the same sources have been compiled with the same flags, which consumer_test.cmake checks first.
#   reuse_object.sh BUILT_TREE COMPILER ARGUMENT...
set -eu
built=$1
shift
output=
previous=
for argument; do
  [ "$previous" != -o ] || output=$argument
  previous=$argument
done
case $output in
  *lazuli_objects.dir/* | *lazuli_codegen_objects.dir/*) exec cp "$built/CMakeFiles/lazuli_${output#*CMakeFiles/lazuli_}" "$output" ;;
  *) exec "$@" ;;
esac
