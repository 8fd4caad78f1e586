"""Orthanc as somebody else's PACS."""

import json
import urllib.request
from contextlib import contextmanager

from peers import LOOPBACK, free_ports, require, running


class Orthanc:
    """A running Orthanc. What it holds is asked of its REST API, not of DICOM."""

    def __init__(self, dicom_port, http_port):
        self.dicom_port = dicom_port
        self._url = f"http://{LOOPBACK}:{http_port}"

    def ask(self, path, **body):
        data = json.dumps(body).encode() if body else None
        with urllib.request.urlopen(f"{self._url}{path}", data, timeout=10.0) as answer:
            return json.load(answer)

    def answers(self):
        try:
            return bool(self.ask("/system"))
        except OSError:
            return False

    def count_instances(self):
        return self.ask("/statistics")["CountInstances"]

    def instances(self):
        """SOP Instance UIDs of all that it holds."""
        found = self.ask("/tools/find", Level="Instance", Query={}, Expand=True)
        return {instance["MainDicomTags"]["SOPInstanceUID"] for instance in found}

    def decoded(self, uid):
        """The first frame of an instance as a portable arbitrary map of 16 bits."""
        with urllib.request.urlopen(
            urllib.request.Request(
                f"{self._url}/instances/{self.identifier(uid)}/frames/0/image-uint16",
                headers={"Accept": "image/x-portable-arbitrarymap"},
            ),
            timeout=20.0,
        ) as answer:
            return answer.read()

    def upload(self, path):
        """Have Orthanc keep a file."""
        with urllib.request.urlopen(f"{self._url}/instances", path.read_bytes(), timeout=10.0):
            pass

    def forget(self, uid):
        """Delete an instance."""
        request = urllib.request.Request(f"{self._url}/instances/{self.identifier(uid)}", method="DELETE")
        with urllib.request.urlopen(request, timeout=10.0):
            pass

    def replace(self, uid, change):
        """Have an instance replaced by what ``change`` makes of its file."""
        url = f"{self._url}/instances/{self.identifier(uid)}/file"
        with urllib.request.urlopen(url, timeout=10.0) as answer:
            changed = change(answer.read())
        self.forget(uid)
        with urllib.request.urlopen(f"{self._url}/instances", changed, timeout=10.0):
            pass

    def identifier(self, uid):
        """Its own name for an instance."""
        [identifier] = self.ask("/tools/find", Level="Instance", Query={"SOPInstanceUID": uid})
        return identifier

    def studies(self):
        """Study Instance UIDs of all that it holds."""
        found = self.ask("/tools/find", Level="Study", Query={}, Expand=True)
        return {study["MainDicomTags"]["StudyInstanceUID"] for study in found}

    def instances_of(self, study_uid):
        found = self.ask("/tools/find", Level="Instance", Query={"StudyInstanceUID": study_uid}, Expand=True)
        return {instance["MainDicomTags"]["SOPInstanceUID"] for instance in found}


@contextmanager
def orthanc_up(configuration, dicom_port, http_port, folder):
    """Orthanc with a configuration file; what it says goes to ``folder``."""
    orthanc = Orthanc(dicom_port, http_port)
    with running([require("Orthanc"), configuration], folder / "orthanc.log", orthanc.answers, folder=folder):
        yield orthanc


@contextmanager
def fresh_orthanc(folder, modalities):
    """An empty Orthanc on free ports, which may call AEs: name to (AE title, port)."""
    dicom_port, http_port = free_ports(2)
    configuration = {
        "Name": "simlab interoperability",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomAet": "ORTHANC",
        "DicomPort": dicom_port,
        "DicomCheckCalledAet": False,
        "DicomModalities": {name: [title, LOOPBACK, port] for name, (title, port) in modalities.items()},
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "StableAge": 1,
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(configuration, indent=2))
    with orthanc_up(path, dicom_port, http_port, folder) as orthanc:
        yield orthanc
