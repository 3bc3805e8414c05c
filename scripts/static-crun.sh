#!/bin/sh
# static-crun.sh FILE: builds crun from this Debian's source, without shared
# libraries and without libsystemd, as no distribution ships it: the quickest
# rival there is at what is short. As root, some minutes, for
#     make bench-report STATIC_CRUN=FILE
# It installs the Debian packages that crun needs to be built, and changes nothing
# else; the list of sources that it asks for is its own.
set -eu

out=$(realpath -m "${1:?usage: static-crun.sh FILE}")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/parts" "$tmp/lists/partial" "$tmp/cache/archives/partial" "$tmp/lib"
cat >"$tmp/parts/src.sources" <<END
Types: deb-src
URIs: http://deb.debian.org/debian
Suites: $(sed -n "s/^VERSION_CODENAME=//p" /etc/os-release)
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END
export DEBIAN_FRONTEND=noninteractive
apt-get install -y -qq --no-install-recommends gcc make libc6-dev autoconf automake libtool dpkg-dev python3 \
	libyajl-dev libcap-dev libseccomp-dev libgcrypt20-dev libgpg-error-dev >"$tmp/log" 2>&1 ||
	{ cat "$tmp/log" >&2; exit 1; }
cd "$tmp"
set -- -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$tmp/parts" -o Dir::State::lists="$tmp/lists" \
	-o Dir::Cache="$tmp/cache" -o APT::Sandbox::User=root
apt-get "$@" -qq update
apt-get "$@" -qq source --download-only crun
dpkg-source -x crun_*.dsc src >/dev/null
# Debian names the static library of yajl otherwise.
ln -s "$(find /usr/lib -name libyajl_s.a | head -n 1)" "$tmp/lib/libyajl.a"
cd src
{
	[ -x configure ] || autoreconf -fi
	[ -e git-version.h ] || printf '#define GIT_VERSION "%s"\n' "$(sed -n 's/^Version: //p' ../crun_*.dsc)" >git-version.h
	./configure --disable-systemd LIBS=-lgpg-error
	make -j"$(nproc)" LDFLAGS="-all-static -L$tmp/lib" crun
} >"$tmp/log" 2>&1 || { tail -n 30 "$tmp/log" >&2; exit 1; }
strip -o "$out" crun
"$out" --version | head -n 1
