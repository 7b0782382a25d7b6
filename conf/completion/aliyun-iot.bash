# Completion of the command aliyun-iot for bash. What is offered by nothing here, such as the files of
# an option, bash completes by itself (-o default).

_aliyun_iot() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} offered=

    COMPREPLY=()
    case $before in
    --heads | --policy | --agent | -o) return ;;
    --user) offered=$(compgen -u) ;;
    --group) offered=$(compgen -g) ;;
    --operation) offered='load sign export' ;;
    --usage) offered=tls-client ;;
    --tls) offered='1.2 1.3' ;;
    --container) offered=yes ;;
    --*) [[ $before != --json && $before != --chain && $before != --pem ]] && return ;;
    esac
    if [ -z "$offered" ]; then
        case $COMP_CWORD,${COMP_WORDS[1]},${COMP_WORDS[2]-} in
        1,*) offered='agent audit policy show pem vault help --help --version' ;;
        2,agent,*) offered='status list metrics evict reload --help' ;;
        2,audit,*) offered='verify show --help' ;;
        2,policy,*) offered='check explain test grant revoke --help' ;;
        2,vault,*) offered='init status verify purge rekey --help' ;;
        2,help,*) offered='agent audit policy show pem vault' ;;
        *,audit,verify) offered=--heads ;;
        *,audit,show) offered='--device --user --since --until' ;;
        *,policy,explain) offered='--policy --user --group --unit --socket --container --host
            --operation --usage --tls --sni --server --at' ;;
        *,policy,grant) offered='--policy --user --devices --operations --for --reason' ;;
        *,policy,revoke) offered=--policy ;;
        *,vault,*) offered=--agent ;;
        *,show,*) offered='--chain --pem --json --help' ;;
        *,pem,*) offered='-o --help' ;;
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "$offered" -- "$word")
}

complete -o bashdefault -o default -F _aliyun_iot aliyun-iot
