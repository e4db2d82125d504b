"""Others' known answers, for the cipher and for the construction that seals.

The data are Wycheproof's. They are read from the folder that `HARDSESSION_VECTORS` names and are no part of this
project.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from hashlib import sha512

import pytest
from cryptography.cobblestone import Cobblestone256Decryptor
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hardsession.crypto.keys import KeyRing, RingKey
from hardsession.crypto.seal import MAGIC, Purpose, Sealer
from hardsession.errors import Refusal, TokenRefused


@pytest.fixture(scope="module")
def aes_gcm(vectors):
    """The cases with the sizes that are used here: a 256-bit key, a 96-bit nonce, a full tag."""
    groups = json.loads((vectors / "aes_gcm_test.json").read_text())["testGroups"]
    return [
        {name: bytes.fromhex(case[name]) for name in ("key", "iv", "aad", "msg", "ct", "tag")}
        | {"id": case["tcId"], "result": case["result"]}
        for group in groups
        if (group["keySize"], group["ivSize"], group["tagSize"]) == (256, 96, 128)
        for case in group["tests"]
    ]


@pytest.fixture(scope="module")
def cobblestone(vectors):
    """The cases of chunked encryption with AES-256-GCM and SHA-512."""
    groups = json.loads((vectors / "c2sp_chunked_encryption_aes_256_gcm_test.json").read_text())["testGroups"]
    return [
        {
            "id": case["tcId"],
            "result": case["result"],
            "key": bytes.fromhex(case["key"]),
            "context": bytes.fromhex(case["ctx"]),
            "message": zlib.decompress(bytes.fromhex(case["ct"])),
            "hash": bytes.fromhex(case.get("msgSha512", "")),
            "flags": case["flags"],
        }
        for group in groups
        if (group["aead"], group["sha"]) == ("AEAD_AES_256_GCM", "SHA-512")
        for case in group["tests"]
    ]


def test_aes_256_gcm_gives_the_known_answers(aes_gcm):
    """The primitive underneath encrypts and decrypts as published, and refuses what was altered; 66 cases."""
    results = Counter()

    for case in aes_gcm:
        cipher, sealed = AESGCM(case["key"]), case["ct"] + case["tag"]
        if case["result"] == "valid":
            assert cipher.encrypt(case["iv"], case["msg"], case["aad"]) == sealed, case["id"]
            assert cipher.decrypt(case["iv"], sealed, case["aad"]) == case["msg"], case["id"]
        else:
            with pytest.raises(InvalidTag):
                cipher.decrypt(case["iv"], sealed, case["aad"])
        results[case["result"]] += 1

    assert results == {"valid": 39, "invalid": 27}


def test_cobblestone_256_gives_the_known_answers(cobblestone):
    """Used as the sealer uses it, the construction gives each valid message and nothing of an invalid one; 35 cases."""
    results = Counter()

    for case in cobblestone:
        opened = b"nothing"
        if case["result"] == "valid":
            decryptor = Cobblestone256Decryptor(case["key"], case["context"])
            opened = decryptor.update(case["message"]) + decryptor.finalize()
            assert sha512(opened).digest() == case["hash"], case["id"]
        else:
            with pytest.raises(ValueError if "InvalidKeySize" in case["flags"] else InvalidTag):  # noqa: PT012
                decryptor = Cobblestone256Decryptor(case["key"], case["context"])
                opened = decryptor.update(case["message"]) + decryptor.finalize()
            assert opened == b"nothing", case["id"]
        results[case["result"]] += 1

    assert results == {"valid": 10, "invalid": 25}


def test_sealer_gives_the_known_answers(cobblestone, monkeypatch):
    """The sealer itself opens every valid message and refuses every invalid one, each with its reason.

    Key and context are the vectors' here, through a private seam; what is left out are the two keys of a wrong size,
    which a sealer never has.
    """
    sealer, key = Sealer(Purpose.SESSION, app_id="app"), RingKey.derive(bytes(32))
    head, ring = MAGIC + bytes([Purpose.SESSION]) + key.id, KeyRing([key])
    results = Counter()

    for case in cobblestone:
        if "InvalidKeySize" in case["flags"]:
            continue
        monkeypatch.setattr(sealer, "_key_and_context", lambda *_, case=case: (case["key"], case["context"]))
        try:
            opened = sealer.open(head + case["message"], ring)
        except TokenRefused as refused:
            assert case["result"] == "invalid", case["id"]
            results[refused.reason] += 1
        else:
            assert (case["result"], sha512(opened).digest()) == ("valid", case["hash"]), case["id"]
            results["valid"] += 1

    assert results == {"valid": 10, Refusal.NOT_AUTHENTIC: 16, Refusal.LENGTH: 7}
