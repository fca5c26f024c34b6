"""Forges what a light verifier has to refuse: a chain whose keys are all here, so that lies are signed by whoever can.

`PYTHONPATH=docs/examples python3 tests/light/forged.py` runs it and says how many lies were told; any that is believed,
or refused for another reason than its own, ends it with code 1.
"""

import copy
import json
import os
import sys
import tempfile

import client
import light
from light import H, Header, Member, Unproved, ValidatorSet, number, option

SECRETS = [bytes([n]) * 32 for n in range(1, 8)]
KEYS = {client.public_key(secret): secret for secret in SECRETS}
PREFIX = "rtime"
SLOTS = 10


def lock(n):
    return light.KEY_HASH, bytes([n]) * 32


def spec(name):
    """A spec of four masternodes of one weight: three are a quorum, two are not."""
    address = light.address_of(lock(200), PREFIX)
    public = [client.public_key(secret).hex() for secret in SECRETS[:4]]
    return {
        "name": name, "address_hrp": PREFIX,
        "genesis_time_ms": 1_700_000_000_000, "slot_ms": 2_000, "epoch_slots": SLOTS,
        "max_block_bytes": 2_000_000, "overflow_min_bytes": 1_000_000, "max_tx_bytes": 100_000, "min_fee_rate": 100,
        "min_output": "10000",
        "snowball": {"k": 20, "alpha": 14, "beta": 20, "beta_virtuous": 5, "concurrent_polls": 4,
                     "round_timeout_ms": 500, "fallback_ms": 2_000},
        "tsdc": {"propose_ms": 200, "prepare_ms": 200, "precommit_ms": 200, "delta_ms": 100},
        "inclusion_grace_ms": 2_000, "clock_tolerance_ms": 500, "vdf_iterations": 20_000,
        "reward": {"schedule": "log_height", "base": "10000000000", "proposer_bps": 1_000},
        "tiers": [{"name": "bronze", "collateral": "100000000000", "weight": 10}],
        "churn_bps": 3_333, "unbonding_epochs": 3, "slash_bps": 1_000,
        "masternodes": [{"consensus_key": key, "owner": address, "payout": address, "tier": "bronze",
                         "endpoint": "127.0.0.1:9"} for key in public],
        "allocations": [{"address": address, "amount": "100000000000000"}],
    }


CHAIN, OTHER_CHAIN = light.Chain(spec("forged")), light.Chain(spec("another"))
FIRST = CHAIN.genesis_set
JOINER = Member(bytes([77]) * 32, client.public_key(SECRETS[4]), 10, lock(77))
STRANGER = client.public_key(SECRETS[6])


def set_with(*members):
    return ValidatorSet(sorted(members, key=lambda member: member.key))


LEAVER = FIRST.members[0]
SECOND = set_with(*FIRST.members, JOINER)
THIRD = set_with(*(member for member in SECOND.members if member != LEAVER))
SETS = [FIRST, SECOND, THIRD, THIRD]  # By epoch.
NOW = 3


def header(height, opened, members, following, chain=CHAIN, tx_root=bytes(32), tx_count=1, version=1):
    some = bytes([9]) * 32
    return Header(version, chain.id, height, opened + 5, opened, some, tx_root, tx_count, some, some, some,
                  members.hash, following.hash, some, some, 0)


def hash_of(made):
    return H("block", light.encode_header(made))


def commit_of(made, keys, chain=CHAIN, view=2, signed_view=2, kind=1, block_hash=None):
    """A commit of this block with an entry for each of `keys`; a text among them is a signature put in as it is."""
    block_hash = block_hash or hash_of(made)
    message = H("bft vote", chain.id + number(made.height) + number(signed_view) + number(kind) + option(block_hash))
    sign = {key: client.sign(secret, message).hex() for key, secret in KEYS.items() if key in keys}
    return {"height": made.height, "view": view, "block_hash": block_hash.hex(),
            "signatures": [key if key is None or isinstance(key, str) else sign[key] for key in keys]}


