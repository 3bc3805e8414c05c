#!/bin/bash
# demo.sh TARE: a container beside its host, and what it could not do. It needs
# root and busybox-static, and leaves nothing behind.
set -euo pipefail

tare=$1
[ "$(id -u)" -eq 0 ] || {
	echo "demo: needs root" >&2
	exit 1
}
work=$(mktemp -d)
bundle=$work/bundle
state=$work/state
id=demo-$$

run() { "$tare" --root "$state" "$@"; }
# shellcheck disable=SC2329 # called by the trap
cleanup() {
	run delete --force "$id" >/dev/null 2>&1 || true
	rm -rf "$work"
}
trap cleanup EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$1"; }

# ---- a bundle: busybox, and a config.json

rootfs=$bundle/rootfs
mkdir -p "$rootfs"/{bin,dev,etc,proc,sys,tmp} "$state"
cp "$(command -v busybox)" "$rootfs/bin/busybox"
for name in sh ls cat id hostname mount sleep readlink grep ps wc tr ln touch cut sed echo env kill; do
	ln -s busybox "$rootfs/bin/$name"
done
echo 'root:x:0:0:root:/:/bin/sh' >"$rootfs/etc/passwd"

# config ARGS: the arguments as JSON strings
config() {
	cat <<JSON
{
  "ociVersion": "1.2.0",
  "hostname": "tare-demo",
  "root": {"path": "rootfs", "readonly": true},
  "process": {
    "user": {"uid": 0, "gid": 0},
    "args": [$1],
    "env": ["PATH=/bin", "TERM=xterm"],
    "cwd": "/",
    "noNewPrivileges": true,
    "capabilities": {"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"]},
    "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 256, "hard": 256}]
  },
  "mounts": [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
    {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777", "size=1m"]}
  ],
  "linux": {
    "cgroupsPath": "/$id",
    "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "cgroup"}],
    "resources": {
      "memory": {"limit": 33554432},
      "pids": {"limit": 12},
      "cpu": {"quota": 50000, "period": 100000}
    },
    "maskedPaths": ["/proc/kcore", "/proc/keys"],
    "readonlyPaths": ["/proc/sys"]
  }
}
JSON
}

# what prints one fact a line, "name|value", the same inside and on the host.
cat >"$rootfs/bin/look" <<'SH'
#!/bin/sh
fact() { echo "$1|$2"; }
field() { grep "^$1:" /proc/self/status | cut -f 2; }
fact 'my process id' "$$"
fact 'processes that I see' "$(ls /proc | grep -c '^[0-9]')"
fact 'host name' "$(hostname)"
fact 'user and group' "$(id -u):$(id -g)"
fact 'mounts that I see' "$(wc -l </proc/self/mounts)"
fact 'entries of /' "$(ls / | wc -l)"
fact 'device nodes' "$(ls /dev | wc -l)"
fact 'network interfaces' "$(sed 1,2d /proc/net/dev | wc -l)"
for ns in pid net ipc uts mnt cgroup user; do
	fact "$ns namespace" "$(readlink /proc/self/ns/$ns | tr -dc 0-9)"
done
fact 'effective capabilities' "$(field CapEff)"
fact 'no new privileges' "$(field NoNewPrivs)"
fact 'open file limit' "$(ulimit -n)"
fact "kernel's keys that I see" "$(wc -l </proc/keys)"
fact 'root file system' "$(sed -n 's,^[^ ]* / [^ ]* \(r[ow]\).*,\1,p' /proc/self/mounts | sed -n '$p')"
SH
chmod +x "$rootfs/bin/look"

say "1. The plan: what create would do, in order, before anything is done (tare plan)"
config '"/bin/look"' >"$bundle/config.json"
run plan --bundle "$bundle" >"$work/plan"
sed -n -e 1,4p -e '/mount-fs/p' -e '/path-mask/p' -e '/caps-/p' -e '/exec /p' "$work/plan" | cut -c 1-130
echo "($(wc -l <"$work/plan") operations in all; each line ends with the field of config.json that asked for it)"

