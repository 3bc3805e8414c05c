#!/bin/sh
# Pods, and kube files made and played.
. /run/engines/scripts/lib.sh
podman --runtime "$RT" pod create --name "$N" --network none --hostname pod >one
podman --runtime "$RT" run -d --pod "$N" --name "$N-a" box sh -c 'sleep 777 & wait' >/dev/null
podman --runtime "$RT" run --rm --pod "$N" box hostname
for n in net ipc uts; do
	[ "$(podman --runtime "$RT" run --rm --pod "$N" box readlink /proc/self/ns/$n)" = "$(podman exec "$N-a" readlink /proc/self/ns/$n)" ] && echo "$n is shared"
done
podman pod inspect --format '{{.State}}' "$N"
podman pod pause "$N" >/dev/null
plook '{{.State.Status}}' "$N-a"
podman pod unpause "$N" >/dev/null
plook '{{.State.Status}}' "$N-a"
podman generate kube "$N" >kube.yaml 2>/dev/null
podman pod rm -f -t 0 "$N" >/dev/null
sed "s/$N-a/ctr/" -i kube.yaml
podman --runtime "$RT" play kube kube.yaml >/dev/null
podman pod ps --filter "name=$N" --format '{{.Status}} {{.NumberOfContainers}}'
until_ sh -c "podman exec $N-ctr ps -o args | grep -q '^sleep 777'"
podman exec "$N-ctr" sh -c 'hostname; ps -o args | grep -c "sleep 77[7]"'
plook '{{.OCIRuntime}}' "$N-ctr"
podman pod ps --no-trunc -q --filter "name=$N" >two
podman play kube --down kube.yaml >/dev/null
podman pod ps -q --filter "name=$N" | wc -l
echo "# what is left of them"
for id in $(cat one two); do
	find /sys/fs/cgroup -depth -type d -path "*/libpod_parent/$id*" >left
	if [ -s left ]; then
		echo "cgroups"
		xargs rmdir <left
	else
		echo "nothing"
	fi
done
