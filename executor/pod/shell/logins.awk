# Merges docker config.json files, the later over the earlier: host by host under "auths", key by key elsewhere.
# A missing or empty file counts as {}. Values are copied as they stand, never decoded, so what is inside of them is
# for the reader to judge. Exit status 1: no JSON object.

# Position after the JSON value that starts at `from` in `text`, or 0.
function value_end(text, from,    depth, i, char, in_string, last) {
    last = length(text)
    for (i = from; i <= last; i++) {
        char = substr(text, i, 1)
        if (in_string) {
            if (char == "\\") i++
            else if (char == "\"") { in_string = 0; if (!depth) return i + 1 }
        }
        else if (char == "\"") in_string = 1
        else if (char == "{" || char == "[") depth++
        else if (char == "}" || char == "]") {
            if (!depth) return i
            if (!--depth) return i + 1
        }
        else if (!depth && char ~ /[,[:space:]]/) return i
    }
    return 0
}

function skip_space(text, from) {
    while (substr(text, from, 1) ~ /[[:space:]]/) from++
    return from
}

# Splits an object into keys[1..n] (with their quotes) and values[1..n]; returns n, or -1.
function members(text, keys, values,    n, i, end) {
    i = skip_space(text, 1)
    if (substr(text, i, 1) != "{") return -1
    i = skip_space(text, i + 1)
    if (substr(text, i, 1) == "}") return skip_space(text, i + 1) > length(text) ? 0 : -1
    while (1) {
        if (substr(text, i, 1) != "\"" || !(end = value_end(text, i))) return -1
        keys[++n] = substr(text, i, end - i)
        i = skip_space(text, end)
        if (substr(text, i, 1) != ":") return -1
        i = skip_space(text, i + 1)
        end = value_end(text, i)
        if (end <= i) return -1
        values[n] = substr(text, i, end - i)
        i = skip_space(text, end)
        char = substr(text, i, 1)
        if (char == "}") return skip_space(text, i + 1) > length(text) ? n : -1
        if (char != ",") return -1
        i = skip_space(text, i + 1)
    }
}

function put(table, order, key, value) {
    order[++order[0]] = key
    table[key] = value
}

# Each key at its last place: one host may be written in two ways (https:// and https:\/\/), and readers take the last.
function joined(table, order,    i, text, seen) {
    split("", seen)
    for (i = order[0]; i > 0; i--) {
        if (order[i] in seen) continue
        seen[order[i]] = 1
        text = order[i] ":" table[order[i]] (text == "" ? "" : ",") text
    }
    return "{" text "}"
}

BEGIN {
    for (argument = 1; argument < ARGC; argument++) {
        text = ""
        while ((getline line < ARGV[argument]) > 0) text = text line "\n"
        if (text !~ /[^[:space:]]/) continue
        n = members(text, keys, values)
        if (n < 0) exit 1
        for (k = 1; k <= n; k++) {
            if (keys[k] != "\"auths\"") { put(other, other_order, keys[k], values[k]); continue }
            if (values[k] == "null") continue
            hosts = members(values[k], host_keys, host_values)
            if (hosts < 0) exit 1
            for (h = 1; h <= hosts; h++) put(auths, auths_order, host_keys[h], host_values[h])
        }
    }
    put(other, other_order, "\"auths\"", joined(auths, auths_order))
    print joined(other, other_order)
    exit 0
}
