# Completion of the command aliyun-iot for fish.

function __aliyun_iot_at
    # Whether the words so far are the command and these alone.
    set -l words (commandline -opc)
    test "$words[2..-1]" = "$argv"
end

function __aliyun_iot_in
    # Whether the words so far begin with the command and these.
    set -l words (commandline -opc)
    set -l last (math (count $argv) + 1)
    test (count $words) -ge $last && test "$words[2..$last]" = "$argv"
end

complete -c aliyun-iot -f -n __aliyun_iot_at -a agent -d 'look at and manage an agent'
complete -c aliyun-iot -f -n __aliyun_iot_at -a audit -d 'verify and show an audit log'
complete -c aliyun-iot -f -n __aliyun_iot_at -a policy -d 'check and explain what an agent allows'
complete -c aliyun-iot -f -n __aliyun_iot_at -a show -d 'describe a device\'s certificate'
complete -c aliyun-iot -f -n __aliyun_iot_at -a pem -d 'write a PEM identity file'
complete -c aliyun-iot -f -n __aliyun_iot_at -a vault -d 'make and look after a vault'
complete -c aliyun-iot -f -n __aliyun_iot_at -a help -d 'say how a command is used'
complete -c aliyun-iot -n __aliyun_iot_at -l help -d 'say how it is used'
complete -c aliyun-iot -n __aliyun_iot_at -l version -d 'print the version'

complete -c aliyun-iot -f -n '__aliyun_iot_at agent' -a 'status list metrics evict reload'
complete -c aliyun-iot -f -n '__aliyun_iot_at audit' -a 'verify show'
complete -c aliyun-iot -f -n '__aliyun_iot_at policy' -a 'check explain test grant revoke'
complete -c aliyun-iot -f -n '__aliyun_iot_at vault' -a 'init status verify purge rekey'
complete -c aliyun-iot -f -n '__aliyun_iot_at help' -a 'agent audit policy show pem vault'

complete -c aliyun-iot -n '__aliyun_iot_in audit verify' -l heads -r -d 'lines of syslog'
complete -c aliyun-iot -n '__aliyun_iot_in audit show' -l device -x -d 'pattern of devices'
complete -c aliyun-iot -n '__aliyun_iot_in audit show' -l user -x -a '(__fish_complete_users)'
complete -c aliyun-iot -n '__aliyun_iot_in audit show' -l since -x -d 'time in UTC'
complete -c aliyun-iot -n '__aliyun_iot_in audit show' -l until -x -d 'time in UTC'

complete -c aliyun-iot -n '__aliyun_iot_in policy explain' -l policy -r -d 'instead of the usual one'
complete -c aliyun-iot -n '__aliyun_iot_in policy explain' -l user -x -a '(__fish_complete_users)'
complete -c aliyun-iot -n '__aliyun_iot_in policy explain' -l group -x -a '(__fish_complete_groups)'
complete -c aliyun-iot -n '__aliyun_iot_in policy explain' -l operation -x -a 'load sign export'
complete -c aliyun-iot -n '__aliyun_iot_in policy explain' -l usage -x -a tls-client
complete -c aliyun-iot -n '__aliyun_iot_in policy explain' -l tls -x -a '1.2 1.3'
complete -c aliyun-iot -n '__aliyun_iot_in policy explain' -l container -x -a yes
for option in unit socket host sni server at
    complete -c aliyun-iot -n '__aliyun_iot_in policy explain' -l $option -x
end
for option in user devices operations for reason
    complete -c aliyun-iot -n '__aliyun_iot_in policy grant' -l $option -x
end
complete -c aliyun-iot -n '__aliyun_iot_in policy grant' -l policy -r -d 'instead of the usual one'
complete -c aliyun-iot -n '__aliyun_iot_in policy revoke' -l policy -r -d 'instead of the usual one'

complete -c aliyun-iot -f -n '__aliyun_iot_in show' -l chain -d 'all certificates'
complete -c aliyun-iot -f -n '__aliyun_iot_in show' -l pem -d 'as PEM'
complete -c aliyun-iot -f -n '__aliyun_iot_in show' -l json -d 'as JSON'
complete -c aliyun-iot -n '__aliyun_iot_in pem' -s o -r -d 'instead of standard output'
complete -c aliyun-iot -n '__aliyun_iot_in vault' -l agent -r -d 'the agent\'s agent.conf'
