// Verifies proofs of ledger events offline. Written from c2sp.org/tlog-proof, signed-note,
// tlog-checkpoint, tlog-cosignature and RFC 6962 alone: it shares nothing with Tenure.
//
// Reads one JSON string, the text of a proof, per line; writes `ok INDEX` or `refused: WHY`.
// Usage: node tlog_proof_verifier.mjs LOG_KEY WITNESS_KEY < proofs
import { createHash, createPublicKey, verify } from "node:crypto";
import { createInterface } from "node:readline";

const sha256 = (...parts) => createHash("sha256").update(Buffer.concat(parts)).digest();
const need = (claim, why) => { if (!claim) throw new Error(why); };

function bytes(text) {
  const data = Buffer.from(text, "base64");
  need(data.length && data.toString("base64") === text, "not base64");
  return data;
}

function key(text) {
  const [, name, id, data] = /^([^\s+]+)\+([0-9a-f]{8})\+(.+)$/.exec(text);
  const raw = bytes(data);
  const found = sha256(Buffer.from(name + "\n"), raw).subarray(0, 4);
  need(found.toString("hex") === id && raw.length === 33, "no key");
  const der = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), raw.subarray(1)]);
  return { name, id: found, type: raw[0], public: createPublicKey({ key: der, format: "der", type: "spki" }) };
}

function signed(text, lines, by) {
  let held = 0;
  for (const line of lines) {
    const match = /^\u2014 (\S+) (\S+)$/.exec(line);
    need(match, "no signature line");
    const blob = bytes(match[2]);
    if (match[1] !== by.name || !blob.subarray(0, 4).equals(by.id)) continue;
    let message = Buffer.from(text), signature = blob.subarray(4);
    if (by.type === 4) {
      need(signature.length === 72, "short cosignature");
      const head = `cosignature/v1\ntime ${signature.readBigUInt64BE(0)}\n`;
      message = Buffer.from(head + text);
      signature = signature.subarray(8);
    }
    need(signature.length === 64 && verify(null, message, by.public, signature), `bad signature of ${by.name}`);
    held += 1;
  }
  need(held, `not signed by ${by.name}`);
}

// RFC 6962, 2.1.1: the audit path of leaf m in a tree of n leaves, from the leaf upward.
function root(m, n, leaf, path) {
  if (n === 1) { need(path.length === 0, "too many hashes"); return leaf; }
  need(path.length, "too few hashes");
  let k = 1;
  while (k * 2 < n) k *= 2;
  const last = path[path.length - 1], rest = path.slice(0, -1), one = Buffer.from([1]);
  return m < k ? sha256(one, root(m, k, leaf, rest), last) : sha256(one, last, root(m - k, n - k, leaf, rest));
}

function check(proof, log, witness) {
  const split = proof.indexOf("\n\n");
  const [first, extra, index, ...path] = proof.slice(0, split).split("\n");
  need(first === "c2sp.org/tlog-proof@v1" && /^extra /.test(extra), "no proof");
  need(/^index (0|[1-9][0-9]*)$/.test(index), "no index");
  const note = proof.slice(split + 2), end = note.lastIndexOf("\n\n");
  need(end > 0 && note.endsWith("\n"), "no note");
  const text = note.slice(0, end + 1), lines = note.slice(end + 2, -1).split("\n");
  const [origin, size, hash] = text.split("\n");
  need(origin === log.name && /^(0|[1-9][0-9]*)$/.test(size), "no checkpoint of this log");
  signed(text, lines, log);
  signed(text, lines, witness);
  // Tenure's own rule: an entry is the SHA-256 of the event in canonical JSON, as hexadecimal text.
  const entry = Buffer.from(sha256(bytes(extra.slice(6))).toString("hex"));
  const m = Number(index.slice(6)), n = Number(size);
  need(m < n, "index beyond the tree");
  const found = root(m, n, sha256(Buffer.from([0]), entry), path.map(bytes));
  need(found.equals(bytes(hash)), "another root");
  return m;
}

const [log, witness] = process.argv.slice(2, 4).map(key);
for await (const line of createInterface({ input: process.stdin })) {
  try {
    console.log(`ok ${check(JSON.parse(line), log, witness)}`);
  } catch (error) {
    console.log(`refused: ${error.message}`);
  }
}
