// Seeded random numbers: xoshiro128** (Blackman and Vigna 2018) and normal deviates from it.

export class RandomStream {
  constructor(seed) {
    // splitmix32 spreads the seed over the state
    let s = seed >>> 0;
    this.state = Uint32Array.from({ length: 4 }, () => {
      s = (s + 0x9e3779b9) >>> 0;
      let z = s;
      z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
      z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
      return (z ^ (z >>> 16)) >>> 0;
    });
    this.spare = null;
  }

  word() {
    const s = this.state, five = Math.imul(s[1], 5);
    const out = Math.imul((five << 7) | (five >>> 25), 9) >>> 0;
    const t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = (s[3] << 11) | (s[3] >>> 21);
    return out;
  }

  // In (0, 1), with 53 bits.
  uniform() {
    return ((this.word() >>> 5) * 67108864 + (this.word() >>> 6) + 0.5) / 9007199254740992;
  }

  // Marsaglia's polar method, two at a time.
  normal() {
    if (this.spare !== null) {
      const out = this.spare;
      this.spare = null;
      return out;
    }
    for (;;) {
      const u = 2 * this.uniform() - 1, v = 2 * this.uniform() - 1, r = u * u + v * v;
      if (r >= 1 || r === 0) continue;
      const scale = Math.sqrt((-2 * Math.log(r)) / r);
      this.spare = v * scale;
      return u * scale;
    }
  }

  normals(out) {
    for (let i = 0; i < out.length; i++) out[i] = this.normal();
    return out;
  }
}
