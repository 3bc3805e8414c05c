#!/bin/sh
# A bridge, a published port, the host's and another container's network.
. /run/engines/scripts/lib.sh
podman --runtime "$RT" run -d --name "$N" -p 127.0.0.1::8000 box sh -c 'echo it is served >/tmp/index.html; httpd -f -p 8000 -h /tmp' >/dev/null
until_ podman exec "$N" wget -qO- http://127.0.0.1:8000/index.html
# Not with busybox, which is linked statically and dies of a segmentation fault where
# glibc wants to load what looks up names.
port=$(podman port "$N" 8000)
bash -c 'exec 3<>"/dev/tcp/${1%:*}/${1#*:}" && printf "GET /index.html HTTP/1.0\r\n\r\n" >&3 && tail -n 1 <&3' bash "$port"
podman --runtime "$RT" run --rm --network "container:$N" box wget -qO- http://127.0.0.1:8000/index.html
[ "$(podman --runtime "$RT" run --rm --network host box readlink /proc/self/ns/net)" = "$(readlink /proc/self/ns/net)" ] && echo "the host's"
pgone