say "2. The same questions, asked on the host and inside a container (tare run)"
"$rootfs/bin/look" >"$work/host"
run run --bundle "$bundle" "$id" >"$work/inside"
printf '%-26s %-22s %s\n' '' 'on the host' 'in the container'
while IFS='|' read -r name value; do
	printf '%-26s %-22s %s\n' "$name" "$(grep -F "$name|" "$work/host" | cut -d '|' -f 2)" "$value"
done <"$work/inside"
cat <<'TEXT'
Inside, the program is process 1 and sees only itself. Every namespace that the
config asks for has another number than the host's; the user namespace, which it
does not ask for, is the same. Root in there has one capability, and no way to more.
TEXT

say "3. Limits, read back from the kernel while it runs (create, start, state)"
# shellcheck disable=SC2016 # for the shell inside
config '"/bin/sh", "-c", "(i=0; while [ $i -lt 40 ]; do sleep 100 & i=$((i+1)); done); exec sleep 100"' >"$bundle/config.json"
run create --bundle "$bundle" --pid-file "$work/pid" "$id" </dev/null >"$work/out" 2>&1
pid=$(cat "$work/pid")
status() { run state "$id" | tr -d ' \n' | sed 's/.*"status":"\([a-z]*\)".*/\1/'; }
echo "after create: $(status), process $pid on the host is $(tr '\0' ' ' <"/proc/$pid/cmdline")waiting at the gate, $(awk '/^VmRSS/ {print $2 " " $3}' "/proc/$pid/status") big"
run start "$id"
echo "after start:  $(status), process $pid is now $(tr '\0' ' ' <"/proc/$pid/cmdline" | cut -c 1-24)..."

# where CONTROLLER: its directory for the container, in cgroup v1 or v2
where() {
	local line path
	line=$(grep -E "^[0-9]+:([a-z,_]+,)?$1(,[a-z,_]+)?:" "/proc/$pid/cgroup" || true)
	if [ -n "$line" ]; then
		echo "/sys/fs/cgroup/$1${line##*:}"
	else
		path=$(sed -n 's/^0:://p' "/proc/$pid/cgroup")
		echo "/sys/fs/cgroup$path"
	fi
}
limit() { # NAME CONTROLLER V1-FILE V2-FILE
	local dir file
	dir=$(where "$2")
	for file in "$3" "$4"; do
		[ -r "$dir/$file" ] && echo "  $1: $(cat "$dir/$file")   ($2, $file)" && return
	done
	echo "  $1: this host has no $2 controller"
}
limit 'memory, bytes' memory memory.limit_in_bytes memory.max
limit 'processes' pids pids.max pids.max
limit 'CPU time, microseconds of every 100000' cpu cpu.cfs_quota_us cpu.max
sleep 1 # the shell inside needs a moment to run into its limit
echo "  it tried to start 40 processes and has $(cat "$(where pids)/pids.current"); its shell said: $(grep -m 1 -i fork "$work/out" || echo nothing)"

say "4. Mistakes in a config: all of them, by field, before anything is done"
config '"/bin/look"' | sed 's/"cwd": "\/"/"cwd": "tmp"/; s/RLIMIT_NOFILE/RLIMIT_FILES/; s/nosuid", "nodev/nosuid", "no-dev/' >"$bundle/config.json"
run create --bundle "$bundle" "$id-bad" </dev/null 2>&1 | fold -s -w 110 || true

say "5. The end (kill, delete)"
run kill "$id" KILL
while [ "$(status)" != stopped ]; do sleep 0.1; done
echo "after kill:   $(status)"
run delete "$id"
left=$(find /sys/fs/cgroup -maxdepth 3 -type d -name "$id*" | wc -l)
echo "after delete: $(find "$state" -mindepth 1 | wc -l) files of state, $left cgroups, $(grep -c "$work" /proc/self/mounts || true) mounts left"
