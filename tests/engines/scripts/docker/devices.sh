#!/bin/sh
# Devices: the usual ones, one more, rules, what must not be reached, --privileged.
. /run/engines/scripts/lib.sh
dbox box sh -c 'exec 2>&1; cd /dev; ls -l full null random tty urandom zero | sed "s/ [A-Z][a-z][a-z] .* / /"; for l in fd stdin stdout stderr ptmx; do readlink $l; done; ls -d shm mqueue pts | sort'
dbox --device /dev/fuse box sh -c 'ls -l /dev/fuse | cut -c 1-10; exec 3<>/dev/fuse && echo opened'
dbox --device /dev/zero:/dev/nought:r box sh -c 'exec 2>&1; head -c 3 /dev/nought | wc -c; echo >/dev/nought'
dbox box sh -c 'mknod /tmp/fuse c 10 229 && : <>/tmp/fuse' 2>&1
dbox --device-cgroup-rule 'c 10:229 rwm' box sh -c 'mknod /tmp/fuse c 10 229 && exec 3<>/tmp/fuse && echo opened by a rule'
dbox --cap-add MKNOD box sh -c 'mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem' 2>&1
has 'no such file' dbox --device /dev/not-there box true