def keys_of(members):
    return [member.key for member in members.members]


def quorum_of(members):
    """All but one."""
    return [None] + keys_of(members)[1:]


def end(epoch, made=None, keys=None, listed=None, **other):
    """The end of an epoch as a node shows it; true unless something is given."""
    before, after = SETS[epoch], SETS[epoch + 1]
    made = made or header(SLOTS * (epoch + 1) + 2, SLOTS * (epoch + 1), before, after)
    shown = None if before.hash == after.hash else light.set_as_json(after.members, PREFIX)
    return {"epoch": epoch, "height": made.height, "header": light.encode_header(made).hex(),
            "commit": commit_of(made, keys or quorum_of(before), **other), "next_validators": listed or shown}


ENDS = [end(epoch) for epoch in range(NOW)]


def node_with(ends=None, sets=None, **answers):
    """A node that shows these ends in pages of two."""
    ends = ENDS if ends is None else ends
    listed = {epoch: {"validators": light.set_as_json(members.members, PREFIX)} for epoch, members in enumerate(SETS)}
    listed.update(sets or {})

    def node(method, *parameters):
        if method == "get_epochs":
            following = min(parameters[0] + 2, len(ends))
            return {"epochs": copy.deepcopy(ends[parameters[0]:following]),
                    "next_epoch": None if following == len(ends) else following}
        if method == "get_validators":
            return listed[parameters[0]]
        return answers[method]
    return node


def followed(node=None):
    found = light.from_genesis(CHAIN, node or node_with())
    found.follow(lambda *_: None)
    return found


# --- A payment, its receipts and its block --------------------------------------------------------------------------

def transaction(amount):
    """The encoding of a payment of `amount`, and its txid."""
    body = client.encode_body([(bytes(32), 300)], [(amount, lock(5)), (70_000, lock(6))], b"rent")
    return body + light.vector([]), H("txid", body)


ENCODED, TXID = transaction(5_000_000)
OTHER_ENCODED, OTHER_TXID = transaction(9_000_000)
LEAVES = [H("txid", bytes([n])) for n in range(5)] + [TXID, OTHER_TXID]
AT = 5


def receipt(key, epoch=NOW, chain=CHAIN, kind=1, txid_at=AT, leaves=None, signer=None):
    leaves = leaves or LEAVES
    root, path = light.root_and_path(leaves, txid_at)
    message = H("finality vote", chain.id + number(epoch) + bytes([kind]) + key + root)
    return {"voter": key.hex(), "index": txid_at, "count": len(leaves), "path": [sibling.hex() for sibling in path],
            "signature": client.sign(KEYS[signer or key], message).hex()}


def receipts(keys=None, epoch=NOW, txid=TXID, **other):
    keys = keys_of(SETS[NOW])[1:] if keys is None else keys
    return {"kind": "receipts", "txid": txid.hex(), "epoch": epoch,
            "receipts": [receipt(key, **other) for key in sorted(keys)]}


def in_block(made=None, keys=None, proof_of=TXID, at=AT, members=THIRD, **other):
    root, path = light.root_and_path(LEAVES, at)
    made = made or header(37, 35, members, members, tx_root=root, tx_count=len(LEAVES))
    return {"kind": "block", "txid": proof_of.hex(), "height": made.height, "header": light.encode_header(made).hex(),
            "commit": commit_of(made, keys or quorum_of(members), **other), "index": at, "count": len(LEAVES),
            "path": [sibling.hex() for sibling in path]}


def changed(value, *path):
    """A copy of `value` in which what `path` leads to is the last of `path`."""
    value = copy.deepcopy(value)
    *steps, last, new = path
    place = value
    for step in steps:
        place = place[step]
    place[last] = new(place[last]) if callable(new) else new
    return value


def flipped(text):
    return text[:-1] + ("0" if text[-1] != "0" else "1")


# --- The lies -------------------------------------------------------------------------------------------------------

