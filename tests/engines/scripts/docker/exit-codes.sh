#!/bin/sh
# The exit codes of docker run that scripts rely on.
. /run/engines/scripts/lib.sh
for n in 0 1 42 125 126 127 137; do
	code dbox box sh -c "exit $n"
done
echo "# a signal ends it"
code dbox box sh -c 'kill -9 $$'
code dbox box sh -c 'kill -15 $$; sleep 1'
echo "# what is not there, not executable, a directory"
has 'executable file not found' dbox box nothing-there
has 'no such file or directory' dbox box /nothing/there
has 'permission denied' dbox box /noexec
has 'ermission denied' dbox box /etc
has 'no such file or directory' dbox -w /etc box ./nothing
echo "# an option that docker refuses itself"
has 'unknown flag' dbox --nonsense box true
echo "# out and err"
dbox box sh -c 'echo out; echo err >&2' 2>err
cat err
echo in | dbox -i box cat
