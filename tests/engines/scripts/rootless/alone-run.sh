#!/bin/sh
# podman of an ordinary user: run, exec, terminals, pods, builds.
. /run/engines/scripts/lib.sh
id -u
for n in 0 1 126 127 137; do
	code pbox box sh -c "exit $n"
done
has 'executable file' pbox box nothing-there
has 'ermission denied' pbox box /noexec
pbox box sh -c 'echo out; echo err >&2' 2>err
cat err
printf 'one\ntwo\n' | pbox -i box wc -l
echo "# who and where"
pbox box sh -c 'id; awk "{print \$1, \$3}" /proc/self/uid_map; touch /bin/x && echo written; hostname inside 2>&1; cat /dev/null && ls /dev | grep -vxc core'
pbox --user 1000 box sh -c 'id; touch /tmp/x && ls -ln /tmp/x | tr -s " " | cut -d " " -f 3'
pbox --userns keep-id box id -u
pbox --cap-drop all box grep -E 'CapEff|CapBnd|Seccomp:' /proc/self/status
pbox --read-only --tmpfs /t box sh -c 'exec 2>&1; touch /x; touch /t/x && echo tmp'
mkdir -p src && echo text >src/f
pbox -v "$PWD/src:/v" box sh -c 'cat /v/f; echo new >/v/g; chown 1000 /v/g'
pbox -v "$PWD/src:/v:ro" box sh -c 'touch /v/x' 2>&1
podman unshare rm src/g && echo removed
echo "# exec"
prun -d --hostname here box sh -c 'trap "exit 4" TERM; while :; do sleep 0.1; done' >/dev/null
code podman exec "$N" sh -c 'hostname; id -u; exit 3'
code podman exec -u 1000 "$N" id -u
has 'executable file' podman exec "$N" nothing-there
printf 'a\nb\n' | podman exec -i "$N" wc -l
pexecterminal
podman top "$N" pid user comm | sed -n 2p | tr -s ' '
podman stop -t 20 "$N" >/dev/null
plook '{{.State.Status}} {{.State.ExitCode}} {{.OCIRuntime}}'
pgone
echo "# run -it"
prunterminal
echo "# a pod"
podman --runtime "$RT" pod create --name "$N" --network none >/dev/null
podman --runtime "$RT" run -d --pod "$N" --name "$N-a" box sleep 777 >/dev/null
[ "$(podman --runtime "$RT" run --rm --pod "$N" box readlink /proc/self/ns/net)" = "$(podman exec "$N-a" readlink /proc/self/ns/net)" ] && echo "net is shared"
podman pod rm -f -t 0 "$N" >/dev/null
echo "# build"
cat >Dockerfile <<'END'
FROM localhost/box
RUN id -u >/who && chown 1000 /who
USER 1000
RUN id -u >/tmp/who
CMD cat /who /tmp/who
END
podman --runtime "$RT" build -q --network none -t "$N" . >/dev/null
pbox "$N"
podman rmi -f "$N" >/dev/null
podman ps -aq --filter "name=$N" | wc -l
