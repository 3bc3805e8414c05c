#!/bin/bash
# fuzz.sh TIME [PROFILES]: runs every fuzz target of the tree for TIME, one after the other.
# With PROFILES, FuzzProfile tries that many seeds instead, always the same.
set -euo pipefail

time=$1
profiles=${2:-}
cd "$(dirname "$0")/.."
said=$(mktemp)
trap 'rm -f "$said"' EXIT

# fuzz DIR TARGET. At the end of the time Go's fuzzer may take its own deadline for an
# error: the select of internal/fuzz sees it before the context that it derives from it
# does. Nothing was found then, and the target has its time again.
fuzz() {
	local try
	for try in 1 2 3; do
		if go test "./$1" -run '^$' -fuzz "^$2\$" -fuzztime "$time" -parallel 2 2>&1 | tee "$said"; then
			return 0
		fi
		if grep -q 'Failing input' "$said" || ! grep -q 'context deadline exceeded' "$said"; then
			return 1
		fi
		echo "fuzz: try $try ended by its own deadline"
	done
	return 1
}

while IFS=: read -r file target; do
	dir=$(dirname "$file")
	if [ "$target" = FuzzProfile ] && [ -n "$profiles" ]; then
		echo "fuzz: $dir $target, $profiles seeds"
		PROFILES=$profiles go test "./$dir" -run '^FuzzProfile$' -count=1
		continue
	fi
	echo "fuzz: $dir $target for $time"
	fuzz "$dir" "$target"
done < <(grep -roE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed -e 's,^\./,,' -e 's/:func /:/' | grep -v '^build/' | sort)
