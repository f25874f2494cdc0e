#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs a program with the CUDA backend over CUDA's libraries as they are played: a copy of it, in a folder where it
# finds the module that the stand-in is in, and a driver that is none. FV_STANDIN (standin.h) says what device it is.
#
#   rehearse.sh MODULE DRIVER PROGRAM [ARG...]     PROGRAM: a path
set -e
module=$1 driver=$2 program=$3
shift 3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/tools" "$folder/trainer"
cp "$program" "$folder/tools/"
ln -s "$(realpath "$module")" "$folder/trainer/libfv-cuda.so"
export XDG_CACHE_HOME="${XDG_CACHE_HOME:-$folder}" # plans that the stand-in's cuDNN made up
export LD_LIBRARY_PATH="$(dirname "$(realpath "$driver")")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
"$folder/tools/$(basename "$program")" "$@"
