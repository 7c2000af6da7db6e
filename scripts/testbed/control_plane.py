"""The control plane: etcd, API server, controller manager, scheduler, with their command lines."""

from __future__ import annotations

import http.client

from testbed import layout, pki, programs
from testbed.process import Service

# One line per request of the tenants and of people; without the cluster's own chatter tests can count requests.
AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
  - level: None
    userGroups: ["system:nodes", "system:serviceaccounts:kube-system"]
  - level: None
    users: ["system:apiserver", "system:kube-controller-manager", "system:kube-scheduler"]
  - level: Metadata
"""


def etcd() -> Service:
    """Return etcd, on the namespace's loopback."""
    client, peer = f"http://127.0.0.1:{layout.ETCD_PORT}", f"http://127.0.0.1:{layout.ETCD_PORT + 1}"
    return Service(
        "etcd",
        (
            "etcd",
            "--name=bed",
            f"--data-dir={layout.STATE / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=bed={peer}",
            # Only a crash of the machine can lose data by this, and a test bed is made again.
            "--unsafe-no-fsync",
            "--logger=zap",
        ),
        # Debian's etcd refuses to start on architectures upstream does not test, unless told to.
        {"ETCD_UNSUPPORTED_ARCH": "arm64"},
    )


def etcd_ready() -> bool:
    """Whether etcd answers, asked from inside the namespace; OSError while it does not listen yet."""
    connection = http.client.HTTPConnection("127.0.0.1", layout.ETCD_PORT, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    finally:
        connection.close()


def apiserver() -> Service:
    """Return the API server; writes its audit policy first."""
    policy = layout.STATE / "audit-policy.yaml"
    policy.write_text(AUDIT_POLICY)
    keys = layout.PKI
    command = (
        str(programs.KUBE_APISERVER.path),
        f"--etcd-servers=http://127.0.0.1:{layout.ETCD_PORT}",
        f"--bind-address={layout.HOST_ADDRESS}",
        f"--advertise-address={layout.HOST_ADDRESS}",
        f"--secure-port={layout.API_PORT}",
        f"--tls-cert-file={keys}/apiserver.crt",
        f"--tls-private-key-file={keys}/apiserver.key",
        f"--client-ca-file={keys}/ca.crt",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={keys}/service-accounts.pub",
        f"--service-account-signing-key-file={keys}/service-accounts.key",
        f"--service-cluster-ip-range={layout.SERVICE_RANGE}",
        "--authorization-mode=Node,RBAC",
        # On top of the default ones, which include PodSecurity, ResourceQuota and ValidatingAdmissionPolicy.
        "--enable-admission-plugins=NodeRestriction,PodNodeSelector",
        f"--kubelet-client-certificate={keys}/kubelet-client.crt",
        f"--kubelet-client-key={keys}/kubelet-client.key",
        f"--kubelet-certificate-authority={keys}/ca.crt",
        "--kubelet-preferred-address-types=InternalIP",
        f"--audit-policy-file={policy}",
        f"--audit-log-path={layout.AUDIT_LOG}",
        "--audit-log-maxsize=500",
        "--audit-log-maxbackup=1",
        "--allow-privileged=true",
        "--anonymous-auth=false",
        "--profiling=false",
    )
    return Service("apiserver", command, identity=repr((command, AUDIT_POLICY)))


def controller_manager() -> Service:
    """Return the controller manager."""
    return Service(
        "controller-manager",
        (
            str(programs.KUBE_CONTROLLER_MANAGER.path),
            f"--kubeconfig={pki.kubeconfig_path(pki.MANAGER)}",
            "--secure-port=0",
            "--leader-elect=false",
            f"--service-account-private-key-file={layout.PKI}/service-accounts.key",
            f"--root-ca-file={layout.PKI}/ca.crt",
            "--use-service-account-credentials=true",
            f"--flex-volume-plugin-dir={layout.STATE}/volume-plugins",
            "--profiling=false",
        ),
    )


def scheduler() -> Service:
    """Return the scheduler."""
    return Service(
        "scheduler",
        (
            str(programs.KUBE_SCHEDULER.path),
            f"--kubeconfig={pki.kubeconfig_path(pki.SCHEDULER)}",
            "--secure-port=0",
            "--leader-elect=false",
            "--profiling=false",
        ),
    )
