#!/bin/sh
# --privileged: all capabilities that there are, all devices, nothing masked.
. /run/engines/scripts/lib.sh
dbox --privileged box sh -c 'ls /dev/fuse /dev/kmsg; grep -E "Seccomp:|NoNew" /proc/self/status; mount -t tmpfs x /mnt && echo mounted'
dbox --privileged box sh -c 'mknod /tmp/fuse c 10 229 && exec 3<>/tmp/fuse && echo opened; grep " /sys " /proc/mounts | cut -d " " -f 4 | cut -d , -f 1'
dbox --privileged box grep CapBnd /proc/self/status | tail -c 10
