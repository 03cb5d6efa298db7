/**
 * A self-signed certificate for `localhost` and 127.0.0.1, for a day (RFC 5280 §4.1): Node makes keys
 * and signatures, but no certificates.
 */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';

/** One value of DER: a tag, a length, and parts. */
function der(tag, ...parts) {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
  const n = body.length;
  // The shortest form is the only one.
  const length = n < 0x80 ? [n] : n < 0x100 ? [0x81, n] : [0x82, n >> 8, n & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

const sequence = (...parts) => der(0x30, ...parts);
const oid = (...bytes) => der(0x06, bytes);
/** `20251120120000Z` without the century. */
const utc = (time) => der(0x17, Buffer.from(time.toISOString().replace(/\.\d+|[-:T]/g, '').slice(2)));
const pem = (label, bytes) =>
  `-----BEGIN ${label}-----\n${bytes.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END ${label}-----\n`;

/** @returns {{ certificate: string, key: string }} as PEM */
export function makeCertificate() {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const ecdsaWithSha256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2));
  const name = sequence(der(0x31, sequence(oid(0x55, 4, 3), der(0x0c, Buffer.from('localhost')))));
  const names = sequence(der(0x82, Buffer.from('localhost')), der(0x87, [127, 0, 0, 1]));
  const extensions = sequence(sequence(oid(0x55, 0x1d, 0x11), der(0x04, names)));
  const hour = 3_600_000;
  const body = sequence(
    der(0xa0, der(0x02, [2])),
    der(0x02, [1], randomBytes(8)),
    ecdsaWithSha256,
    name,
    sequence(utc(new Date(Date.now() - hour)), utc(new Date(Date.now() + 24 * hour))),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, extensions),
  );
  const signature = sign('sha256', body, privateKey);
  return {
    certificate: pem('CERTIFICATE', sequence(body, ecdsaWithSha256, der(0x03, [0], signature))),
    key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
  };
}
