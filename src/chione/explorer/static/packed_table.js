// A table as chione.explorer.packing wrote it: whole numbers times a step, deflated, in base 64.

export const LENGTH_TERMS = 20;
export const ANGLE_TERMS = 24;

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

export async function unpackTable(text) {
  const packed = atob(text);
  const bytes = new Uint8Array(packed.length);
  for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
  const raw = await inflate(bytes);
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const count = view.getUint32(0, true);
  let floatAt = 4;
  let byteAt = 4 + 8 * count;
  const float = () => {
    floatAt += 8;
    return view.getFloat64(floatAt - 8, true);
  };
  const number = () => {
    let value = 0;
    let factor = 1;
    for (;;) {
      const byte = raw[byteAt++];
      value += (byte & 127) * factor;
      if (byte < 128) break;
      factor *= 128;
    }
    return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
  };
  const block = (size) => {
    const step = float();
    const out = new Float64Array(size);
    for (let i = 0; i < size; i++) out[i] = number() * step;
    return out;
  };
  const jumps = float() === 1;
  const parity = float();
  const n = float();
  let low = float();
  const pieces = [];
  for (let i = 0; i < n; i++) {
    const high = float();
    const parts = float();
    const angles = new Float64Array(parts + 1);
    for (let k = 0; k <= parts; k++) angles[k] = float();
    const columns = [0, 1, 2, 3].map(() => block(LENGTH_TERMS));
    const near = [];
    const far = [];
    for (let k = 0; k < parts; k++) near.push(block(ANGLE_TERMS * LENGTH_TERMS));
    for (let k = 0; k < parts && parity === 0; k++) far.push(block(ANGLE_TERMS * LENGTH_TERMS));
    pieces.push({ low, high, angles, columns, near, far, whole: null });
    low = high;
  }
  return { jumps, parity, pieces, low: pieces[0].low, high: low };
}
