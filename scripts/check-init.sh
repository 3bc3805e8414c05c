#!/bin/sh
# check-init.sh FILE MAX-BYTES: what must hold of every init that is embedded.
# It runs before anything could load it, so there is nobody to relocate it.
set -eu

file=$1
max=$2
fail() {
	rm -f "$file"
	printf '%s: %s\n' "$file" "$1" >&2
	exit 1
}

size=$(wc -c <"$file")
[ "$size" -le "$max" ] || fail "$size bytes, more than the $max that are allowed"
LC_ALL=C readelf -rW "$file" | grep -q 'There are no relocations' || fail "has relocations: $(readelf -rW "$file" | head -n 8)"
headers=$(LC_ALL=C readelf -lW "$file")
case $headers in
*INTERP*) fail "asks for a dynamic loader (PT_INTERP)" ;;
esac
case $headers in
*"RWE"*) fail "has a segment that is writable and executable" ;;
esac
printf '%s: %s bytes, no relocations, no loader\n' "$file" "$size"
