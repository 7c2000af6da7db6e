# Prints what Kaniko gets wrong in a Dockerfile without a word, a line each, by the first line of the instruction:
#   LINE [ONBUILD ]RUN|COPY|ADD   has a here-document
#   LINE MOUNT, LINE CHECKSUM     is a RUN with --mount, or an ADD with --checksum
#   LINE LABEL                    has a quote, a backslash or a dollar sign that is meant as such
#   LINE LABEL$                   has a variable
# By BuildKit's rules, which Kaniko's parser follows (moby/buildkit, frontend/dockerfile/parser/parser.go): only RUN, COPY
# and ADD have here-documents, not in JSON form; `<<` begins a word of its own outside of quotes, and every later line up
# to the one that is the word belongs to it. One that never ends is a mistake that Kaniko itself names.

function without_end(line) {
    sub(/\r$/, "", line)
    return line
}

# Sets `escape`, as long as only directives have come by.
function read_directive(line,    name, value) {
    if (line !~ /^#[ \t]*[A-Za-z][A-Za-z0-9]*[ \t]*=[ \t]*[^ \t]/) { directives_over = 1; return }
    name = tolower(line)
    sub(/^#[ \t]*/, "", name)
    sub(/[ \t]*=.*/, "", name)
    if (name != "escape" && name != "syntax" && name != "check") { directives_over = 1; return }
    value = line
    sub(/^[^=]*=[ \t]*/, "", value)
    sub(/[ \t]*$/, "", value)
    if (name == "escape" && (value == "\\" || value == "`")) escape = value
}

# Whether a line goes on in the next one; `continued` is then what stands before the escape character.
function goes_on(line,    end) {
    continued = line
    sub(/[ \t]*$/, "", continued)
    end = length(continued)
    if (!end || substr(continued, end, 1) != escape || (end > 1 && substr(continued, end - 1, 1) == escape)) return 0
    continued = substr(continued, 1, end - 1)
    return 1
}

# Splits into words[1..n] as a shell would, with quotes and escapes kept; returns n, or 0 where a quote is not closed.
# A word that begins with << has the blanks after it, and what follows them.
function split_words(text, words,    n, word, within) {
    while (text != "") {
        # In one go what means nothing: a RUN may be as long as a script.
        if (match(text, /^[ \t\r\v\f]+/)) {
            if (within) words[++n] = word
            word = ""
            within = 0
        } else {
            if (!match(text, /^[^'"\\< \t\r\v\f]+/) && !match(text, /^'[^']*'/) && !match(text, /^"([^"\\]|\\.)*"/) &&
                !match(text, /^<<[ \t]*/)) {
                if (text ~ /^['"]/) return 0
                RLENGTH = text ~ /^\\/ ? 2 : 1
            }
            word = word substr(text, 1, RLENGTH)
            within = 1
        }
        text = substr(text, RLENGTH + 1)
    }
    if (within) words[++n] = word
    return n
}

# What ends the here-document that a word begins, after a minus sign where tabs before it do not count; "" for no
# here-document.
function end_of(word,    minus, parts, name, i, char) {
    if (word !~ /^[0-9]*<<-?[ \t]*[^< \t][^<]*$/) return ""
    sub(/^[0-9]*<</, "", word)
    minus = sub(/^-/, "", word) ? "-" : "="
    if (split_words(word, parts) != 1) return ""
    word = parts[1]
    for (i = 1; i <= length(word); i++) {
        char = substr(word, i, 1)
        if (char == "\\") char = substr(word, ++i, 1)
        else if (char == "'" || char == "\"") char = ""
        name = name char
    }
    return name == "" ? "" : minus name
}

# Whether what is left of a label's text after quotes and escapes are resolved would be another when that was done again:
# 2, or 1 where that depends on a variable.
function label_changes(text,    i, char, quote, variable) {
    for (i = 1; i <= length(text); i++) {
        char = substr(text, i, 1)
        if (char == "\\") {
            if (quote != "" || substr(text, ++i, 1) ~ /[\\'"$]/) return 2
        } else if (char == quote) quote = ""
        else if (quote == "'") { if (char == "\"" || char == "$") return 2 }
        else if (char == "$") variable = 1
        else if (quote == "\"") { if (char == "'") return 2 }
        else if (char == "'" || char == "\"") quote = char
    }
    return variable
}

# Looks at a whole instruction, which began in line `begun`, and reads on to the end of its here-documents.
function look(text,    instruction, rest, onbuild, flag, words, ends, n, i, count) {
    rest = text
    if (tolower(text) ~ /^label[ \t]/) {
        if (i = label_changes(substr(text, 6))) print begun, i == 2 ? "LABEL" : "LABEL$"
        return
    }
    if (index(text, "<<") == 0 && text !~ /[ \t]--(mount|checksum)=/) return
    do {
        sub(/^[ \t\r\v\f]+/, "", rest)
        instruction = toupper(rest)
        sub(/[ \t\r\v\f].*/, "", instruction)
        rest = substr(rest, length(instruction) + 1)
        if (instruction != "ONBUILD" || onbuild) break
        onbuild = "ONBUILD "
    } while (1)
    if (instruction != "RUN" && instruction != "COPY" && instruction != "ADD") return
    while (match(rest, /^[ \t\r\v\f]*--[^ \t]*/)) {
        flag = substr(rest, RSTART, RLENGTH)
        rest = substr(rest, RLENGTH + 1)
        if (instruction == "RUN" && flag ~ /--mount=/) print begun, "MOUNT"
        if (instruction == "ADD" && flag ~ /--checksum=/) print begun, "CHECKSUM"
    }
    if (rest ~ /^[ \t]*\[[ \t]*("([^"\\]|\\.)*"[ \t]*(,[ \t]*"([^"\\]|\\.)*"[ \t]*)*)?\][ \t]*$/) return
    n = split_words(text, words)
    for (i = 1; i <= n; i++) if ((words[i] = end_of(words[i])) != "") ends[++count] = words[i]
    for (i = 1; i <= count; i++) if (!skip_to(ends[i])) exit
    if (count) print begun, onbuild instruction
}

function skip_to(end,    line, tabs) {
    tabs = sub(/^-/, "", end)
    if (!tabs) end = substr(end, 2)
    while ((getline line) > 0) {
        number++
        line = without_end(line)
        if (tabs) sub(/^\t+/, "", line)
        if (line == end) return 1
    }
    return 0
}

BEGIN { escape = "\\" }

{
    number++
    line = without_end($0)
    if (number == 1) sub(/^\357\273\277/, "", line)
    sub(/^[ \t\r\v\f]+/, "", line)
    if (!directives_over) read_directive(line)
    if (line ~ /^#/) next
    begun = number
    text = ""
    while (goes_on(line)) {
        text = text continued
        line = ""
        # A comment or an empty line in between does not end it.
        while ((more = getline line) > 0) {
            number++
            line = without_end(line)
            if (line !~ /^[ \t]*(#|$)/) break
        }
        if (more <= 0) { line = ""; break }
    }
    look(text line)
}