class Lies:
    def __init__(self):
        self.told, self.failed = 0, []

    def refused(self, name, reason, attempt, *parameters):
        self.told += 1
        try:
            found = attempt(*parameters)
        except Unproved as error:
            if reason not in str(error):
                self.failed.append(f"{name}: refused because {error}, not because {reason}")
        except Exception as error:  # Anything else is a defect of the verifier.
            self.failed.append(f"{name}: {error!r}")
        else:
            self.failed.append(f"{name}: believed, {found}")

    def must(self, is_so, what):
        if not is_so:
            self.failed.append(what)


def truth(lies):
    """What is not refused; without it the lies would show nothing."""
    told = []
    found = light.from_genesis(CHAIN, node_with())
    found.follow(lambda epoch, height, before, after: told.append((epoch, height, list(light.changes(before, after)))))
    lies.must(told == [(1, 13, [f"+ {JOINER.id.hex()[:16]} of weight 10"]),
                       (2, 23, [f"- {LEAVER.id.hex()[:16]} of weight 10"])], f"changes: {told}")
    lies.must((found.epoch, found.block.height) == (NOW, 32), "the current epoch")
    for proof, signed in ((receipts(), 30), (receipts(keys_of(THIRD)), 40), (in_block(), 30)):
        proved = light.verify_proof(proof, TXID, found)
        lies.must((proved.signed, proved.total, proved.epoch) == (signed, 40, NOW), f"{proved}")
    closing = header(32, 30, THIRD, THIRD, tx_root=light.root_and_path(LEAVES, AT)[0], tx_count=len(LEAVES))
    epoch = light.verify_proof(in_block(closing), TXID, found).epoch
    lies.must(epoch == 2, f"the block that closes epoch 2 is one of it, not of {epoch}")
    lies.must([out.value for out in light.outputs_of(ENCODED, TXID)] == [5_000_000, 70_000], "outputs")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "state")
        light.save_state(found, path)
        again = light.load_state(CHAIN, node_with(), path)
        again.follow(lambda *_: lies.must(False, "a change was told twice"))
        lies.must(again.hashes == found.hashes and again.block == found.block, "the state that was kept")
        lies.must(light.verify_proof(in_block(), TXID, again).signed == 30, "a proof from the state on")
        liar = node_with(sets={NOW: {"validators": light.set_as_json(SECOND.members, PREFIX)}})
        misled = light.load_state(CHAIN, liar, path)
        lies.refused("another set for the state", "does not hash", misled.set_of, NOW)
        try:
            light.load_state(OTHER_CHAIN, node_with(), path)
            lies.must(False, "the state of another chain was taken")
        except ValueError as error:
            lies.must("another chain" in str(error), str(error))


