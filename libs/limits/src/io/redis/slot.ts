/** CRC-16/XMODEM by nibbles. */
const TABLE = Uint16Array.from({ length: 16 }, (_, nibble) => {
  let crc = nibble << 12;
  for (let bit = 0; bit < 4; bit += 1) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc;
});

/** The slot of a hash tag (what stands between the braces of a key) in a Redis Cluster, by its specification. */
export function slotOf(hashTag: string): number {
  let crc = 0;
  for (const byte of Buffer.from(hashTag)) {
    crc = (crc << 4) ^ (TABLE[((crc >> 12) ^ (byte >> 4)) & 0xf] ?? 0);
    crc = (crc << 4) ^ (TABLE[((crc >> 12) ^ byte) & 0xf] ?? 0);
  }
  return crc & 0x3fff;
}
