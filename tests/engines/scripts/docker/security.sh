#!/bin/sh
# Capabilities, users, seccomp, no-new-privileges, read-only, masked paths.
. /run/engines/scripts/lib.sh
status='grep -E Cap|NoNew|Seccomp: /proc/self/status'
# shellcheck disable=SC2086 # $status is words
{
	dbox box $status
	echo "# drop all"
	dbox --cap-drop ALL box $status
	echo "# one"
	dbox --cap-drop ALL --cap-add NET_ADMIN box $status
	dbox --cap-drop CHOWN --cap-add SYS_PTRACE box $status
	echo "# a user"
	dbox -u 1000 box $status
	dbox -u 1000 --cap-add NET_ADMIN box $status
	echo "# no-new-privileges and no seccomp"
	dbox --security-opt no-new-privileges box $status
	dbox --security-opt seccomp=unconfined box $status
	dbox --security-opt seccomp=unconfined --security-opt no-new-privileges -u 1000 box $status
}
echo "# users"
dbox -u user box id
dbox -u 1000:2000 --group-add 3000 --group-add extra box id
dbox -u 77 box sh -c 'id; echo $HOME; touch /bin/x 2>&1'
echo "# seccomp: a profile of one's own"
cat >profile.json <<'END'
{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
 "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99},
              {"names": ["chmod", "fchmod", "fchmodat"], "action": "SCMP_ACT_ERRNO"}]}
END
dbox --security-opt seccomp=profile.json box sh -c 'exec 2>&1; mkdir /tmp/a; chmod 700 /tmp; touch /tmp/b && echo touched' 2>&1
echo '{"defaultAction": "SCMP_ACT_KILL_PROCESS"}' >kill.json
dbox --security-opt seccomp=kill.json box true >/dev/null 2>&1
[ $? -ne 0 ] && echo "nothing allowed, nothing runs"
echo "# Docker's own profile"
dbox box sh -c 'exec 2>&1; unshare -m true; mount -t tmpfs x /mnt; date -s 2000-01-01 2>&1 >/dev/null; chroot / true && echo chroot works' 2>&1
echo "# read-only"
dbox --read-only --tmpfs /scratch:size=1m,mode=1770,noexec box sh -c 'exec 2>&1; touch /a; touch /scratch/a && ls -ld /scratch | cut -c 1-10; cp /bin/busybox /scratch/a; df -k /scratch | awk "NR==2 {print \$2}"; grep " /scratch " /proc/mounts | cut -d " " -f 2-4' 2>&1
echo "# masked and read-only paths"
dbox box sh -c 'exec 2>&1; wc -c </proc/kcore; wc -c </proc/timer_list; ls /proc/acpi /sys/firmware 2>/dev/null | wc -l; echo 1 >/proc/sys/vm/drop_caches; echo b >/proc/sysrq-trigger; touch /sys/x; touch /sys/fs/cgroup/x /sys/fs/cgroup/cpu/x' 2>&1
dbox --security-opt systempaths=unconfined box sh -c 'grep -c . /proc/timer_list >/dev/null && echo open'
echo "# sysctls and hostname"
dbox --sysctl net.ipv4.ip_forward=0 --sysctl kernel.shm_rmid_forced=1 --sysctl net.core.somaxconn=77 box sh -c 'cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shm_rmid_forced /proc/sys/net/core/somaxconn'
has 'sysctl' dbox --sysctl kernel.nothing=1 box true
dbox --hostname here --domainname there.example box sh -c 'hostname; cat /proc/sys/kernel/domainname; tail -n 1 /etc/hosts | cut -f 2'