def about_epochs(lies):
    def follow(name, reason, *ends):
        lies.refused(name, reason, followed, node_with(list(ends)))

    closing = header(12, 10, FIRST, SECOND)
    keys = keys_of(FIRST)
    signed = end(0, closing)["commit"]["signatures"]
    other_state = closing._replace(state_root=bytes(32))
    follow("a changed header", "another block than the header",
           changed(ENDS[0], "header", light.encode_header(other_state).hex()))
    follow("a changed header, and the commit's hash with it", "is not good",
           end(0, other_state, keys=[None] + signed[1:], block_hash=hash_of(other_state)))
    follow("a header with a byte more", "left over", changed(ENDS[0], "header", lambda text: text + "00"))
    follow("a header cut short", "end too early", changed(ENDS[0], "header", lambda text: text[:-2]))
    longer = light.encode_header(closing).hex().replace("01", "fb0100", 1)
    follow("a number in a longer form", "longer form", changed(ENDS[0], "header", longer))
    follow("half of the weight", "less than two thirds", end(0, keys=[None, None] + keys[2:]))
    follow("nobody", "less than two thirds", end(0, keys=[None] * 4))
    follow("one signature twice", "is not good", end(0, keys=[None, signed[2], signed[2], signed[3]]))
    follow("a stranger's signature", "is not good", end(0, keys=[None] + keys[1:3] + [signs(STRANGER, closing)]))
    follow("an entry too many", "one entry for each", end(0, keys=[*quorum_of(FIRST), STRANGER]))
    follow("an entry too few", "one entry for each", end(0, keys=keys[:3]))
    follow("prepares", "is not good", end(0, kind=0))
    follow("precommits of another view", "is not good", end(0, signed_view=1))
    follow("precommits under another chain's id", "is not good", end(0, chain=OTHER_CHAIN))
    elsewhere = header(12, 10, FIRST, SECOND, chain=OTHER_CHAIN)
    follow("another chain's block", "another chain", end(0, elsewhere, chain=OTHER_CHAIN))
    follow("a block of another version", "version 2", end(0, header(12, 10, FIRST, SECOND, version=2)))
    follow("a commit of another height", "another height", changed(ENDS[0], "commit", "height", 13))
    own = light.set_as_json(set_with(*FIRST.members, Member(bytes(32), STRANGER, 1_000, lock(1))).members, PREFIX)
    follow("a set that the header does not name", "does not hash", end(0, listed=own))
    heavier = changed(ENDS[0], "next_validators", 0, "weight", 1_000)
    follow("a member with another weight", "does not hash", heavier)
    follow("a set out of order", "order of its keys",
           changed(ENDS[0], "next_validators", lambda members: members[::-1]))
    follow("a member twice", "order of its keys",
           changed(ENDS[0], "next_validators", lambda members: members + members[-1:]))
    follow("an empty set", "no member", changed(ENDS[0], "next_validators", []))
    follow("no set where it changes", "does not hash", changed(ENDS[0], "next_validators", None))
    follow("an address of another chain in a set", "no address of this chain",
           changed(ENDS[0], "next_validators", 0, "payout", lambda text: text.replace("rtime1", "time1")))
    follow("a block that closes nothing", "does not close", end(0, header(12, 9, FIRST, SECOND)))
    follow("the end of another epoch", "does not close", ENDS[1])
    follow("an end left out", "does not close", ENDS[0], ENDS[2])
    follow("an end that is no later than the last", "does not close", ENDS[0], end(1, header(12, 20, SECOND, THIRD)))
    follow("an end by the set before", "not one of this epoch's set",
           ENDS[0], end(1, header(22, 20, FIRST, THIRD), keys=keys))
    follow("the set before under the new set's name", "one entry for each", ENDS[0], end(1, keys=keys))
    follow("one who has left signs", "is not good",
           ENDS[0], ENDS[1], end(2, keys=[signs(LEAVER.key, header(32, 30, THIRD, THIRD))] + quorum_of(THIRD)[1:]))
    lies.refused("pages that go nowhere", "do not follow", followed, lambda *_: {"epochs": [], "next_epoch": 0})
    lies.refused("pages that skip", "do not follow", followed, lambda *_: {"epochs": ENDS[:1], "next_epoch": 7})


def signs(key, made):
    message = light.precommit_message(CHAIN.id, made.height, 2, hash_of(made))
    return client.sign(KEYS[key], message).hex()


