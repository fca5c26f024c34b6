#!/usr/bin/env python3
"""A light verifier of TIME Coin in Python's standard library alone. It believes a chain spec, and of a node nothing.

    python3 light.py --chain chain.toml --rpc http://127.0.0.1:24201
    python3 light.py --chain chain.toml --rpc http://127.0.0.1:24201 --txid 3fe1.. --to rtime1q.. --amount 100000000
    python3 light.py --self-test tests/vectors/protocol.json

It follows the masternodes from genesis to now, one line for each change, and proves that a payment is final and what it
pays to whom. Exit code 0: followed, and the payment proved if one was named; 1: not so; 2: wrong arguments.

The whole argument, in the order of the sections below; (n) is a section of docs/protocol.md:

    the chain spec            gives chain_id (2), and with it the set of epoch 0 and the genesis block
    a set of validators       believes a block, if members with two thirds of its weight signed a commit of it (7.4)
    the block closing epoch e names the set of epoch e + 1 by its hash: the next set (4, 9)
    a set of validators       makes a payment final in its epoch by receipts of two thirds of its weight (6)
    a believed block          makes final what its Merkle root holds (9)
    a txid                    is the hash of what the transaction says: outputs, amounts, locks (3)

Only blocks that close an epoch are needed for the third line: no other block can change the set, and the set that signs
such a block is the one that hands over. Whatever lies between is signed by a set that is known by then.

What remains to be believed (9, Trust): that a third of the weight of no set cheats, also not later, when members who
left have their collateral back and could sell their keys. Who was away for longer than the unbonding time
takes `--checkpoint`, one recent block known from elsewhere; who keeps `--state` goes on from what was proved before.
And a node can keep silent: it cannot show a false payment, but an old state of things. So look at the time printed.
"""

import argparse
import functools
import hashlib
import http.client
import json
import os
import secrets
import struct
import sys
import time
import urllib.request
from collections import namedtuple

try:
    import tomllib  # From Python 3.11 on.
except ImportError:
    tomllib = None


class Unproved(Exception):
    """What was shown does not prove what it should."""


def demand(is_so, what):
    """Like `assert`, which `python3 -O` would leave out."""
    if not is_so:
        raise Unproved(what)


