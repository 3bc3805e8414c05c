#!/bin/sh
# podman build and buildah.
. /run/engines/scripts/lib.sh
cat >Dockerfile <<'END'
FROM localhost/box
ENV A=b
WORKDIR /srv
COPY Dockerfile .
RUN echo "$A" >said && id -u >who && test -e Dockerfile
USER 1000
RUN id -u >/tmp/who
CMD cat /srv/said /srv/who /tmp/who
END
printf 'FROM localhost/box\nRUN echo spoken; exit 9\n' >Bad
podman --runtime "$RT" build -q --network none -t "$N" . >/dev/null
pbox "$N"
podman rmi -f "$N" >/dev/null
has 'exit status 9' podman --runtime "$RT" build --network none -f Bad .
echo "# buildah bud, and step by step"
buildah bud --runtime "$RT" --network none -q -t "$N" . >/dev/null
pbox "$N"
podman rmi -f "$N" >/dev/null
c=$(buildah from localhost/box)
code buildah run --runtime "$RT" --network none "$c" sh -c 'echo made >/made; exit 4'
buildah run --runtime "$RT" --network none "$c" cat /made
printf 'a\nb\n' | buildah run --runtime "$RT" --network none "$c" wc -l
buildah run --runtime "$RT" --network none --user 1000 "$c" id
buildah run --runtime "$RT" --network none --isolation oci "$c" sh -c 'echo $$; grep NoNewPrivs /proc/self/status'
pty buildah run -t --runtime "$RT" --network none "$c" sh <<'END'
expect / #
send tty\r
expect (/dev/\S+)
send exit 6\r
END
buildah commit -q "$c" "$N" >/dev/null
buildah rm "$c" >/dev/null
pbox "$N" cat /made
podman rmi -f "$N" >/dev/null
