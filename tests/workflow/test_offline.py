"""Tests refuse connections to other machines, in all their processes; so do trainings and predictions of all families.

The fixture ``offline`` (conftest.py) does that around every test: of the families above all test_conformance.py, which
trains and predicts with each, and the tests of their scripts.
"""

import os
import socket
import subprocess
import sys

import pytest
from offline_processes import python_path
from sitecustomize import OfflineError
from tiny_study import ROOT, Project

# Reserved for documentation: nobody has them.
ADDRESS, HOST = "192.0.2.1", "host.example"
ATTEMPTS = {
    "connect": lambda: socket.socket().connect((ADDRESS, 80)),
    "connect_ex": lambda: socket.socket().connect_ex((ADDRESS, 80)),
    "connect to IPv6": lambda: socket.socket(socket.AF_INET6).connect(("2001:db8::1", 80)),
    "create_connection": lambda: socket.create_connection((HOST, 80)),
    "getaddrinfo": lambda: socket.getaddrinfo(HOST.encode(), 80),
    "gethostbyname": lambda: socket.gethostbyname(HOST),
    "gethostbyname_ex": lambda: socket.gethostbyname_ex(HOST),
    "gethostbyaddr": lambda: socket.gethostbyaddr(ADDRESS),
    "getnameinfo": lambda: socket.getnameinfo((ADDRESS, 80), 0),
    "sendto": lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"", (ADDRESS, 53)),
    "sendmsg": lambda: socket.socket(type=socket.SOCK_DGRAM).sendmsg([b""], [], 0, (ADDRESS, 53)),
}
LOOK_UP = f"""
import socket
try:
    socket.getaddrinfo({HOST!r}, 80)
except Exception as error:
    print(type(error).__name__)
"""


@pytest.fixture
def attempts(connections):
    """What was noted, taken out of the notes so that this test does not fail."""

    def take() -> str:
        text = connections.read_text()
        connections.write_text("")
        return text

    return take


@pytest.mark.parametrize("name", ATTEMPTS)
def test_other_machines_are_refused_and_the_attempt_is_noted(name, attempts):
    with pytest.raises(OfflineError):
        ATTEMPTS[name]()
    noted = attempts()
    assert any(host in noted for host in (ADDRESS, HOST, "2001:db8::1"))


def test_this_machine_is_reached(attempts):
    with socket.create_server(("127.0.0.1", 0)) as server:
        for host in ("127.0.0.1", "localhost"):
            socket.create_connection((host, server.getsockname()[1]), timeout=10).close()
    socket.getaddrinfo(None, 80)
    assert attempts() == ""


def test_processes_are_refused_too(attempts):
    environment = os.environ | {"PYTHONPATH": python_path(ROOT / "workflow")}
    for env in (None, environment):
        done = subprocess.run([sys.executable, "-c", LOOK_UP], env=env, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "OfflineError"
        assert HOST in attempts()


def test_jobs_of_snakemake_are_refused_too(tmp_path, attempts):
    project = Project(tmp_path / "project")
    (project.folder / "look_up.py").write_text(LOOK_UP)
    snakefile = project.folder / "job.smk"
    snakefile.write_text(
        'include: "rules/setup.smk"\nrule job:\n    output: "said.txt"\n    shell: "python look_up.py > {output:q}"\n'
    )
    done = project.snakemake("-s", snakefile.name, "--cores", "1")
    assert done.returncode == 0, done.stderr
    assert (project.folder / "said.txt").read_text().strip() == "OfflineError"
    assert HOST in attempts()


@pytest.mark.parametrize("module", ["defectbench.training.dataset", "defectbench.families.yolo.network"])
def test_albumentations_does_not_look_for_a_newer_version(module, attempts):
    environment = {name: value for name, value in os.environ.items() if name != "NO_ALBUMENTATIONS_UPDATE"}
    environment |= {"PYTHONPATH": python_path(ROOT / "workflow")}
    code = f"import {module}, albumentations"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert attempts() == ""