def about_receipts(lies):
    found, members = followed(), keys_of(THIRD)

    def prove(name, reason, proof, txid=TXID):
        lies.refused(name, reason, light.verify_proof, proof, txid, found)

    prove("a proof for another transaction", "another transaction", receipts(), OTHER_TXID)
    prove("that proof with the name changed", "is not good", receipts(txid=OTHER_TXID), OTHER_TXID)
    prove("half of the weight", "less than two thirds", receipts(members[:2]))
    prove("nobody", "less than two thirds", receipts([]))
    one_twice = receipts(members[:2])
    one_twice["receipts"].append(one_twice["receipts"][1])
    prove("a voter twice", "do not ascend", one_twice)
    prove("voters out of order", "do not ascend", changed(receipts(), "receipts", lambda found: found[::-1]))
    prove("a stranger", "no member", receipts(members[:2] + [STRANGER]))
    prove("one who has left", "no member", receipts(members[:2] + [LEAVER.key]))
    prove("a stranger's signature under a member's name", "is not good",
          changed(receipts(), "receipts", 1, receipt(sorted(members[1:])[1], signer=STRANGER)))
    prove("votes", "is not good", receipts(kind=0))
    before = [receipt(key, epoch=NOW - 1) for key in sorted(members[1:])]
    prove("receipts of the epoch before", "is not good", changed(receipts(), "receipts", before))
    prove("receipts under another chain's id", "is not good", receipts(chain=OTHER_CHAIN))
    prove("an epoch that nothing leads to", "nothing leads", receipts(epoch=NOW + 1))
    prove("another leaf of the batch", "is not good", changed(receipts(), "receipts", 0, "index", AT - 1))
    prove("a leaf beyond the last", "beyond the last leaf", changed(receipts(), "receipts", 0, "index", len(LEAVES)))
    prove("another size of the batch", "too long", changed(receipts(), "receipts", 0, "count", AT + 1))
    prove("too large a batch", "more than 1,024", changed(receipts(), "receipts", 0, "count", 1025))
    prove("a changed path", "is not good", changed(receipts(), "receipts", 0, "path", 1, flipped))
    prove("a shorter path", "too short", changed(receipts(), "receipts", 0, "path", lambda path: path[:-1]))
    prove("a longer path", "too long", changed(receipts(), "receipts", 0, "path", lambda path: path + path[:1]))
    prove("a changed signature", "is not good", changed(receipts(), "receipts", 2, "signature", flipped))
    prove("an unknown kind", "unknown kind", changed(receipts(), "kind", "promise"))


def about_blocks(lies):
    found, members = followed(), keys_of(THIRD)
    root = light.root_and_path(LEAVES, AT)[0]

    def made(height, opened, of, **other):
        return header(height, opened, of, of, tx_root=root, tx_count=len(LEAVES), **other)

    def prove(name, reason, proof, txid=TXID):
        lies.refused(name, reason, light.verify_proof, proof, txid, found)

    prove("a proof for another transaction", "another transaction", in_block(), OTHER_TXID)
    prove("that proof with the name changed", "does not lead", in_block(proof_of=OTHER_TXID), OTHER_TXID)
    prove("a changed path", "does not lead", changed(in_block(), "path", 0, flipped))
    prove("another leaf", "does not lead", changed(in_block(), "index", AT - 1))
    prove("a longer path", "too long", changed(in_block(), "path", lambda path: path + path[:1]))
    prove("another number of leaves", "another number", changed(in_block(), "count", len(LEAVES) + 1))
    prove("a changed header", "another block than the header",
          changed(in_block(), "header", light.encode_header(made(37, 35, THIRD)._replace(reward=5)).hex()))
    good = in_block()["commit"]["signatures"]
    other = made(37, 35, THIRD)._replace(reward=5)
    prove("a changed header, and the commit's hash with it", "is not good", in_block(other, keys=good))
    prove("half of the weight", "less than two thirds", in_block(keys=[None, None] + members[2:]))
    prove("one signature twice", "is not good", in_block(keys=[None, good[2], good[2], good[3]]))
    prove("a stranger's signature", "is not good",
          in_block(keys=[None] + members[1:3] + [signs(STRANGER, made(37, 35, THIRD))]))
    prove("prepares", "is not good", in_block(kind=0))
    prove("another chain's block", "another chain", in_block(made(37, 35, THIRD, chain=OTHER_CHAIN), chain=OTHER_CHAIN))
    prove("precommits under another chain's id", "is not good", in_block(chain=OTHER_CHAIN))
    prove("a block by the set of an epoch that is over", "not one of its epoch's set",
          in_block(made(37, 35, SECOND), keys=keys_of(SECOND), members=SECOND))
    strangers = ValidatorSet([Member(bytes(32), STRANGER, 10, lock(1))])
    prove("a block by strangers", "not one of its epoch's set", in_block(made(37, 35, strangers), keys=[STRANGER]))
    prove("a block of an epoch that nothing leads to", "nothing leads", in_block(made(57, 45, THIRD)))
    genesis = header(0, 0, FIRST, FIRST, tx_root=root, tx_count=len(LEAVES))
    prove("another genesis", "another genesis", {**in_block(genesis), "commit": None})
    prove("a block without a commit", "height is missing", {**in_block(), "commit": None})


