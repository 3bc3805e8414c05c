# Completion of tare-net's command line for bash.

_tare_net() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} word command=
	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		case $word in
		attach | auto | check | detach | gc | inject | inspect | list | net | reload | schema | version | who) command=$word ;;
		esac
	done
	case $prev in
	--state | --config | --netns | --cni-conf | --cni-bin)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	esac
	case $command in
	"") word="attach auto check detach gc inject inspect list net reload schema version who --state --config --netns --cni-conf --cni-bin --lock-wait" ;;
	detach | inspect | check) word=$("${COMP_WORDS[0]}" list 2>/dev/null | awk 'NR > 1 { print $1 }' | sort -u) ;;
	gc) word="--dry-run --kept --json" ;;
	list) word="--json" ;;
	schema) word="network attachments" ;;
	net)
		case $prev in
		net) word="ls show rm" ;;
		*) word=$("${COMP_WORDS[0]}" net ls 2>/dev/null | awk '{ print $1 }') ;;
		esac
		;;
	inject)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	*) word= ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$word" -- "$cur")
}

complete -F _tare_net tare-net
