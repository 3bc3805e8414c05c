#!/bin/bash
# fuzz.sh TIME: runs every fuzz target of the tree for TIME, one after the other.
set -euo pipefail

time=$1
cd "$(dirname "$0")/.."
while IFS=: read -r file target; do
	dir=$(dirname "$file")
	echo "fuzz: $dir $target for $time"
	go test "./$dir" -run '^$' -fuzz "^$target\$" -fuzztime "$time" -parallel 2
done < <(grep -roE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed -e 's,^\./,,' -e 's/:func /:/' | grep -v '^build/' | sort)
