#!/usr/bin/env python3
"""A client of TIME Coin in Python's standard library alone: builds, signs and submits a payment, waits until it is final.

    python3 client.py --rpc http://127.0.0.1:24201 --key-file faucet.key --to rtime1q.. --amount 100000000
    python3 client.py --self-test tests/vectors/protocol.json

It follows docs/protocol.md (sections are named below) and shows how little a client has to know. The signing here does
not run in constant time: use it to learn and to try things out, not for keys that hold value.
"""

import argparse
import hashlib
import json
import os
import struct
import sys
import time
import urllib.request

# --- BLAKE3 in derive_key mode (section 1), after the BLAKE3 specification, section 2 -----------------------------------

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
COLUMNS_AND_DIAGONALS = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                         (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
CHUNK_START, CHUNK_END, PARENT, ROOT, CONTEXT, MATERIAL = 1, 2, 4, 8, 32, 64
WORD = 0xFFFFFFFF


def rotate(word, bits):
    return (word >> bits | word << (32 - bits)) & WORD


def compress(chaining, block, length, counter, flags):
    """One compression; the new chaining value as eight words."""
    v = list(chaining) + list(IV[:4]) + [counter & WORD, counter >> 32, length, flags]
    m = list(struct.unpack("<16I", block))
    for _ in range(7):
        for i, (a, b, c, d) in enumerate(COLUMNS_AND_DIAGONALS):
            for word, right, left in ((m[2 * i], 16, 12), (m[2 * i + 1], 8, 7)):
                v[a] = (v[a] + v[b] + word) & WORD
                v[d] = rotate(v[d] ^ v[a], right)
                v[c] = (v[c] + v[d]) & WORD
                v[b] = rotate(v[b] ^ v[c], left)
        m = [m[i] for i in PERMUTATION]
    return [v[i] ^ v[i + 8] for i in range(8)]


def blake3(data, key, mode, counter=0, root=ROOT):
    """The subtree of `data` that begins at chunk `counter`: its chaining value, or the hash if it is the whole tree."""
    if len(data) <= 1024:
        blocks = [data[i:i + 64] for i in range(0, len(data), 64)] or [b""]
        value = key
        for i, block in enumerate(blocks):
            flags = mode | (CHUNK_START if i == 0 else 0)
            if i == len(blocks) - 1:
                flags |= CHUNK_END | root
            value = compress(value, block.ljust(64, b"\0"), len(block), counter, flags)
        return value
    left = 1024 << (((len(data) - 1) // 1024).bit_length() - 1)  # The largest power of two of chunks that leaves some.
    children = (blake3(data[:left], key, mode, counter, 0)
                + blake3(data[left:], key, mode, counter + left // 1024, 0))
    return compress(key, struct.pack("<16I", *children), 64, 0, mode | PARENT | root)


def H(name, data):
    """H(NAME, bytes) of the protocol."""
    key = blake3(b"timecoin v1 " + name.encode(), IV, CONTEXT)
    return struct.pack("<8I", *blake3(data, key, MATERIAL))


# --- Ed25519 (RFC 8032, section 5.1) ------------------------------------------------------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)  # Extended coordinates: x = X/Z, y = Y/Z, x * y = T/Z.


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply_base(scalar):
    """The encoding of the base point times `scalar`."""
    result, addend = (0, 1, 1, 0), BASE
    while scalar:
        if scalar & 1:
            result = add(result, addend)
        addend = add(addend, addend)
        scalar >>= 1
    inverse = pow(result[2], P - 2, P)
    x, y = result[0] * inverse % P, result[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def sha512_number(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little")


def expand(secret):
    """The secret scalar and the prefix of a 32-byte secret key."""
    digest = hashlib.sha512(secret).digest()
    scalar = int.from_bytes(digest[:32], "little") & ~7 & (1 << 255) - 1 | 1 << 254
    return scalar, digest[32:]


def public_key(secret):
    return multiply_base(expand(secret)[0])


def sign(secret, message):
    scalar, prefix = expand(secret)
    nonce = sha512_number(prefix, message) % ORDER
    point = multiply_base(nonce)
    challenge = sha512_number(point, multiply_base(scalar), message) % ORDER
    return point + ((nonce + challenge * scalar) % ORDER).to_bytes(32, "little")


# --- Addresses: Bech32m (BIP-350) of a lock (section 3) -----------------------------------------------------------------

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
BECH32M = 0x2BC830A3
GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
KEY_HASH, MULTISIG = 0, 1


def checksum(prefix, groups):
    value = 1
    for group in [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix] + groups:
        top, value = value >> 25, (value & 0x1FFFFFF) << 5 ^ group
        for i, generator in enumerate(GENERATOR):
            value ^= generator if top >> i & 1 else 0
    return value


def address_of(lock, prefix):
    kind, hashed = lock
    bits = int.from_bytes(hashed, "big") << 4  # 256 bits and 4 of padding are 52 groups.
    groups = [kind] + [bits >> 5 * i & 31 for i in reversed(range(52))]
    check = checksum(prefix, groups + [0] * 6) ^ BECH32M
    return prefix + "1" + "".join(ALPHABET[g] for g in groups + [check >> 5 * (5 - i) & 31 for i in range(6)])


def lock_of(address, prefix):
    """The lock an address stands for; ValueError if it is none of this chain."""
    if address not in (address.lower(), address.upper()):
        raise ValueError("an address has letters of one case only")
    head, separator, tail = address.lower().rpartition("1")
    if not separator or head != prefix:
        raise ValueError(f"no address of this chain: those begin with {prefix}1")
    if len(tail) != 1 + 52 + 6 or any(c not in ALPHABET for c in tail):
        raise ValueError("an address has 59 letters and digits behind its prefix")
    groups = [ALPHABET.index(c) for c in tail]
    if checksum(prefix, groups) != BECH32M:
        raise ValueError("the address has a typing error")
    bits = 0
    for group in groups[1:53]:
        bits = bits << 5 | group
    if bits & 15 or groups[0] not in (KEY_HASH, MULTISIG):
        raise ValueError("unknown kind of address")
    return groups[0], (bits >> 4).to_bytes(32, "big")


def lock_of_key(public):
    return KEY_HASH, H("address", public)


# --- Encoding and signing (sections 1 and 3) ----------------------------------------------------------------------------

def number(value):
    """A u16, u32 or u64; an enum's variant; the length of a list."""
    for limit, tag, form in ((251, None, "<B"), (1 << 16, 0xFB, "<H"), (1 << 32, 0xFC, "<I"), (1 << 64, 0xFD, "<Q")):
        if value < limit:
            return (b"" if tag is None else bytes([tag])) + struct.pack(form, value)
    raise ValueError("past 64 bits")


def vector(items):
    return number(len(items)) + b"".join(items)


def encode_body(inputs, outputs, memo=b""):
    """A `TxBody` with payload Transfer. Inputs are (txid, index), outputs (units, lock)."""
    return (number(1) + vector([txid + number(index) for txid, index in inputs])
            + vector([number(units) + number(kind) + hashed for units, (kind, hashed) in outputs])
            + number(0) + number(len(memo)) + memo)


def signature_hash(chain_id, body):
    return H("sighash", chain_id + H("txid", body))


def encode_transaction(chain_id, body, secrets):
    """The whole transaction. `secrets` stand in the order in which the inputs first need them, each once."""
    message = signature_hash(chain_id, body)
    return body + vector([number(0) + public_key(secret) + sign(secret, message) for secret in secrets])


def build_payment(chain_id, spec, secret, coins, to, amount, memo=b""):
    """Pays `amount` units to the lock `to` from `coins` (txid, index, units), largest first; what is left comes back."""
    own = lock_of_key(public_key(secret))
    chosen, total = [], 0
    for txid, index, units in sorted(coins, key=lambda coin: -coin[2])[:1024]:
        chosen.append((txid, index))
        total += units
        # A change of u64's full length makes the largest size: its fee is never too low.
        sizes = [len(encode_body(chosen, outputs, memo)) + 1 + 97
                 for outputs in ([(amount, to)], [(amount, to), (2**64 - 1, own)])]
        left, change = (total - amount - size * spec["min_fee_rate"] for size in sizes)
        if left >= 0:
            outputs = [(amount, to)] + ([(change, own)] if change >= spec["min_output"] else [])
            return encode_transaction(chain_id, encode_body(chosen, outputs, memo), [secret])
    raise ValueError(f"{total} units can be spent, which is too little for {amount} and the fee")


# --- The node (docs/rpc.md) ---------------------------------------------------------------------------------------------

class Refused(Exception):
    """The node says no."""


def call(url, method, *parameters, timeout=60):
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
    headers = {"Content-Type": "application/json"}
    posted = urllib.request.Request(url, json.dumps(request).encode(), headers)
    with urllib.request.urlopen(posted, timeout=timeout) as response:
        answer = json.load(response)
    if answer.get("error"):
        error = answer["error"]
        raise Refused(f"{method}: {error['message']} ({(error.get('data') or {}).get('reason', error['code'])})")
    return answer["result"]


def spendable_coins(url, address):
    cursor = None
    while True:
        page = call(url, "list_unspent", address, cursor, 1000)
        for coin in page["utxos"]:
            if coin["status"] in ("finalized", "archived"):
                yield bytes.fromhex(coin["txid"]), coin["index"], int(coin["value"])
        cursor = page["next_cursor"]
        if cursor is None:
            return


def read_key(path):
    with open(path, encoding="ascii") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise ValueError(f"others can read {path}; run: chmod 600 {path}")
        secret = bytes.fromhex(file.read().strip())
    if len(secret) != 32:
        raise ValueError(f"{path} is no key file: 64 hex digits are expected")
    return secret


def pay(url, key_file, to, amount, memo):
    secret = read_key(key_file)
    chain_id = bytes.fromhex(call(url, "get_blockchain_info")["chain_id"])
    spec = call(url, "get_chain_spec")
    spec = {key: int(value) if str(value).isdigit() else value for key, value in spec.get("spec", spec).items()}
    prefix = spec["address_hrp"]
    coins = spendable_coins(url, address_of(lock_of_key(public_key(secret)), prefix))
    encoded = build_payment(chain_id, spec, secret, coins, lock_of(to, prefix), amount, memo)
    begun = time.monotonic()
    txid = call(url, "send_raw_transaction", encoded.hex())
    status = call(url, "wait_for_transaction", txid, "finalized", 30000)["status"]
    print(f"txid    {txid}\nstatus  {status}\nafter   {(time.monotonic() - begun) * 1000:.0f} ms")


# --- Self test against the vectors of an independent implementation -----------------------------------------------------

def check(is_right, what):
    """Like `assert`, which `python3 -O` would leave out."""
    if not is_right:
        sys.exit(f"client.py: self test failed: {what}")


def self_test(path):
    with open(path, encoding="utf-8") as file:
        vectors = json.load(file)
    unhex = bytes.fromhex
    chain_id = unhex(vectors["chain_id"])
    for entry in vectors["derive_key"]:
        check(H(entry["name"], unhex(entry["data"])).hex() == entry["hash"], f"hash {entry['name']}")
    secrets = {}
    for entry in vectors["addresses"]:
        if entry["kind"] == "key_hash":
            secret = unhex(entry["secret_key"])
            check(public_key(secret).hex() == entry["public_key"], f"public key {entry['public_key']}")
            secrets[entry["public_key"]] = secret
            lock = lock_of_key(public_key(secret))
        else:
            keys = vector([unhex(key) for key in entry["public_keys"]])
            lock = MULTISIG, H("multisig", bytes([entry["threshold"]]) + keys)
        check(lock[1].hex() == entry["hash"], f"lock {entry['hash']}")
        check(address_of(lock, entry["hrp"]) == entry["address"], f"address {entry['address']}")
        check(lock_of(entry["address"].upper(), entry["hrp"]) == lock, f"reading {entry['address']}")
    for address in vectors["bad_addresses"]:
        try:
            lock_of(address, "time")
        except ValueError:
            continue
        check(False, f"the bad address {address} was read")
    for entry in vectors["transactions"]:
        body = unhex(entry["body"])
        if "signers" in entry:
            inputs = [(unhex(spent["txid"]), spent["index"]) for spent in entry["inputs"]]
            outputs = [(out["value"], (KEY_HASH, unhex(out["key_hash"]))) for out in entry["outputs"]]
            check(encode_body(inputs, outputs, unhex(entry["memo"])) == body, f"encoding of {entry['txid']}")
            signed = encode_transaction(chain_id, body, [secrets[signer] for signer in entry["signers"]])
            check(signed.hex() == entry["encoded"], f"witnesses of {entry['txid']}")
        check(H("txid", body).hex() == entry["txid"], f"txid {entry['txid']}")
        if "sighash" in entry:
            check(signature_hash(chain_id, body).hex() == entry["sighash"], f"signature hash of {entry['txid']}")
    print("self test passed: hashes, addresses, encodings and signatures are as the vectors have them")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--self-test", metavar="VECTORS", help="check this file against the test vectors and exit")
    parser.add_argument("--rpc", metavar="URL", help="the node, http://HOST:PORT")
    parser.add_argument("--key-file", metavar="FILE", help="64 hex digits, mode 0600")
    parser.add_argument("--to", metavar="ADDRESS")
    parser.add_argument("--amount", metavar="UNITS", type=int, help="1 TIME is 100,000,000 units")
    parser.add_argument("--memo", default="", help="at most 80 bytes")
    arguments = parser.parse_args()
    if arguments.self_test:
        return self_test(arguments.self_test)
    if not (arguments.rpc and arguments.key_file and arguments.to and (arguments.amount or 0) > 0):
        parser.error("--rpc, --key-file, --to and --amount are needed, the amount above 0")
    try:
        pay(arguments.rpc, arguments.key_file, arguments.to, arguments.amount, arguments.memo.encode())
    except (Refused, ValueError, OSError) as error:
        sys.exit(f"client.py: {error}")


if __name__ == "__main__":
    main()
