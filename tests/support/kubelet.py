"""What the kubelet does to a manifest before a process starts.

Source: k8s.io/kubernetes/third_party/forked/golang/expansion/expand.go, and pkg/kubelet/container/helpers.go.
"""

from __future__ import annotations

from typing import Any


def expand(text: str, variables: dict[str, str]) -> str:
    """Replace `$(NAME)` by a variable where there is one, and `$$` by `$`."""
    expanded = []
    position = 0
    while position < len(text):
        if text[position] != "$" or position + 1 == len(text):
            expanded.append(text[position])
            position += 1
            continue
        following = text[position + 1]
        end = text.find(")", position + 2)
        if following == "(" and end >= 0:
            name = text[position + 2 : end]
            expanded.append(variables.get(name, f"$({name})"))
            position = end + 1
        else:
            expanded.append("$" if following == "$" else "$" + following)
            position += 2
    return "".join(expanded)


def environment(container: dict[str, Any], secrets: dict[str, str]) -> dict[str, str]:
    """Return a container's variables as its process gets them; `secrets` are the values of references."""
    known: dict[str, str] = {}
    for variable in container.get("env", ()):
        name = variable["name"]
        known[name] = expand(variable["value"], known) if "value" in variable else secrets[name]
    return known


def command(container: dict[str, Any], secrets: dict[str, str] | None = None) -> list[str]:
    """Return a container's command as its process gets it."""
    known = environment(container, secrets or {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key"})
    return [expand(word, known) for word in [*container["command"], *container.get("args", ())]]
