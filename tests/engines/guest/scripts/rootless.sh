#!/bin/sh
# podman of an ordinary user, in units of the user's own manager.
# shellcheck disable=SC2016 # the shell of the container is meant
# shellcheck source=tests/engines/scripts/lib.sh
. /srv/engines/lib.sh
user_() { setpriv --reuid=4321 --regid=4321 --clear-groups env -i HOME=/home/tester USER=tester XDG_RUNTIME_DIR=/run/user/4321 \
	DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/4321/bus PATH="$PATH" "$@"; }
p() { user_ podman --runtime "$RT" "$@"; }
cd /
p info --format '{{.Host.Security.Rootless}} {{.Host.CgroupManager}} {{.Host.CgroupsVersion}} {{.Host.CgroupControllers}}'
p run -d --network none --name "$N" --memory 64m --pids-limit 50 box sleep 1000 >/dev/null
pid=$(p inspect --format '{{.State.Pid}}' "$N")
unit=libpod-$(p inspect --format '{{.Id}}' "$N").scope
shown() { user_ systemctl --user show "$unit" --property "$1"; }
cut -d : -f 3 "/proc/$pid/cgroup"
for q in ActiveState Slice MemoryMax TasksMax; do shown $q; done
stat -c %u "/proc/$pid"
echo "# exec"
code p exec "$N" sh -c 'id -u; cat /proc/self/cgroup; awk "{print \$1, \$3}" /proc/self/uid_map; exit 3'
code p run --rm --network none box sh -c 'exit 7'
code p run --rm --network none --memory 16m box tail /dev/zero
echo "# pause, update, stats"
# runc 1.1 warns of each, that it may fail.
p pause "$N" >/dev/null 2>&1 && p inspect --format '{{.State.Status}}' "$N"
p unpause "$N" >/dev/null 2>&1
p update --memory 96m "$N" >/dev/null
cat "/proc/$pid/root/sys/fs/cgroup/memory.max"
p stats --no-stream --format '{{.MemUsage}}' "$N" | cut -d / -f 2
p stop -t 0 "$N" >/dev/null
p inspect --format '{{.State.Status}} {{.State.ExitCode}} {{.OCIRuntime}}' "$N"
p rm "$N" >/dev/null
unloaded shown LoadState
