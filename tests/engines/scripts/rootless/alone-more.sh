#!/bin/sh
# podman of an ordinary user: health checks, kube files, buildah.
. /run/engines/scripts/lib.sh
echo "# a health check"
prun -d --health-cmd 'test -e /tmp/well' --health-retries 1 --health-interval disable box sleep 1000 >/dev/null
has '' podman healthcheck run "$N"
podman exec "$N" touch /tmp/well
has '' podman healthcheck run "$N"
plook '{{.State.Health.Status}}'
pgone
echo "# kube files"
podman --runtime "$RT" pod create --name "$N" --network none --hostname pod >/dev/null
podman --runtime "$RT" run -d --pod "$N" --name "$N-a" box sh -c 'sleep 777 & wait' >/dev/null
podman generate kube "$N" >kube.yaml 2>/dev/null
podman pod rm -f -t 0 "$N" >/dev/null
sed "s/$N-a/ctr/" -i kube.yaml
podman --runtime "$RT" play kube --network none kube.yaml >/dev/null
until_ sh -c "podman exec $N-ctr ps -o args | grep -q '^sleep 777'"
podman exec "$N-ctr" sh -c 'hostname; ps -o args | grep -c "sleep 77[7]"'
plook '{{.OCIRuntime}}' "$N-ctr"
podman play kube --down kube.yaml >/dev/null
podman pod ps -q --filter "name=$N" | wc -l
echo "# buildah"
c=$(buildah from localhost/box)
code buildah run --runtime "$RTPATH" --network none "$c" sh -c 'echo made >/made; id -u; exit 4' 2>&1
buildah run --runtime "$RTPATH" --network none --user 1000 "$c" id
buildah commit -q "$c" "$N" >/dev/null
buildah rm "$c" >/dev/null
pbox "$N" cat /made
podman rmi -f "$N" >/dev/null
printf 'FROM localhost/box\nRUN id -u >/who\n' >Dockerfile
buildah bud --runtime "$RTPATH" --network none -q -t "$N" . >/dev/null
pbox "$N" cat /who
podman rmi -f "$N" >/dev/null