# --- BLAKE3 in derive_key mode (1), after the BLAKE3 specification, section 2 ---------------------------------------

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
COLUMNS_AND_DIAGONALS = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                         (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
CHUNK_START, CHUNK_END, PARENT, ROOT, CONTEXT, MATERIAL = 1, 2, 4, 8, 32, 64
# A word is 32 bits in a slot of 64, and a number may hold many slots: so one compression makes many blocks of output,
# with one counter each. What a sum or a rotation carries out of the 32 bits `mask` removes.
SLOTS = 32
EACH_SLOT = sum(1 << 64 * i for i in range(SLOTS))
COUNT_SLOTS = sum(i << 64 * i for i in range(SLOTS))

# The last compression of a tree or subtree, not done yet.
Last = namedtuple("Last", "chaining block length counter flags")


def compress(last, each=1):
    """The sixteen words of a compression; with `each` = EACH_SLOT, of one in each slot."""
    mask = 0xFFFFFFFF * each
    v = [word * each for word in last.chaining + IV[:4]] + [last.counter, 0, last.length * each, last.flags * each]
    m = [word * each for word in struct.unpack("<16I", last.block)]
    for _ in range(7):
        for i, (a, b, c, d) in enumerate(COLUMNS_AND_DIAGONALS):
            for word, right, left in ((m[2 * i], 16, 12), (m[2 * i + 1], 8, 7)):
                v[a] = (v[a] + v[b] + word) & mask
                mixed = v[d] ^ v[a]
                v[d] = (mixed >> right | mixed << (32 - right)) & mask
                v[c] = (v[c] + v[d]) & mask
                mixed = v[b] ^ v[c]
                v[b] = (mixed >> left | mixed << (32 - left)) & mask
        m = [m[i] for i in PERMUTATION]
    return [v[i] ^ v[i + 8] for i in range(8)] + [v[i + 8] ^ last.chaining[i] * each for i in range(8)]


def chaining_value(last):
    return tuple(compress(last)[:8])


def tree(data, key, mode, counter=0):
    """The last compression of the subtree of `data` that begins at chunk `counter`."""
    if len(data) <= 1024:
        blocks = [data[i:i + 64] for i in range(0, len(data), 64)] or [b""]
        value, start = key, CHUNK_START
        for block in blocks[:-1]:
            value, start = chaining_value(Last(value, block, 64, counter, mode | start)), 0
        return Last(value, blocks[-1].ljust(64, b"\0"), len(blocks[-1]), counter, mode | start | CHUNK_END)
    left = 1024 << (((len(data) - 1) // 1024).bit_length() - 1)  # The largest power of two of chunks that leaves some.
    children = (chaining_value(tree(data[:left], key, mode, counter))
                + chaining_value(tree(data[left:], key, mode, counter + left // 1024)))
    return Last(key, struct.pack("<16I", *children), 64, 0, mode | PARENT)


@functools.lru_cache(maxsize=64)
def context_key(name):
    last = tree(b"timecoin v1 " + name.encode(), IV, CONTEXT)
    return chaining_value(last._replace(flags=last.flags | ROOT))


def H(name, data):
    """H(NAME, bytes) of the protocol."""
    last = tree(data, context_key(name), MATERIAL)
    return struct.pack("<8I", *chaining_value(last._replace(counter=0, flags=last.flags | ROOT)))


def H_2048(name, data):
    """The first 2,048 bytes of the same hash, which are 32 blocks of output."""
    last = tree(data, context_key(name), MATERIAL)
    words = compress(last._replace(counter=COUNT_SLOTS, flags=last.flags | ROOT), EACH_SLOT)
    slots = zip(*(struct.unpack(f"<{SLOTS}Q", word.to_bytes(8 * SLOTS, "little")) for word in words))
    return b"".join(struct.pack("<16I", *block) for block in slots)


# --- Ed25519 by the rules of ZIP-215 (1) ----------------------------------------------------------------------------
#
# Good is a signature (R, s) of a key A over M if s is below the group's order, A and R are points in whatever encoding,
# and 8 s B = 8 R + 8 k A with k = SHA-512(R || A || M). Thanks to the 8, a random sum of many such equations holds if
# all of them do, and (but for one chance in 2^128) only then: many are checked in one go, for a third of the time.

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
NEUTRAL = (0, 1, 1, 0)  # Extended coordinates: x = X/Z, y = Y/Z, x * y = T/Z.
TOGETHER = 256


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def decode_point(encoded):
    """The point, or None. A `y` beyond the prime and a sign on x = 0 are let pass, as ZIP-215 has it."""
    bits = int.from_bytes(encoded, "little")
    y, sign = bits & (1 << 255) - 1, bits >> 255
    y %= P
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * v**3 * pow(u * v**7, (P - 5) // 8, P) % P
    if v * x * x % P != u:
        x = x * ROOT_OF_MINUS_ONE % P
        if v * x * x % P != u:
            return None
    if x & 1 != sign:
        x = -x % P
    return x, y, 1, x * y % P


def multiples(encoded):
    """The point times 0 to 15, or None if it is none."""
    point = decode_point(encoded)
    if point is None:
        return None
    table = [NEUTRAL]
    for _ in range(15):
        table.append(add(table[-1], point))
    return table


multiples_of_key = functools.lru_cache(maxsize=4096)(multiples)
multiples_of_base = multiples((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def sum_of_products(terms):
    """The sum of scalar times point, of pairs of a scalar and a table of multiples; four bits at a time."""
    total = NEUTRAL
    for shift in range(252, -1, -4):
        if total is not NEUTRAL:
            for _ in range(4):
                total = add(total, total)
        for scalar, table in terms:
            digit = scalar >> shift & 15
            if digit:
                total = add(total, table[digit])
    return total


def all_good(checks):
    terms, base = [], 0
    for key, message, signature in checks:
        encoded, s = signature[:32], int.from_bytes(signature[32:], "little")
        a, r = multiples_of_key(key), multiples(encoded)
        if a is None or r is None or s >= ORDER:
            return False
        k = int.from_bytes(hashlib.sha512(encoded + key + message).digest(), "little")
        factor = 1 + secrets.randbelow(2**128 - 1)
        base += factor * s
        terms += [(factor, r), (factor * k % ORDER, a)]
    total = sum_of_products(terms + [(-base % ORDER, multiples_of_base)])
    for _ in range(3):
        total = add(total, total)
    return total[0] == 0 and total[1] == total[2]


def first_bad(checks):
    """The first of (key, message, signature) that is not good; None if all are."""
    for start in range(0, len(checks), TOGETHER):
        part = checks[start:start + TOGETHER]
        if not all_good(part):
            return next((check for check in part if not all_good([check])), None)
    return None


# --- Encoding (1) ---------------------------------------------------------------------------------------------------

WIDTHS = ((251, None, "<B"), (1 << 16, 0xFB, "<H"), (1 << 32, 0xFC, "<I"), (1 << 64, 0xFD, "<Q"))


def number(value):
    """A u16, u32 or u64; an enum's variant; the length of a list."""
    for limit, tag, form in WIDTHS:
        if value < limit:
            return (b"" if tag is None else bytes([tag])) + struct.pack(form, value)
    raise ValueError("past 64 bits")


def vector(items):
    items = list(items)
    return number(len(items)) + b"".join(items)


def text(value):
    return number(len(value.encode())) + value.encode()


def option(encoded):
    return b"\0" if encoded is None else b"\1" + encoded


class Reader:
    """Reads an encoding, of which there is one for each value: another one is refused."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        demand(self.at + length <= len(self.data), "bytes end too early")
        self.at += length
        return self.data[self.at - length:self.at]

    def number(self, bits=64):
        first = self.take(1)[0]
        if first < 251:
            return first
        for limit, tag, form in WIDTHS[1:]:
            if tag == first and limit <= 1 << bits:
                value = struct.unpack(form, self.take(struct.calcsize(form)))[0]
                demand(number(value)[0] == tag, "a number in a longer form than it needs")
                return value
        raise Unproved("a number that does not fit")

    def vector(self, read):
        return [read() for _ in range(self.number())]  # Each element takes a byte at least, so `take` ends it.

    def option(self, read):
        is_there = self.take(1)[0]
        demand(is_there < 2, "an option that is neither there nor not")
        return read() if is_there else None

    def lock(self):
        kind = self.number(32)
        demand(kind in (KEY_HASH, MULTISIG), "an unknown kind of lock")
        return kind, self.take(32)

    def end(self):
        demand(self.at == len(self.data), "bytes are left over")


# --- Addresses: Bech32m (BIP-350) of a lock (3) ---------------------------------------------------------------------

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


def encode_lock(lock):
    return number(lock[0]) + lock[1]


# --- Merkle trees (9) -----------------------------------------------------------------------------------------------

def root_of_path(leaf, index, count, path):
    """The root that a path leads to from `leaf` at `index` of `count`: one hash for each level with a sibling."""
    demand(index < count, "the path begins beyond the last leaf")
    above, siblings = H("merkle leaf", leaf), list(path)
    while count > 1:
        if index & 1 or index + 1 < count:
            demand(siblings, "the path is too short")
            pair = (siblings.pop(0), above) if index & 1 else (above, siblings.pop(0))
            above = H("merkle node", b"".join(pair))
        index, count = index >> 1, (count + 1) >> 1
    demand(not siblings, "the path is too long")
    return above


# --- JSON that comes from a node or a file: of any shape ------------------------------------------------------------

def field(answer, name):
    demand(isinstance(answer, dict) and name in answer, f"{name} is missing")
    return answer[name]


def as_bytes(value, length=None):
    demand(isinstance(value, str), "bytes that are no text of hex digits")
    try:
        found = bytes.fromhex(value)
    except ValueError:
        raise Unproved("bytes that are no hex digits") from None
    demand(length in (None, len(found)) and found.hex() == value, f"{len(found)} bytes where {length} belong")
    return found


def as_number(value, bits=64):
    demand(type(value) is int and 0 <= value < 1 << bits, f"{value!r:.40} is no number from 0 to 2^{bits} - 1")
    return value


def as_list(value):
    demand(isinstance(value, list), "no list where one belongs")
    return value


# --- The chain spec and genesis (2) ---------------------------------------------------------------------------------

# What a value of the spec is: how it is read (with the prefix of addresses) and encoded.
Kind = namedtuple("Kind", "read encode")


def read_number(value, _):
    # Amounts are decimal strings in JSON, whose numbers some programs round.
    return as_number(int(value) if isinstance(value, str) and value.isdecimal() else value)


def read_text(value, _):
    demand(isinstance(value, str), "no text where one belongs")
    return value


NUMBER, TEXT = Kind(read_number, number), Kind(read_text, text)
KEY = Kind(lambda value, _: as_bytes(value, 32), bytes)
LOCK = Kind(lambda value, prefix: lock_of(read_text(value, prefix), prefix), encode_lock)
SCHEDULES = ("log_height", "constant", "log_masternodes")
SCHEDULE = Kind(lambda value, _: SCHEDULES.index(value), number)


def numbers(names):
    return tuple((name, NUMBER) for name in names.split())


# Every key in the order in which it is encoded. A tuple is a table, a list is the layout of a list's entries.
SPEC = (
    ("name", TEXT), ("address_hrp", TEXT),
    *numbers("genesis_time_ms slot_ms epoch_slots max_block_bytes overflow_min_bytes max_tx_bytes"),
    *numbers("min_fee_rate min_output"),
    ("snowball", numbers("k alpha beta beta_virtuous concurrent_polls round_timeout_ms fallback_ms")),
    ("tsdc", numbers("propose_ms prepare_ms precommit_ms delta_ms")),
    *numbers("inclusion_grace_ms clock_tolerance_ms vdf_iterations"),
    ("reward", (("schedule", SCHEDULE), *numbers("base proposer_bps"))),
    ("tiers", [("name", TEXT), *numbers("collateral weight")]),
    *numbers("churn_bps unbonding_epochs slash_bps"),
    ("masternodes",
     [("consensus_key", KEY), ("owner", LOCK), ("payout", LOCK), ("tier", TEXT), ("endpoint", TEXT)]),
    ("allocations", [("address", LOCK), *numbers("amount")]),
)
MAY_BE_ABSENT = {"genesis_time_ms": 0, "masternodes": [], "allocations": []}


def read_table(given, layout, prefix):
    demand(isinstance(given, dict), "no table where one belongs")
    unknown = set(given) - {key for key, _ in layout}
    if unknown:
        raise ValueError(f"the chain spec has an unknown key: {min(unknown)}")
    table = {}
    for key, kind in layout:
        value = given.get(key, MAY_BE_ABSENT.get(key))
        try:
            if isinstance(kind, list):
                table[key] = [read_table(entry, tuple(kind), prefix) for entry in as_list(value)]
            else:
                table[key] = read_table(value, kind, prefix) if kind.__class__ is tuple else kind.read(value, prefix)
        except (Unproved, ValueError) as error:
            raise ValueError(f"{key}: {error}") from None
    return table


def encode_table(table, layout):
    def encoded(value, kind):
        if isinstance(kind, list):
            return vector(encode_table(entry, tuple(kind)) for entry in value)
        return encode_table(value, kind) if kind.__class__ is tuple else kind.encode(value)
    return b"".join(encoded(table[key], kind) for key, kind in layout)


Member = namedtuple("Member", "id key weight payout")


class Chain:
    """A chain as its spec alone has it: its id, the set of epoch 0, the genesis block. `given` is the spec as a dict.
    ValueError if it is none."""

    def __init__(self, given):
        if not isinstance(given, dict):
            raise ValueError("a chain spec is a table")
        named = {key: value for key, value in given.items() if key != "chain_id"}
        self.spec = read_table(named, SPEC, given.get("address_hrp"))
        self.prefix, self.epoch_slots = self.spec["address_hrp"], self.spec["epoch_slots"]
        self.id = H("chain", encode_table(self.spec, SPEC))
        # `get_chain_spec` adds it. A file that says otherwise was changed.
        if given.get("chain_id", self.id.hex()) != self.id.hex():
            raise ValueError(f"the spec is that of chain {self.id.hex()}, and says it were another's")
        if not self.spec["masternodes"] or not self.epoch_slots:
            raise ValueError(f"the chain {self.spec['name']} is not launched: its spec has no genesis masternodes")
        if any(node["tier"] not in [tier["name"] for tier in self.spec["tiers"]] for node in self.spec["masternodes"]):
            raise ValueError("a masternode of the chain spec has a tier that is none")
        self._genesis()

    def _genesis(self):
        tiers = {tier["name"]: tier for tier in self.spec["tiers"]}
        nodes = [(node, tiers[node["tier"]]) for node in self.spec["masternodes"]]
        outs = [(tier["collateral"], node["owner"]) for node, tier in nodes]
        outs += [(out["amount"], out["address"]) for out in self.spec["allocations"]]
        outs = [number(value) + encode_lock(lock) for value, lock in outs]
        coinbase = number(1) + vector([]) + vector(outs) + number(1) + number(0) + vector([])
        txid = H("txid", coinbase)
        ids = [H("genesis masternode", txid + struct.pack("<I", i)) for i in range(len(nodes))]
        members = [Member(i, node["consensus_key"], tier["weight"], node["payout"])
                   for i, (node, tier) in zip(ids, nodes)]
        self.genesis_set = ValidatorSet(sorted(members, key=lambda member: member.key))

        records = sorted(
            (member.id + member.key + encode_lock(node["owner"]) + encode_lock(member.payout) + text(node["endpoint"])
             + txid + number(i) + number(tier["collateral"]) + number(tier["weight"])
             + number(0) + number(1) + b"\0")  # Queued at 0, Active, not slashed.
            for i, (member, (node, tier)) in enumerate(zip(members, nodes)))
        lanes = [0] * 1024
        for i, out in enumerate(outs):
            entry = struct.unpack("<1024H", H_2048("state entry", txid + number(i) + out + number(0)))
            lanes = [sum(pair) for pair in zip(lanes, entry)]
        unspent = H("utxos", struct.pack("<1024H", *(lane & 0xFFFF for lane in lanes)))
        supply = sum(tier["collateral"] for _, tier in nodes) + sum(out["amount"] for out in self.spec["allocations"])
        root = H("state root", unspent + H("masternodes", vector(records)) + number(supply) + number(0))
        none = bytes(32)
        self.genesis_hash = H("block", encode_header(Header(
            1, self.id, 0, 0, 0, none, H("merkle leaf", txid), 1, root, H("commit", option(None)), none,
            self.genesis_set.hash, self.genesis_set.hash, H("genesis beacon", self.id), none, 0)))

    def time_of(self, slot):
        seconds = (self.spec["genesis_time_ms"] + slot * self.spec["slot_ms"]) // 1000
        try:
            return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
        except (OverflowError, ValueError, OSError):
            return "an impossible time"


# --- Validator sets (4), headers and commits (7) --------------------------------------------------------------------

class ValidatorSet:
    """Who may sign in an epoch: members in ascending order of key, none twice."""

    def __init__(self, members):
        self.members, self.total = members, sum(member.weight for member in members)
        keys = [member.key for member in members]
        demand(keys == sorted(set(keys)), "the set is not in order of its keys, or has one twice")
        demand(members and all(member.weight for member in members), "the set has no member, or one without weight")
        self.hash = H("validators", vector(
            member.id + member.key + number(member.weight) + encode_lock(member.payout) for member in members))

    def demand_quorum(self, weight):
        demand(weight * 3 >= self.total * 2, f"signed by weight {weight} of {self.total}, less than two thirds")


def read_set(answer, prefix):
    """A set as `get_epochs` and `get_validators` list it; its hash says whether it is the right one."""
    members = []
    for member in as_list(answer):
        try:
            payout = lock_of(read_text(field(member, "payout"), prefix), prefix)
        except ValueError as error:
            raise Unproved(f"the payout of a member: {error}") from None
        members.append(Member(as_bytes(field(member, "id"), 32), as_bytes(field(member, "consensus_key"), 32),
                              as_number(field(member, "weight")), payout))
    return ValidatorSet(members)


def set_as_json(members, prefix):
    return [{"id": member.id.hex(), "consensus_key": member.key.hex(), "weight": member.weight,
             "payout": address_of(member.payout, prefix)} for member in members]


# Each field with the bits of its number; None: 32 bytes.
HEADER = (("version", 16), ("chain_id", None), ("height", 64), ("slot", 64), ("opened", 64), ("prev", None),
          ("tx_root", None), ("tx_count", 32), ("state_root", None), ("last_commit_root", None),
          ("evidence_root", None), ("validators_hash", None), ("next_validators_hash", None), ("beacon", None),
          ("proposer", None), ("reward", 64))
Header = namedtuple("Header", [name for name, _ in HEADER])


def encode_header(header):
    return b"".join(number(value) if bits else value for value, (_, bits) in zip(header, HEADER))


def read_header(hexadecimal, chain):
    """The header and the hash of its block."""
    encoded = as_bytes(hexadecimal)
    reader = Reader(encoded)
    header = Header(*[reader.number(bits) if bits else reader.take(32) for _, bits in HEADER])
    reader.end()
    demand(header.version == 1, f"a block of version {header.version}")
    demand(header.chain_id == chain.id, "the block is of another chain")
    return header, H("block", encoded)


def precommit_message(chain_id, height, view, block_hash):
    """What the members of a set sign to commit a block (7.4); the second 1 is the kind."""
    return H("bft vote", chain_id + number(height) + number(view) + number(1) + option(block_hash))


def signed_weight(commit, header, block_hash, members, chain):
    """Weight and number of those who signed a commit of this block. It has an entry for each member, in their order."""
    demand(as_number(field(commit, "height")) == header.height, "the commit is of another height")
    demand(as_bytes(field(commit, "block_hash"), 32) == block_hash, "the commit is of another block than the header")
    message = precommit_message(chain.id, header.height, as_number(field(commit, "view"), 32), block_hash)
    entries = as_list(field(commit, "signatures"))
    demand(len(entries) == len(members.members), "the commit has not one entry for each member of the set")
    signed = [(member, as_bytes(entry, 64)) for member, entry in zip(members.members, entries) if entry is not None]
    weight = sum(member.weight for member, _ in signed)
    members.demand_quorum(weight)
    bad = first_bad([(member.key, message, signature) for member, signature in signed])
    demand(bad is None, f"the signature of {bad and bad[0].hex()} in the commit is not good")
    return weight, len(signed)


# --- From epoch to epoch (4, 9) -------------------------------------------------------------------------------------

class Followed:
    """What is proved of the sets: the hash of each epoch's from the first one to `epoch`, which began after `block`.
    The members of a set are asked for when they are needed: with the hash nobody has to be trusted for them."""

    def __init__(self, chain, node, epoch, set_hash, block):
        self.chain, self.node, self.epoch, self.block = chain, node, epoch, block
        self.hashes = [(epoch, set_hash)]  # One for each change: the first epoch, the hash.
        self.sets = {}

    def first(self):
        return self.hashes[0][0]

    def hash_of_set(self, epoch):
        first = self.first()
        demand(epoch >= first, f"it is of epoch {epoch}, and the sets are proved from {first} on: begin earlier")
        demand(epoch <= self.epoch, f"it is of epoch {epoch}, and nothing leads from epoch {self.epoch} to its set")
        return next(found for since, found in reversed(self.hashes) if since <= epoch)

    def set_of(self, epoch):
        wanted = self.hash_of_set(epoch)
        if wanted not in self.sets:
            found = read_set(field(self.node("get_validators", epoch), "validators"), self.chain.prefix)
            demand(found.hash == wanted, f"the set of epoch {epoch} does not hash to what was proved")
            self.sets[wanted] = found
        return self.sets[wanted]

    def extend(self, end):
        """Takes the block that closed the current epoch, an entry of `get_epochs`; the set before, the set after."""
        header, block_hash = read_header(field(end, "header"), self.chain)
        before = self.set_of(self.epoch)
        demand(header.opened == (self.epoch + 1) * self.chain.epoch_slots and header.height > self.block.height,
               "the block does not close the epoch")
        demand(header.validators_hash == before.hash, "the block is not one of this epoch's set")
        listed = field(end, "next_validators")
        after = before if listed is None else read_set(listed, self.chain.prefix)
        demand(header.next_validators_hash == after.hash, "the next set does not hash to what the header says")
        signed_weight(field(end, "commit"), header, block_hash, before, self.chain)
        self.epoch, self.block = self.epoch + 1, Block(header.height, block_hash, header.slot)
        if after.hash != before.hash:
            self.hashes.append((self.epoch, after.hash))
            self.sets[after.hash] = after
        return before, after

    def follow(self, tell):
        """Goes on to the current epoch, in pages; `tell(epoch, height, before, after)` hears of each change."""
        while True:
            page = self.node("get_epochs", self.epoch, 1000)
            ends, following = as_list(field(page, "epochs")), field(page, "next_epoch")
            for end in ends:
                try:
                    before, after = self.extend(end)
                except Unproved as error:
                    raise Unproved(f"the end of epoch {self.epoch}: {error}") from None
                if before.hash != after.hash:
                    tell(self.epoch, self.block.height + 1, before, after)
            if following is None:
                return
            demand(ends and following == self.epoch, "the pages of epochs do not follow each other")


Block = namedtuple("Block", "height hash slot")


def from_genesis(chain, node):
    followed = Followed(chain, node, 0, chain.genesis_set.hash, Block(0, chain.genesis_hash, 0))
    followed.sets[chain.genesis_set.hash] = chain.genesis_set
    return followed


def from_checkpoint(chain, node, height, block_hash):
    """Begins at a block whose hash is known from elsewhere: the header is the one with that hash, and names a set."""
    header, found = read_header(node("get_block_header", height, False), chain)
    demand(found == block_hash and header.height == height, f"the node has another block at height {height}")
    block = Block(height, block_hash, header.slot)
    return Followed(chain, node, header.opened // chain.epoch_slots, header.next_validators_hash, block)


def changes(before, after):
    """Who joined, who left, whose weight or payout is another, in words."""
    old, new = ({member.id: member for member in members.members} for members in (before, after))
    for member in after.members:
        if member.id not in old:
            yield f"+ {member.id.hex()[:16]} of weight {member.weight}"
    for member in before.members:
        now = new.get(member.id)
        if now is None:
            yield f"- {member.id.hex()[:16]} of weight {member.weight}"
        elif now != member:
            weights = f"of weight {member.weight}, now {now.weight}"
            yield f"~ {member.id.hex()[:16]} {weights if now.weight != member.weight else 'has another payout'}"


# --- Proofs that a payment is final (6, 9) --------------------------------------------------------------------------

Proved = namedtuple("Proved", "signed total signers epoch how")


def verify_proof(proof, txid, followed):
    """Checks an answer of `get_finality_proof` against the sets that are proved."""
    kind = field(proof, "kind")
    demand(as_bytes(field(proof, "txid"), 32) == txid, "the proof is for another transaction")
    demand(kind in ("receipts", "block"), "an unknown kind of proof")
    return (verify_receipts if kind == "receipts" else verify_block)(proof, txid, followed)


def read_path(answer):
    return [as_bytes(sibling, 32) for sibling in as_list(field(answer, "path"))]


def verify_receipts(proof, txid, followed):
    """Receipts: each is a signature over the root of a tree of txids, with the path from this one."""
    epoch = as_number(field(proof, "epoch"))
    members = followed.set_of(epoch)
    by_key = {member.key: member for member in members.members}
    weight, checks, last = 0, [], b""
    for receipt in as_list(field(proof, "receipts")):
        voter = as_bytes(field(receipt, "voter"), 32)
        demand(voter > last, "the receipts do not ascend by voter: one might count twice")
        demand(voter in by_key, f"{voter.hex()} signed and is no member of the set of epoch {epoch}")
        index, count = as_number(field(receipt, "index"), 32), as_number(field(receipt, "count"), 32)
        demand(count <= 1024, "a batch of more than 1,024 transactions")
        root = root_of_path(txid, index, count, read_path(receipt))
        message = H("finality vote", followed.chain.id + number(epoch) + b"\1" + voter + root)  # 1: a receipt.
        checks.append((voter, message, as_bytes(field(receipt, "signature"), 64)))
        weight, last = weight + by_key[voter].weight, voter
    members.demand_quorum(weight)
    bad = first_bad(checks)
    demand(bad is None, f"the receipt of {bad and bad[0].hex()}: its signature is not good for this path")
    return Proved(weight, members.total, len(checks), epoch, "receipts")


def verify_block(proof, txid, followed):
    """A place in a block: the path leads to the header's root, and a commit of its set is good for the header."""
    chain = followed.chain
    header, block_hash = read_header(field(proof, "header"), chain)
    count = as_number(field(proof, "count"), 32)
    demand(count == header.tx_count, "the path is through another number of transactions than the block has")
    root = root_of_path(txid, as_number(field(proof, "index"), 32), count, read_path(proof))
    demand(root == header.tx_root, "the path does not lead to the header's root")
    if header.height == 0:
        demand(block_hash == chain.genesis_hash, "another genesis block than the spec's")
        return Proved(0, 0, 0, 0, "genesis, which follows from the chain spec")
    # A block that opens a slot is of the epoch that its parent's `opened` is in, any other of its own's.
    epochs = sorted({opened // chain.epoch_slots for opened in (max(header.opened, 1) - 1, header.opened)})
    reached = [epoch for epoch in epochs if followed.first() <= epoch <= followed.epoch]
    fitting = [epoch for epoch in reached if followed.hash_of_set(epoch) == header.validators_hash]
    if not fitting:
        for epoch in epochs:
            followed.hash_of_set(epoch)  # Says so if it is out of reach.
        raise Unproved("the block is not one of its epoch's set")
    members = followed.set_of(fitting[0])
    weight, signers = signed_weight(field(proof, "commit"), header, block_hash, members, chain)
    how = f"block {header.height} of {chain.time_of(header.slot)}"
    return Proved(weight, members.total, signers, fitting[0], how)


# --- What a transaction says (3) ------------------------------------------------------------------------------------

# `is_bound`: the collateral of a masternode. Its owner has it, but cannot spend it before the masternode has left, and
# whoever has the masternode's key can have a part of it taken.
Output = namedtuple("Output", "value lock is_bound")


def outputs_of(encoded, txid):
    """The outputs of the transaction with this txid, from its encoding: the hash of its body shows that they are its.
    The witnesses behind the body need not be looked at, as it is final."""
    reader = Reader(encoded)
    demand(reader.number(16) == 1, "a transaction of another version")
    reader.vector(lambda: (reader.take(32), reader.number(32)))
    outputs = reader.vector(lambda: (reader.number(), reader.lock()))
    bound = collateral_of(reader)
    reader.take(reader.number())  # The memo.
    demand(H("txid", encoded[:reader.at]) == txid, "the transaction has another txid")
    return [Output(value, lock, i == bound) for i, (value, lock) in enumerate(outputs)]


def paid_to(outputs, lock):
    """What they pay to a lock. A collateral is no payment: who gets it cannot spend it."""
    return sum(out.value for out in outputs if out.lock == lock and not out.is_bound)


def collateral_of(reader):
    """Reads the payload. Which output is a collateral, if one is."""
    kind = reader.number(32)
    if kind == 1:  # Coinbase: its height.
        reader.number()
    elif kind == 2:  # Register: consensus key, payout, endpoint, index of the collateral, proof.
        reader.take(32), reader.lock(), reader.take(reader.number())
        bound = reader.number(32)
        reader.take(64)
        return bound
    elif kind == 3:  # Update: masternode, payout, endpoint.
        reader.take(32), reader.option(reader.lock), reader.option(lambda: reader.take(reader.number()))
    elif kind == 4:  # Unregister: masternode.
        reader.take(32)
    else:
        demand(kind == 0, "an unknown kind of transaction")
    return None


# --- The node (docs/rpc.md) -----------------------------------------------------------------------------------------

MAX_ANSWER_BYTES = 32_000_000


class Refused(Exception):
    """The node says no, or nothing."""


def short_int(digits):
    """An integer as JSON has it, unless it is one whose reading takes for ever."""
    return int(digits) if len(digits) <= 20 else None


def node_at(url, timeout=60):
    """Calls methods of the node at `url`. Whatever it answers is only as good as what it proves."""
    def call(method, *parameters):
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
        posted = urllib.request.Request(url, json.dumps(request).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(posted, timeout=timeout) as response:
                body = response.read(MAX_ANSWER_BYTES + 1)
            answer = json.loads(body, parse_int=short_int) if len(body) <= MAX_ANSWER_BYTES else None
        except (OSError, ValueError, RecursionError, http.client.HTTPException) as error:
            raise Refused(f"{url}: {error}") from None
        error = answer.get("error") if isinstance(answer, dict) else "no answer to a JSON-RPC call"
        if error:
            message = str(error.get("message") if isinstance(error, dict) else error)[:300]
            raise Refused(f"{method}: {''.join(c if c.isprintable() else '?' for c in message)}")
        return answer.get("result")
    return call


# --- What is kept from one run to the next --------------------------------------------------------------------------

def save_state(followed, path):
    """Keeps how far the sets are proved. Whoever can write this file can make `light.py` believe any set."""
    block = followed.block
    state = {"chain_id": followed.chain.id.hex(), "epoch": followed.epoch,
             "height": block.height, "block_hash": block.hash.hex(), "slot": block.slot,
             "sets": [[epoch, set_hash.hex()] for epoch, set_hash in followed.hashes]}
    with open(path + ".new", "w", encoding="ascii") as file:
        json.dump(state, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


def load_state(chain, node, path):
    with open(path, "rb") as file:
        written = file.read()
    try:
        state = json.loads(written)
        demand(as_bytes(field(state, "chain_id"), 32) == chain.id, "it is of another chain")
        hashes = [(as_number(epoch), as_bytes(set_hash, 32)) for epoch, set_hash in as_list(field(state, "sets"))]
        epochs = [epoch for epoch, _ in hashes]
        block = Block(as_number(field(state, "height")), as_bytes(field(state, "block_hash"), 32),
                      as_number(field(state, "slot")))
        followed = Followed(chain, node, as_number(field(state, "epoch")), b"", block)
        demand(epochs and epochs == sorted(set(epochs)) and epochs[-1] <= followed.epoch, "epochs out of order")
    except (Unproved, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not what was written there: {error}") from None
    followed.hashes = hashes
    return followed


def read_spec(path):
    with open(path, "rb") as file:
        written = file.read().decode()
    if written.lstrip().startswith("{"):
        return json.loads(written)
    if tomllib is None:
        raise ValueError("TOML takes Python 3.11: give the spec as JSON, as a node of your own answers get_chain_spec, "
                         "or --chain-id without --chain")
    return tomllib.loads(written)


# --- All of it ------------------------------------------------------------------------------------------------------

def say(label, line):
    print(f"{label:<12}{line}", flush=True)


def the_chain(arguments, node):
    """The chain that is believed: a spec, or the id that a spec, whoever shows it, has to hash to."""
    if arguments.chain:
        chain = Chain(read_spec(arguments.chain))
    else:
        try:
            chain = Chain(node("get_chain_spec"))
        except ValueError as error:
            raise Unproved(f"the node's chain spec: {error}") from None
    demand(arguments.chain_id in (None, chain.id.hex()), f"the spec is that of chain {chain.id.hex()}")
    return chain


def beginning(chain, arguments, node):
    if arguments.state and os.path.exists(arguments.state):
        return load_state(chain, node, arguments.state)
    if arguments.checkpoint:
        return from_checkpoint(chain, node, *arguments.checkpoint)
    return from_genesis(chain, node)


def tell_change(epoch, height, before, after):
    say(f"epoch {epoch}", f"from block {height}: {', '.join(changes(before, after))}; "
        f"{len(after.members)} members of weight {after.total}")


def run(arguments, node):
    chain = the_chain(arguments, node)
    wanted = lock_of(arguments.to, chain.prefix) if arguments.to else None
    say("chain", f"{chain.spec['name']} {chain.id.hex()}")
    say("genesis", chain.genesis_hash.hex())
    followed = beginning(chain, arguments, node)
    began, members = followed.epoch, followed.set_of(followed.epoch)
    say(f"epoch {followed.epoch}", f"from block {followed.block.height + 1}: "
        f"{len(members.members)} members of weight {members.total}")
    txid = arguments.txid
    # First the proof, then the sets: so its epoch is no later one than theirs.
    proof = node("get_finality_proof", txid.hex()) if txid else None
    followed.follow(tell_change)
    if arguments.state:
        save_state(followed, arguments.state)
    height, block_hash, slot = followed.block
    say("now", f"epoch {followed.epoch} after block {height} of {chain.time_of(slot)}, {block_hash.hex()}")
    bound = chain.spec["unbonding_epochs"]
    if followed.epoch - began > bound:
        say("note", f"{followed.epoch - began} epochs lie behind that, and who leaves is bound for {bound} only: "
            "compare the hash with another source, or begin at a --checkpoint")
    if txid is None:
        return
    proved = verify_proof(proof, txid, followed)
    outputs = outputs_of(as_bytes(node("get_transaction", txid.hex(), False)), txid)
    say("signed", f"weight {proved.signed} of {proved.total} by {proved.signers} members of epoch {proved.epoch}: "
        f"{proved.how}")
    if followed.epoch - proved.epoch > bound:
        say("note", f"the proof is as good as the keys of epoch {proved.epoch}, whose members may have left since")
    for i, (value, lock, is_bound) in enumerate(outputs):
        bound = ", bound as the collateral of a masternode" if is_bound else ""
        say(f"output {i}", f"{value // 10**8}.{value % 10**8:08} TIME to {address_of(lock, chain.prefix)}{bound}")
    if wanted:
        paid = paid_to(outputs, wanted)
        demand(paid >= arguments.amount, f"it is final and pays {paid} units to {arguments.to}, not {arguments.amount}")
        say("pays", f"{paid} units to {arguments.to}")
    say("PROVED", f"{txid.hex()} is final")


# --- Self test against the vectors of an independent implementation -------------------------------------------------

def self_test(path):
    with open(path, encoding="utf-8") as file:
        vectors = json.load(file)
    unhex = bytes.fromhex
    chain_id = unhex(vectors["chain_id"])

    def check(is_right, what):
        demand(is_right, f"self test: {what}")

    def is_refused(attempt, *parameters):
        try:
            attempt(*parameters)
        except (Unproved, ValueError):
            return True
        return False

    for entry in vectors["derive_key"]:
        check(H(entry["name"], unhex(entry["data"])).hex() == entry["hash"], f"hash {entry['name']}")
    total = [0] * 1024
    check(H("utxos", struct.pack("<1024H", *total)).hex() == vectors["lthash"]["empty"], "hash of no outputs")
    for entry, after in zip(vectors["lthash"]["add"], vectors["lthash"]["after_each"]):
        lanes = struct.unpack("<1024H", H_2048("state entry", unhex(entry)))
        total = [sum(pair) & 0xFFFF for pair in zip(total, lanes)]
        check(H("utxos", struct.pack("<1024H", *total)).hex() == after, f"hash of outputs {after}")
    for entry in vectors["addresses"]:
        kind = KEY_HASH if entry["kind"] == "key_hash" else MULTISIG
        check(lock_of(entry["address"], entry["hrp"]) == (kind, unhex(entry["hash"])), f"address {entry['address']}")
        check(address_of((kind, unhex(entry["hash"])), entry["hrp"]) == entry["address"], f"address {entry['address']}")
    for address in vectors["bad_addresses"]:
        check(is_refused(lock_of, address, "time"), f"the bad address {address} was read")
    for entry in vectors["transactions"] + vectors["masternode_transactions"]:
        encoded, txid = unhex(entry["encoded"]), unhex(entry["txid"])
        outputs = outputs_of(encoded, txid)
        if "outputs" in entry:
            listed = [(out["value"], (KEY_HASH, unhex(out["key_hash"])), False) for out in entry["outputs"]]
            check(listed == outputs, f"outputs of {entry['txid']}")
        has_collateral = any(out.is_bound for out in outputs)
        check(has_collateral == (entry.get("what") == "register"), f"the collateral of {entry['txid']}")
        check(is_refused(outputs_of, encoded, bytes(32)), "a transaction under another txid was read")
    for entry in vectors["merkle"]:
        test_paths([unhex(leaf) for leaf in entry["ids"]], entry["root"], check, is_refused)
    for entry in vectors["finality_votes"]:
        voter, leaves = unhex(entry["voter"]), [unhex(txid) for txid in entry["txids"]]
        root, _ = root_and_path(leaves, 0)
        message = H("finality vote", chain_id + number(entry["epoch"]) + bytes([entry["kind"]]) + voter + root)
        check(message.hex() == entry["digest"], f"message of the vote {entry['digest']}")
        signature = unhex(entry["signature"])
        check(first_bad([(voter, message, signature)]) is None, "a good signature was refused")
        for i in (0, 31, 32, 63):
            changed = bytearray(signature)
            changed[i] ^= 1
            check(first_bad([(voter, message, signature), (voter, message, bytes(changed))]) is not None,
                  f"a signature with another byte {i} was taken")
    for entry in vectors["bft_votes"]:
        if entry["kind"] == 1 and entry["block_hash"]:
            message = precommit_message(chain_id, entry["height"], entry["view"], unhex(entry["block_hash"]))
            check(message.hex() == entry["digest"], f"message of the precommit {entry['digest']}")
    test_sets(vectors, chain_id, check)
    print("self test passed: hashes, addresses, txids, paths, sets, headers, signatures are as the vectors have them")


def root_and_path(leaves, index):
    """A Merkle root and the path to it from one leaf, made level by level: another way than the verifier goes."""
    level, path = [H("merkle leaf", leaf) for leaf in leaves], []
    while len(level) > 1:
        if index ^ 1 < len(level):
            path.append(level[index ^ 1])
        pairs = [level[i:i + 2] for i in range(0, len(level), 2)]
        level, index = [H("merkle node", b"".join(pair)) if len(pair) == 2 else pair[0] for pair in pairs], index >> 1
    return (level[0] if level else bytes(32)), path


def test_paths(leaves, root, check, is_refused):
    for index in {0, len(leaves) // 2, len(leaves) - 1} if leaves else ():
        found, path = root_and_path(leaves, index)
        check(found.hex() == root, f"Merkle root {root}")
        place = leaves[index], index, len(leaves)
        check(root_of_path(*place, path) == found, f"a path to {root}")
        check(is_refused(root_of_path, *place, path + [bytes(32)]), "a longer path was taken")
        check(is_refused(root_of_path, leaves[index], len(leaves), len(leaves), path), "a path from nowhere was taken")
        if path:
            check(is_refused(root_of_path, *place, path[1:]), "a shorter path was taken")
            check(root_of_path(*place, [bytes(32)] + path[1:]) != found, "any path was taken")


def test_sets(vectors, chain_id, check):
    reader = Reader(bytes.fromhex(vectors["validators"]["encoded"]))
    members = reader.vector(lambda: Member(reader.take(32), reader.take(32), reader.number(), reader.lock()))
    reader.end()
    check(ValidatorSet(members).hash.hex() == vectors["validators"]["hash"], "hash of a set")
    listed = set_as_json(members, "time")
    check(read_set(listed, "time").hash.hex() == vectors["validators"]["hash"], "hash of a set that is listed")
    commit = bytes.fromhex(vectors["commit"]["encoded"])
    check(H("commit", option(commit)).hex() == vectors["commit"]["root"], "a commit's root")
    check(H("commit", option(None)).hex() == vectors["commit"]["root_of_none"], "root of no commit")
    entry = vectors["header"]
    header, block_hash = read_header(entry["encoded"], namedtuple("OfChain", "id")(chain_id))
    check(block_hash.hex() == entry["block_hash"] and encode_header(header).hex() == entry["encoded"], "a block's hash")
    for name in ("height", "slot", "opened", "tx_count", "reward"):
        check(getattr(header, name) == entry[name], f"{name} of a header")
    ids = vectors["genesis_masternode_ids"]
    for i, expected in enumerate(ids["ids"]):
        made = H("genesis masternode", bytes.fromhex(ids["coinbase_txid"]) + struct.pack("<I", i))
        check(made.hex() == expected, f"id of genesis masternode {i}")


def read_checkpoint(argument):
    height, separator, block_hash = argument.partition(":")
    if not separator or not height.isdecimal() or len(block_hash) != 64:
        raise argparse.ArgumentTypeError("a checkpoint is HEIGHT:HASH")
    return int(height), read_hash(block_hash)


def read_hash(argument):
    try:
        return as_bytes(argument.lower(), 32)
    except Unproved:
        raise argparse.ArgumentTypeError("64 hex digits are expected") from None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--self-test", metavar="VECTORS", help="check this file against the test vectors and exit")
    parser.add_argument("--chain", metavar="FILE", help="the chain spec: chain.toml, or JSON as get_chain_spec answers")
    parser.add_argument("--chain-id", metavar="HEX", type=lambda argument: read_hash(argument).hex(),
                        help="what the spec has to hash to; without --chain the node is asked for one that does")
    parser.add_argument("--rpc", metavar="URL", help="any node, http://HOST:PORT")
    parser.add_argument("--checkpoint", metavar="HEIGHT:HASH", type=read_checkpoint,
                        help="begin at this block instead of genesis")
    parser.add_argument("--state", metavar="FILE", help="go on from what was proved before, which this file says")
    parser.add_argument("--txid", metavar="HEX", type=read_hash, help="the payment to prove")
    parser.add_argument("--to", metavar="ADDRESS", help="it has to pay to this address")
    parser.add_argument("--amount", metavar="UNITS", type=int,
                        help="at least this; 1 TIME is 100,000,000 units")
    arguments = parser.parse_args()
    if arguments.self_test:
        work = functools.partial(self_test, arguments.self_test)
    elif not arguments.rpc or not (arguments.chain or arguments.chain_id):
        parser.error("--rpc and one of --chain and --chain-id are needed")
    elif (arguments.to is None) != (arguments.amount is None) or (arguments.to and not arguments.txid):
        parser.error("--to and --amount go together, and with --txid")
    elif arguments.amount is not None and arguments.amount < 1:
        parser.error("--amount is at least 1")
    else:
        work = functools.partial(run, arguments, node_at(arguments.rpc))
    try:
        work()
    except Unproved as error:
        print(f"NOT PROVED  {error}", file=sys.stderr)
        sys.exit(1)
    except (Refused, ValueError, OSError) as error:
        print(f"light.py: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
