# Completion of tare's command line for bash. The words come from tare itself,
# so that this file does not have to know its commands and flags.

_tare() {
	local cur=${COMP_WORDS[COMP_CWORD]}
	local line=("${COMP_WORDS[@]:1:COMP_CWORD-1}")
	case ${line[*]: -1} in
	--root | --bundle | -b | --image-path | --work-path | --parent-path)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	--log | --config | --criu | --pid-file | --console-socket | --pidfd-socket | --process | --resources)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" "${line[@]}" "$cur" --generate-bash-completion 2>/dev/null)" -- "$cur")
}

complete -o default -F _tare tare
