#!/bin/sh
# docker build, by the classic builder and by buildkit: each RUN is a container of
# the daemon's default runtime, or of the runc that the daemon finds.
. /run/engines/scripts/lib.sh
docker info --format '{{.DefaultRuntime}}'
cat >Dockerfile <<'END'
FROM box
ARG WHAT=nothing
ENV A=b
WORKDIR /srv
COPY Dockerfile .
RUN echo "$WHAT $A" >said && id -u >who && test -e Dockerfile
RUN head -c 2000000 /dev/zero | wc -c >counted
USER 1000
RUN id -u >/tmp/who
RUN ["/bin/sh", "-c", "echo exec form >/tmp/form"]
CMD cat /srv/said /srv/who /srv/counted /tmp/who /tmp/form
END
printf 'FROM box\nRUN echo spoken; exit 9\n' >Bad
printf 'FROM box\nRUN nothing-there\n' >Missing
printf 'FROM box\nRUN ["/nothing-there"]\n' >Absent
for kit in 0 1; do
	export DOCKER_BUILDKIT=$kit
	echo "# DOCKER_BUILDKIT=$kit"
	docker build --no-cache -q --build-arg WHAT=something -t "$N" . >/dev/null
	dbox "$N"
	docker rmi -f "$N" >/dev/null
	for f in Bad Missing Absent; do
		docker build --no-cache --force-rm -f $f . >out 2>&1
		echo "$f: exit $?"
		grep -coE '(non-zero code: 9|exit code: 9)|not found|no such file' out | sed 's/^[1-9].*/says why/'
	done
done
echo "# commit"
drun box sh -c 'echo committed >/tmp/c'
docker commit "$N" "$N" >/dev/null
gone
dbox "$N" cat /tmp/c
docker rmi -f "$N" >/dev/null
