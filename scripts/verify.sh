#!/bin/bash
# verify.sh: what must hold of the tree without running it. Every fault is
# printed; the exit status is 1 when there is one.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

faults=0
fault() {
	printf 'verify: %s\n' "$1" >&2
	[ -z "${2:-}" ] || printf '%s\n' "$2" | sed 's/^/    /' >&2
	faults=$((faults + 1))
}
# Files that belong to the tree: what git ignores does not, what is not added yet does.
files() {
	git ls-files -co --exclude-standard -- "$@" | sort -u | while IFS= read -r f; do
		[ ! -f "$f" ] || printf '%s\n' "$f"
	done
}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# ---- generated files are what their generators write
mkdir -p "$tmp/seen"
go test -count=1 -run '^TestGeneratedFilesAreCurrent$' ./internal/plan >"$tmp/out" 2>&1 ||
	fault "the op header, docs/plan.md or the ABI hash is not current: make generate" "$(tail -n 5 "$tmp/out")"
generated() { # DIR FILE GENERATOR-ARGS...: runs it as go generate would, into another file
	local dir=$1 file=$2
	shift 2
	if ! (cd "$dir" && go run "$@" "$tmp/seen/$file") >"$tmp/out" 2>&1; then
		fault "$dir/$file: its generator fails" "$(tail -n 5 "$tmp/out")"
	elif ! cmp -s "$dir/$file" "$tmp/seen/$file"; then
		fault "$dir/$file is not current: make generate"
	fi
}
generated internal/ociconfig decode_gen.go ../gen/ocidecode -o
generated internal/ocischema rules_gen.go ../gen/ocischema -o
if [ -e /usr/include/seccomp.h ]; then
	generated internal/seccomp syscalls_table.go ../gen/seccomptab
fi

# ---- format
unformatted=$(files '*.go' | xargs -r gofmt -l 2>&1)
[ -z "$unformatted" ] || fault "gofmt would change" "$unformatted"
spaces=$(files 'init/*.[ch]' 'tests/*.c' '*.sh' Makefile | xargs -r grep -nE '[[:blank:]]+$')
[ -z "$spaces" ] || fault "white space at the end of a line" "$spaces"

# ---- sizes: a file is one subject that can be read in one sitting
long() { # MAX GLOB...
	local max=$1
	shift
	files "$@" | grep -vE '(_gen\.(go|h)|syscalls_table\.go)$' | while IFS= read -r f; do
		n=$(wc -l <"$f")
		[ "$n" -le "$max" ] || printf '%s: %d lines, at most %d\n' "$f" "$n" "$max"
	done
}
big=$(
	long 450 '*.go'
	long 350 '*.c' 'init/*.h'
	long 150 CONTRIBUTING.md
)
[ -z "$big" ] || fault "split by subject" "$big"

# ---- words
marks=$(files '*.go' '*.c' '*.h' '*.sh' '*.md' Makefile | grep -v '^scripts/verify.sh$' | xargs -r grep -nE '\b(TODO|FIXME|XXX|HACK)\b' |
	grep -v '# TODO') # a directive of TAP
[ -z "$marks" ] || fault "unfinished" "$marks"
# A path of one machine: the home of who works on it, or where this tree lies.
paths=$(files . | grep -vE '(^scripts/verify\.sh|\.sum)$' | xargs -r grep -nIE "(^|[^a-zA-Z0-9._/-])(${HOME:-/root}|$PWD)/")
[ -z "$paths" ] || fault "a path of one machine" "$paths"

# ---- changelog: Keep a Changelog
if [ ! -f CHANGELOG.md ]; then
	fault "CHANGELOG.md is missing"
else
	head -n 1 CHANGELOG.md | grep -qx '# Changelog' || fault "CHANGELOG.md: the first line is not '# Changelog'"
	grep -qx '## \[Unreleased\]' CHANGELOG.md || fault "CHANGELOG.md: there is no section [Unreleased]"
	odd=$(grep -nE '^##' CHANGELOG.md | grep -vE '^[0-9]+:(## \[Unreleased\]|## \[[0-9]+\.[0-9]+\.[0-9]+\] - [0-9]{4}-[0-9]{2}-[0-9]{2}|### (Added|Changed|Deprecated|Removed|Fixed|Security))$')
	[ -z "$odd" ] || fault "CHANGELOG.md: headings that Keep a Changelog does not know" "$odd"
fi

# ---- the documents that the tree promises
for f in README.md CONTRIBUTING.md SECURITY.md LICENSE docs/architecture.md docs/testing.md docs/security.md docs/plan.md; do
	[ -s "$f" ] || fault "$f is missing"
done
# A link to a file leads to one, and one to a heading to a heading, by the name that
# forges give it.
headings() { # FILE
	sed -n 's/^##* //p' "$1" | tr '[:upper:]' '[:lower:]' | sed 's/[^a-z0-9 _-]//g; s/ /-/g'
}
while IFS=: read -r from link; do
	link=${link#*](}
	link=${link%)}
	case $link in
	*://* | mailto:*) continue ;;
	esac
	to=${link%%#*}
	if [ -z "$to" ]; then to=$from; else to=$(dirname "$from")/$to; fi
	if [ ! -e "$to" ]; then
		fault "$from: the link to $link leads nowhere"
	elif [ "${link%%#*}" != "$link" ] && ! headings "$to" | grep -qxF -- "${link#*#}"; then
		fault "$from: the link to $link leads to no heading"
	fi
done < <(files '*.md' | xargs -r grep -oHE '\]\([^) ]+\)')

# ---- a page for each command
if [ -x ./tare ]; then
	./tare --help 2>/dev/null | awk '/^COMMANDS:/ { on = 1; next } /^[A-Z]/ { on = 0 } on && $1 != "help," && NF { print $1 }' >"$tmp/commands"
	[ -s "$tmp/commands" ] || fault "tare --help lists no commands"
	while IFS= read -r c; do
		[ -s "man/tare-$c.8" ] || [ -s "man/tare-$c.8.md" ] || fault "man/tare-$c.8 is missing"
	done < <(grep -v '^completion$' "$tmp/commands")
fi

# ---- the files for engines are what they are called
if python3 -c 'import tomllib' 2>/dev/null; then # since Python 3.11
	for f in $(files contrib/containerd contrib/crio contrib/podman contrib/docker); do
		case $f in
		*.json) python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$f" 2>"$tmp/out" || fault "$f is no JSON" "$(tail -n 1 "$tmp/out")" ;;
		*) python3 -c 'import tomllib, sys; tomllib.load(open(sys.argv[1], "rb"))' "$f" 2>"$tmp/out" || fault "$f is no TOML" "$(tail -n 1 "$tmp/out")" ;;
		esac
	done
fi

# ---- scripts
scripts=$(files '*.sh' .ci/run 'contrib/completions/*.bash')
for s in $scripts; do
	case $s in
	*.bash) continue ;;
	esac
	[ -x "$s" ] || fault "$s is not executable"
done
if command -v shellcheck >/dev/null 2>&1; then
	# shellcheck disable=SC2086 # a list of names without spaces
	found=$(shellcheck -f gcc $scripts) || fault "shellcheck" "$found"
fi

[ "$faults" -eq 0 ] || exit 1
echo "verify: nothing to say"
