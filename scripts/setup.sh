#!/bin/sh
# setup.sh GOAL: installs the Debian packages that a goal needs and that are
# missing. Goals: build, demo, test, bench; each includes build.
# It changes nothing else, and does nothing when nothing is missing.
set -eu

usage="usage: setup.sh build|demo|test|bench"
goal=${1:?$usage}

# Each line: a package, and a command or file that shows that it is there.
build="
gcc             gcc
binutils        readelf
make            make
libc6-dev       /usr/include/stdio.h
linux-libc-dev  /usr/include/linux/mount.h
"
demo="$build
busybox-static  /usr/share/doc/busybox-static
"
bench="$demo
crun            crun
runc            runc
strace          strace
"
test="$bench
libseccomp-dev             /usr/include/seccomp.h
shellcheck                 shellcheck
gcc-aarch64-linux-gnu      aarch64-linux-gnu-gcc
libc6-dev-arm64-cross      /usr/aarch64-linux-gnu/include/stdio.h
qemu-user-static           qemu-aarch64-static
docker.io                  dockerd
containerd                 containerd
podman                     podman
python3                    python3
buildah                    buildah
umoci                      umoci
conmon                     conmon
iptables                   iptables
uidmap                     newuidmap
containernetworking-plugins /usr/lib/cni/bridge
qemu-system-x86            qemu-system-x86_64
debootstrap                debootstrap
e2fsprogs                  mkfs.ext4
secilc                     secilc
dbus-daemon                dbus-daemon
iproute2                   ip
nftables                   nft
ufw                        ufw
"
case $goal in
build) wanted=$build ;;
demo) wanted=$demo ;;
bench) wanted=$bench ;;
test) wanted=$test ;;
*)
	echo "$usage" >&2
	exit 2
	;;
esac

present() {
	case $1 in
	/*) [ -e "$1" ] ;;
	*) command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] ;;
	esac
}

missing=$(printf '%s\n' "$wanted" | while read -r package proof; do
	[ -n "$package" ] || continue
	present "$proof" || printf '%s ' "$package"
done)

if ! command -v go >/dev/null 2>&1; then
	echo "setup: go is not installed; tare needs the version that go.mod names (https://go.dev/dl)" >&2
	exit 1
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "setup: as root, install: $missing" >&2
	exit 1
fi
if ! command -v apt-get >/dev/null 2>&1; then
	echo "setup: no apt-get here; install what these Debian packages have: $missing" >&2
	exit 1
fi
echo "setup: installing $missing" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# The engines come with daemons, which the tests start by themselves: a package
# that is installed here starts no service.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	trap 'rm -f "$log" $policy' EXIT
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 0755 $policy
fi
# A fresh machine has no lists, and one that was set up long ago has old ones.
# shellcheck disable=SC2086 # $missing is a list of words
apt-get install -y -qq --no-install-recommends $missing >"$log" 2>&1 ||
	{ apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1 ||
	{
		cat "$log" >&2
		echo "setup: could not install: $missing" >&2
		exit 1
	}
