"""What is appended to a signed module: include/linux/module_signature.h."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

_MARKER = b"~Module signature appended~\n"
_KINDS = {0: "PGP", 1: "X.509", 2: "PKCS#7"}
_PKCS7 = 2
# DER of the digests that scripts/sign-file.c takes, below 2.16.840.1.101.3.4.2 but for SHA-1.
_DIGESTS = {
    b"\x06\x05\x2b\x0e\x03\x02\x1a": "sha1",
    **{
        b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02" + bytes([number]): name
        for number, name in {
            1: "sha256",
            2: "sha384",
            3: "sha512",
            4: "sha224",
            8: "sha3-256",
            9: "sha3-384",
            10: "sha3-512",
        }.items()
    },
}


@dataclass(frozen=True)
class Signature:
    """What is appended to a module: `kind` is PKCS#7, `digest` such as sha256, or "".

    `problem` is the end of a sentence, why every kernel refuses it, or "".
    """

    kind: str
    digest: str
    problem: str = ""


def signature_of(data: bytes) -> Signature | None:
    """Return what is appended to a module's file, or None.

    The signature, struct module_signature, and a marker. What no kernel takes is by mod_check_sig()
    of kernel/module_signature.c, another kind than PKCS#7 is unsigned to it.
    """
    if not data.endswith(_MARKER):
        return None
    end = len(data) - len(_MARKER) - 12
    if end < 0:
        return Signature("", "", "is signed with nothing")
    algo, digest, kind, signer, key, pad, size = struct.unpack_from(">BBBBB3sI", data, end)
    name = _KINDS.get(kind, f"type {kind}")
    if size >= end:
        return Signature(name, "", "has a signature that is cut off")
    if kind != _PKCS7:
        return Signature(name, "")
    if any((algo, digest, signer, key, *pad)):
        return Signature(name, "", "has a damaged signature")
    told = data[end - size : end]
    oid = re.search(b"|".join(map(re.escape, _DIGESTS)), told)
    return Signature(name, _DIGESTS[oid[0]] if oid else "")
