# GitLab Runner with kaniko-driver, for a tenant's runner inside the cluster.
#
# Built from the folder that scripts/runner-image prepares, without a network: everything that is installed lies there
# in wheels/, and requirements.txt names each file by its digest. docs/en/how-to/run-the-runner-in-the-cluster.md.
# Nothing here names a processor: wheels for several may lie side by side, and pip takes those that fit.

# Any image with Python 3.11 or newer, pip and certificates; its Python must be the one that the wheels are for.
ARG PYTHON_IMAGE=docker.io/library/python:3.13.9-slim-bookworm
# Only the program is taken out of it. Keep it at the version of the helper image in the driver's settings.
ARG RUNNER_IMAGE=docker.io/gitlab/gitlab-runner:alpine-v19.4.0

FROM ${RUNNER_IMAGE} AS runner

FROM ${PYTHON_IMAGE} AS driver
COPY requirements.txt /context/
COPY wheels/ /context/wheels/
# No resolving: the list is complete, and the image leaves out what only an operator's own machine needs.
RUN python3 -m venv --without-pip /opt/kaniko-driver \
    && python3 -m pip --python /opt/kaniko-driver/bin/python3 install --quiet --root-user-action ignore \
        --no-cache-dir --no-compile --no-deps --no-index --only-binary :all: \
        --require-hashes --find-links /context/wheels --requirement /context/requirements.txt

FROM ${PYTHON_IMAGE}
COPY --from=runner /usr/bin/gitlab-runner /usr/local/bin/gitlab-runner
COPY --from=driver /opt/kaniko-driver /opt/kaniko-driver
# Official Python images come without bytecode, and the user below could not keep any: each of the stages of a job
# would compile the standard library anew. Unchecked, because nothing in an image changes.
RUN python3 -m compileall -q --invalidation-mode unchecked-hash \
        -x '/(ensurepip|idlelib|lib2to3|pip|pydoc_data|test|tests|tkinter|turtledemo)/' \
        "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" /opt/kaniko-driver/lib \
    && ln -s /opt/kaniko-driver/bin/kaniko-driver /usr/local/bin/kaniko-driver \
    && echo 'gitlab-runner:x:10001:0::/home/gitlab-runner:/usr/sbin/nologin' >>/etc/passwd \
    && mkdir -p /home/gitlab-runner /etc/gitlab-runner /etc/kaniko-driver /var/log/kaniko-driver \
    && chown 10001:0 /home/gitlab-runner /etc/gitlab-runner /var/log/kaniko-driver \
    && chmod 770 /home/gitlab-runner /etc/gitlab-runner /var/log/kaniko-driver

ENV HOME=/home/gitlab-runner PYTHONDONTWRITEBYTECODE=1
WORKDIR /home/gitlab-runner
# A number, so that runAsNonRoot can be checked; group 0, so that any other user of a cluster that chooses one may work.
USER 10001:0
# The runner finishes its jobs on SIGQUIT and aborts them on SIGTERM.
STOPSIGNAL SIGQUIT
ENTRYPOINT ["gitlab-runner"]
CMD ["run", "--config", "/etc/gitlab-runner/config.toml", "--working-directory", "/home/gitlab-runner"]