def about_payments(lies):
    lies.refused("another transaction", "another txid", light.outputs_of, OTHER_ENCODED, TXID)
    more = ENCODED.replace(number(5_000_000), number(5_000_001))
    lies.must(more != ENCODED, "the amount stands in the encoding")
    lies.refused("a changed amount", "another txid", light.outputs_of, more, TXID)
    lies.refused("a transaction cut short", "end too early", light.outputs_of, ENCODED[:40], TXID)
    lies.refused("no transaction", "end too early", light.outputs_of, b"", TXID)
    # A registration whose collateral is "paid" to somebody: bound, and what is left of it in the hands of the key's owner.
    outs = [number(value) + number(0) + bytes([who] * 32) for value, who in ((70_000, 1), (900_000, 2), (5_000, 2))]
    register = number(2) + bytes(32) + number(0) + bytes(32) + number(0) + number(1) + bytes(64)
    body = number(1) + light.vector([]) + light.vector(outs) + register + light.vector([])
    outputs = light.outputs_of(body, H("txid", body))
    lies.must([out.is_bound for out in outputs] == [False, True, False], f"{outputs}")
    lies.must(light.paid_to(outputs, (light.KEY_HASH, bytes([2] * 32))) == 5_000, "a collateral was taken for a payment")


def about_forms(lies):
    """What has another form than it should."""
    lies.refused("an option that is half there", "neither there nor not", light.Reader(b"\2\0").option, lambda: None)
    lies.refused("a lock of the third kind", "unknown kind of lock", light.Reader(b"\2" + bytes(32)).lock)
    lies.refused("a number of nine bytes", "does not fit", light.Reader(b"\xfe" + bytes(16)).number)
    lies.refused("a number too large for its type", "does not fit", light.Reader(number(1 << 16)).number, 16)
    body = number(1) + light.vector([]) + light.vector([]) + number(5) + light.vector([])
    lies.refused("a payload of the sixth kind", "unknown kind", light.outputs_of, body, H("txid", body))
    body = number(2) + body[1:]
    lies.refused("another version", "another version", light.outputs_of, body, H("txid", body))
    lies.refused("a hash in upper case", "bytes where 32", light.as_bytes, "AB" * 32, 32)
    lies.refused("a hash with spaces", "bytes where 32", light.as_bytes, "ab " * 32, 32)
    lies.refused("a short hash", "31 bytes where 32", light.as_bytes, "ab" * 31, 32)
    for key in ("snowball", "tiers", "masternodes"):
        try:
            light.Chain({**spec("odd"), key: 5})
            lies.must(False, f"a spec whose {key} is a number was taken")
        except ValueError as error:
            lies.must(str(error).startswith(key), f"{key}: {error}")


def odd_states(lies):
    """A state file that was damaged is refused, and not as if a node had lied."""
    hashes = [[0, FIRST.hash.hex()], [1, SECOND.hash.hex()], [2, THIRD.hash.hex()]]
    good = {"chain_id": CHAIN.id.hex(), "epoch": NOW, "height": 32, "block_hash": "00" * 32, "slot": 35, "sets": hashes}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "state")

        def load(state):
            with open(path, "w", encoding="ascii") as file:
                file.write(state if isinstance(state, str) else json.dumps(state))
            return light.load_state(CHAIN, node_with(), path)

        lies.must(load(good).set_of(1).hash == SECOND.hash, "a good state")
        odd = [{**good, "sets": sets} for sets in ([], hashes[::-1], hashes[:1] * 2, hashes + [[NOW + 1, "00" * 32]],
                                                   [[1]], 5)]
        for state in odd + [[], 5, "", "{", "\0"]:
            lies.told += 1
            try:
                load(state)
                lies.must(False, f"this state was taken: {state}")
            except ValueError as error:
                lies.must("not what was written" in str(error), f"{state}: {error}")


