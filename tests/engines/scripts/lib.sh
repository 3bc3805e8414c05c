#!/bin/sh
# Functions of the scripts. RT is the runtime, N a name that nobody else uses.


# until_ COMMAND...: waits until it succeeds; silent.
until_() {
	_tries=300
	until "$@" >/dev/null 2>&1; do
		_tries=$((_tries - 1))
		if [ "$_tries" -le 0 ]; then
			echo "never: $*"
			return 1
		fi
		sleep 0.1
	done
}

# code COMMAND...: its output, and "exit N".
code() {
	"$@"
	echo "exit $?"
}

# has WORD COMMAND...: the exit code, and whether the output has WORD.
has() {
	_word=$1
	shift
	_out=$("$@" 2>&1)
	_code=$?
	case $_out in
	*"$_word"*) echo "exit $_code, says $_word" ;;
	*) echo "exit $_code, does not say $_word: $_out" ;;
	esac
}

# is VALUE COMMAND...: that the command prints this.
is() {
	_word=$1
	shift
	[ "$("$@" 2>&1)" = "$_word" ]
}

# counted COMMAND...: the number in /count of a container, in which COMMAND runs. The
# shell there empties the file before it writes to it.
counted() {
	_n=
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		_n=$("$@" cat /count)
		[ -z "$_n" ] || break
	done
	echo "${_n:-0}"
}

# unloaded COMMAND...: COMMAND shows that systemd knows a unit no more. It forgets it when
# it comes to it.
unloaded() {
	until_ is LoadState=not-found "$@"
	"$@"
}

# Docker: a container of this script's runtime and name.
drun() { docker run --network none --runtime "$RT" --name "$N" "$@"; }
dbox() { docker run --rm --network none --runtime "$RT" "$@"; }
dnet() { docker run --rm --runtime "$RT" "$@"; }
look() { docker inspect --format "$1" "${2:-$N}"; }
gone() { docker rm -f -v "${1:-$N}" >/dev/null; }

# containerd: ctr with this script's runtime; the image is box.
# shellcheck disable=SC2034 # for the scripts
BOX=docker.io/library/box:box
crun() { ctr run --runc-binary "$RTPATH" "$@"; }
state() { ctr tasks ls | awk -v n="${1:-$N}" '$1 == n {print $3}'; }
cgone() {
	ctr tasks kill --all -s KILL "${1:-$N}" 2>/dev/null
	until_ sh -c "ctr tasks rm -f ${1:-$N} || ! ctr tasks ls -q | grep -qx ${1:-$N}"
	ctr containers rm "${1:-$N}"
}

# podman: a container of this script's runtime and name.
pod_() { podman --runtime "$RT" "$@"; }
prun() { podman --runtime "$RT" run --network none --name "$N" "$@"; }
pbox() { podman --runtime "$RT" run --rm --network none "$@"; }
plook() { podman inspect --format "$1" "${2:-$N}"; }
pgone() { podman rm -f -t 0 "${1:-$N}" >/dev/null; }
# What a person does on the terminal of a new container, and of an exec. Its size comes
# when the engine has heard of it; what is typed, and shown, has a dot in it.
prunterminal() {
	pty podman --runtime "$RT" run -it --rm --network none --name "$N" box sh <<'END'
size 31 97
expect / #
send until stty size | grep 31.97; do sleep 0.1; done\r
expect (31 97)
size 40 100
send until stty size | grep 40.100; do sleep 0.1; done\r
expect (40 100)
send tty; test -t 0 && test -t 1 && test -t 2 && echo all-"three"\r
expect (/dev/\S+)
expect (all-three)
send exit 7\r
END
}
pexecterminal() {
	pty podman exec -it "$N" sh <<'END'
size 21 77
expect / #
send until stty size | grep 21.77; do sleep 0.1; done; tty\r
expect (21 77)
expect (/dev/\S+)
send exit 5\r
END
}
