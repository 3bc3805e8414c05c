#!/bin/sh
# run-foreign-init.sh FILE MACHINE: starts an init that was built for another
# machine, in emulation. Without its descriptors it must end with status 127; a
# wrong entry point or a relocation that nobody applies would be a signal.
set -eu

file=$1
machine=$2
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