def about_checkpoints(lies):
    closing = header(22, 20, SECOND, THIRD)

    def begin(made, block_hash, node=None):
        node = node or node_with(get_block_header=light.encode_header(made).hex())
        found = light.from_checkpoint(CHAIN, node, 22, block_hash)
        found.set_of(found.epoch)
        found.follow(lambda *_: None)
        return found

    found = begin(closing, hash_of(closing))
    lies.must(light.verify_proof(in_block(), TXID, found).signed == 30, "a proof from the checkpoint on")
    lies.refused("a proof from before the checkpoint", "begin earlier", found.set_of, 1)
    tx_root = light.root_and_path(LEAVES, AT)[0]
    overflow = header(23, 20, THIRD, THIRD, tx_root=tx_root, tx_count=len(LEAVES))
    lies.must(light.verify_proof(in_block(overflow), TXID, found).epoch == 2, "a block right after the checkpoint")
    before = header(22, 20, SECOND, THIRD, tx_root=tx_root, tx_count=len(LEAVES))
    lies.refused("a block of the epoch before the checkpoint's", "begin earlier",
                 light.verify_proof, in_block(before, members=SECOND), TXID, found)
    lies.refused("a block from long before the checkpoint", "begin earlier",
                 light.verify_proof, in_block(header(7, 5, FIRST, FIRST, tx_root=tx_root, tx_count=len(LEAVES)),
                                              members=FIRST), TXID, found)
    lies.refused("another block for the checkpoint", "another block", begin, closing._replace(reward=1),
                 hash_of(closing))
    lies.refused("another height for the checkpoint", "another block", begin, header(23, 20, SECOND, THIRD),
                 hash_of(header(23, 20, SECOND, THIRD)))
    liar = node_with(get_block_header=light.encode_header(closing).hex(),
                     sets={2: {"validators": light.set_as_json(SECOND.members, PREFIX)}})
    lies.refused("another set for the checkpoint", "does not hash", begin, closing, hash_of(closing), liar)


ODD = (None, True, -1, 1.5, 2**70, "", "zz", "\u0661", [], {}, [[]], "00" * 31)


def places(value, path=()):
    """Every path into a JSON value, the whole first."""
    yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in list(entries)[:20]:
        yield from places(entry, path + (key,))


def nonsense(lies):
    """Odd values anywhere in an answer: refused as unproved, or, where nothing rests on the place, of no effect."""
    found = followed()

    def prove(proof):
        return light.verify_proof(proof, TXID, found)

    def first_end(shown):
        beginning = light.from_genesis(CHAIN, node_with())
        beginning.extend(shown)
        return beginning.hashes

    def page(shown):
        beginning = light.from_genesis(CHAIN, lambda *_: shown)
        beginning.follow(lambda *_: None)
        return beginning.hashes

    pages = {"epochs": ENDS[:1], "next_epoch": None}
    for attempt, answer in ((prove, receipts()), (prove, in_block()), (first_end, ENDS[0]), (page, pages)):
        expected = attempt(copy.deepcopy(answer))
        for path in places(answer):
            for odd in ODD:
                shown = changed(answer, *path, odd) if path else odd
                lies.told += 1
                try:
                    got = attempt(shown)
                    lies.must(got == expected or path == ("epochs",), f"{odd!r} at {path}: {got}")
                except Unproved:
                    pass
                except Exception as error:
                    lies.failed.append(f"{odd!r} at {path}: {error!r}")


def main():
    lies = Lies()
    for tell in (truth, about_epochs, about_receipts, about_blocks, about_payments, about_forms, odd_states,
                 about_checkpoints, nonsense):
        tell(lies)
    if lies.failed:
        sys.exit("\n".join(lies.failed))
    print(f"{lies.told} lies told, none believed")


if __name__ == "__main__":
    main()
