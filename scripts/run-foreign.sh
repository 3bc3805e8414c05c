#!/bin/sh
# run-foreign.sh INIT TARE MACHINE: starts programs that were built for another
# machine, in emulation. Without its descriptors the init must end with status
# 127, and tare must say that it knows no such container; a wrong entry point, or
# a relocation that nobody applies, would be a signal.
set -eu

file=$1
tare=$2
machine=$3
if ! qemu=$(command -v "qemu-$machine-static" || command -v "qemu-$machine"); then
	echo "$file: not run, qemu-user for $machine is not installed"
	exit 0
fi
status=0
"$qemu" "$file" || status=$?
if [ "$status" -ne 127 ]; then
	echo "$file: ended with $status in $qemu, want 127" >&2
	exit 1
fi
echo "$file: runs on $machine"
said=$("$qemu" "$tare" --root "$(mktemp -du)" state none 2>&1) || true
if [ "$said" != 'tare: container does not exist: "none"' ]; then
	echo "$tare: in $qemu it said: $said" >&2
	exit 1
fi
echo "$tare: runs on $machine"
