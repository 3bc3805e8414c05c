#!/bin/sh
# A bridge, the host's and another container's network.
. /run/engines/scripts/lib.sh
podman --runtime "$RT" run -d --name "$N" box sh -c 'echo it is served >/tmp/index.html; httpd -f -p 8000 -h /tmp' >/dev/null
until_ podman exec "$N" wget -qO- http://127.0.0.1:8000/index.html
podman --runtime "$RT" run --rm --network "container:$N" box wget -qO- http://127.0.0.1:8000/index.html
[ "$(podman --runtime "$RT" run --rm --network host box readlink /proc/self/ns/net)" = "$(readlink /proc/self/ns/net)" ] && echo "the host's"
pgone
