#!/bin/sh
# docker build, each RUN a container of the default runtime or the one under test.
. /run/engines/scripts/lib.sh
cat >Dockerfile <<'END'
FROM box
ARG WHAT=nothing
ENV A=b
WORKDIR /work
COPY Dockerfile .
RUN echo "$WHAT $A" >said && id -u >who && test -e Dockerfile
USER 1000
RUN id -u >/tmp/who
RUN ["/bin/sh", "-c", "echo exec form >/tmp/form"]
CMD cat /work/said /work/who /tmp/who /tmp/form
END
# The classic builder asks for the default runtime; the daemon of alone-build has tare as that.
DOCKER_BUILDKIT=0 docker build -q --build-arg WHAT=something -t "$N" . >/dev/null
dbox "$N"
printf 'FROM box\nRUN exit 9\n' >Bad
has 'returned a non-zero code: 9' env DOCKER_BUILDKIT=0 docker build -f Bad .
echo "# commit"
drun box sh -c 'echo committed >/tmp/c'
docker commit "$N" "$N" >/dev/null
gone
dbox "$N" cat /tmp/c
docker rmi -f "$N" >/dev/null
docker image prune -f >/dev/null
docker ps -aq --filter status=exited --filter ancestor=box | xargs -r docker rm >/dev/null
