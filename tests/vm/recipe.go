package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// suite is the release of Debian that the guest is.
const suite = "bookworm"

// kernelPackage depends on the newest kernel for virtual machines.
const kernelPackage = "linux-image-cloud-amd64"

// packages are installed into the guest besides those that every Debian has.
var packages = []string{
	"systemd", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd", // process 1, and a manager for each user
	"apparmor", "criu", "runc", "uidmap",
	"iproute2", "nftables", "iptables", "kmod", "procps", "busybox-static", "strace", "jq",
	"firewalld", "openvswitch-switch", // beside which the network hook works
}

// bootModules are loaded by the initramfs, in this order, to reach the disk.
var bootModules = []string{"virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk"}

// masked are units that cost seconds each in emulation, and that no test needs:
// devtmpfs makes the nodes, and a disk that is thrown away needs no care.
var masked = []string{
	"systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket", "systemd-udev-trigger.service",
	"systemd-udev-settle.service", "systemd-random-seed.service", "systemd-update-utmp.service", "systemd-pstore.service",
	"systemd-journal-flush.service", "systemd-journal-catalog-update.service", "systemd-firstboot.service", "systemd-sysusers.service",
	"systemd-machine-id-commit.service", "systemd-timesyncd.service", "systemd-networkd.service", "systemd-resolved.service",
	"systemd-remount-fs.service", "systemd-binfmt.service", "systemd-modules-load.service", "systemd-hwdb-update.service",
	"modprobe@configfs.service", "modprobe@drm.service", "modprobe@fuse.service", "modprobe@efi_pstore.service",
	"modprobe@dm_mod.service", "modprobe@loop.service",
	"apparmor.service", "getty@tty1.service", "serial-getty@ttyS0.service", "e2scrub_reap.service", "nftables.service",
}

const unitTarget = `[Unit]
Description=What a test needs of the system, and the test
Requires=basic.target dbus.socket tare-vm.service
After=basic.target
AllowIsolate=yes
`

const unitService = `[Unit]
Description=The program that this machine was started for
Requires=basic.target
After=basic.target dbus.socket systemd-logind.service
DefaultDependencies=no

[Service]
Type=exec
ExecStart=/usr/lib/tare-vm/run
LimitNOFILE=524288
TasksMax=infinity
`

// guestScript unpacks the second disk, a tar archive, and runs /payload/run from
// it. The second serial port carries nothing but the program's output and the
// last line, which has its exit code.
const guestScript = `#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LANG=C.UTF-8
exec </dev/null >/dev/ttyS1 2>&1
stty -F /dev/ttyS1 raw -echo
ip link set lo up
tar -x -f /dev/vdb -C / || echo "unpacking the second disk failed"
cd /payload
sh ./run
printf '\n` + exitMark + `%d\n' $?
stty -F /dev/ttyS1 raw # which waits until all is sent
systemctl poweroff --force --force >/dev/null 2>&1
`

// exitMark begins the line with the exit code. No program prints it by chance.
const exitMark = "tare-vm exit code "

// initScript is the initramfs's first process.
const initScript = `#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
for m in %s; do /bin/busybox insmod /modules/$m.ko; done
/bin/busybox mount -t ext4 -o rw,relatime /dev/vda /sysroot || { echo "no root file system"; /bin/busybox poweroff -f; }
/bin/busybox umount /proc
/bin/busybox mount --move /dev /sysroot/dev
exec /bin/busybox switch_root /sysroot /lib/systemd/systemd
`

func renderInit() string { return fmt.Sprintf(initScript, strings.Join(bootModules, " ")) }

// recipe names everything that decides about the image but the versions of the
// packages.
func recipe() string {
	h := sha256.New()
	for _, list := range [][]string{{suite, kernelPackage}, packages, bootModules, masked,
		{unitTarget, unitService, guestScript, initScript}} {
		fmt.Fprintf(h, "%q\n", list)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}
