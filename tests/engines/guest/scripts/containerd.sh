#!/bin/sh
# shellcheck disable=SC2016 # the shell of the container is meant
# ctr with a container in a unit of systemd's, and its checkpoint.
# shellcheck source=tests/engines/scripts/lib.sh
. /srv/engines/lib.sh
count='i=0; while :; do i=$((i+1)); echo $i >/count; sleep 0.1; done'
ctr run -d --runc-binary "$RTPATH" --runc-systemd-cgroup --cgroup "system.slice:ctr:$N" docker.io/library/box:latest "$N" sh -c "$count"
now() { ctr tasks ls | awk -v n="$N" '$1 == n {print $3}'; }
pid() { ctr tasks ls | awk -v n="$N" '$1 == n {print $2}'; }
cut -d : -f 3 "/proc/$(pid)/cgroup"
systemctl show "ctr-$N.scope" --property ActiveState
n=0
run() { n=$((n + 1)); ctr tasks exec --exec-id "e$n" "$N" "$@"; }
run sh -c 'echo inside; exit 3' 2>/dev/null
echo "exit $?"
ctr tasks pause "$N" && now
ctr tasks resume "$N" && now
end() {
	ctr tasks kill -s KILL "$N"
	until [ "$(now)" = STOPPED ]; do sleep 0.1; done
	ctr tasks rm "$N" >/dev/null 2>&1 # fails, because the exit code is not 0
	ctr containers rm "$N"
	unloaded systemctl show "ctr-$N.scope" --property LoadState
}
echo "# checkpoint"
ctr containers checkpoint --task --rw "$N" "check-$N" >/dev/null
echo "exit $?"
before=$(counted run)
end
ctr containers restore --live --rw "$N" "check-$N"
echo "exit $?"
now
cut -d : -f 3 "/proc/$(pid)/cgroup"
after=$(counted run)
[ "$after" -gt 0 ] && [ "$after" -le $((before + 100)) ] && echo "it counts on"
end
ctr images rm "check-$N" >/dev/null
