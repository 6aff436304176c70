/** Frames of a gateway with something wrong in them. */
import { type Random, seededRandom } from '../../src/simulator/shuffle.ts';
import { exoticNumbers } from './values.ts';

const words = [
  '',
  'x',
  '-1',
  '-2147483648',
  '2147483647',
  '4294967296',
  '1.7976931348623157E308',
  '99999',
  '\\u0041',
  '{',
  '\u{1f4a9}',
  'z'.repeat(5_000),
  ...exoticNumbers,
];

/** A frame of these fields. */
export function frameOf(fields: readonly string[]): Buffer {
  return framed(Buffer.from(`${fields.join('\0')}\0`, 'utf8'));
}

function framed(payload: Buffer): Buffer {
  const header = Buffer.alloc(4);
  header.writeInt32BE(payload.length);
  return Buffer.concat([header, payload]);
}

export const fieldsOf = (frame: Buffer): string[] => frame.toString('utf8', 4, frame.length - 1).split('\0');

export interface Mutator {
  /** The frame with one to three things wrong; its length still says where it ends. */
  mutate(frame: Buffer): Buffer;
  /** The frame with a wrong length: what follows cannot be told apart any more. */
  misframe(frame: Buffer): Buffer;
  pick<T>(items: readonly T[]): T;
}

export function createMutator(seed: number): Mutator {
  const random: Random = seededRandom(seed);
  const below = (n: number): number => Math.floor(random() * n);
  const pick = <T>(items: readonly T[]): T => items[below(items.length)] as T;

  const inFields = (frame: Buffer): Buffer => {
    const fields = fieldsOf(frame);
    const at = below(fields.length);
    switch (below(8)) {
      case 0:
        fields.splice(at, 1);
        break;
      case 1:
        fields.splice(at, 0, fields[at] ?? '');
        break;
      case 2:
        fields.splice(at, 0, pick(words));
        break;
      case 3:
        [fields[at], fields[0]] = [fields[0] ?? '', fields[at] ?? ''];
        break;
      case 4:
        // ids stand first
        fields[Math.min(fields.length - 1, 1 + below(2))] = String(below(2 ** 31));
        break;
      case 5:
        fields.length = at + 1;
        break;
      default:
        fields[at] = pick(words);
    }
    return frameOf(fields);
  };
  const inBytes = (frame: Buffer): Buffer => {
    const payload = Buffer.from(frame.subarray(4));
    if (below(4) === 0) return framed(payload.subarray(0, 1 + below(payload.length)));
    for (let flips = 1 + below(3); flips > 0; flips -= 1) {
      const at = below(payload.length);
      payload[at] = (payload[at] ?? 0) ^ (1 << below(8));
    }
    return framed(payload);
  };

  return {
    pick,
    mutate(frame) {
      let mutant = frame;
      for (let times = 1 + below(3); times > 0; times -= 1)
        mutant = random() < 0.7 ? inFields(mutant) : inBytes(mutant);
      return mutant;
    },
    misframe(frame) {
      const bytes = Buffer.from(frame);
      switch (below(5)) {
        case 0:
          bytes.writeInt32BE(-1 - below(2 ** 30));
          return bytes;
        case 1:
          bytes.writeInt32BE(0);
          return bytes;
        case 2:
          bytes.writeInt32BE(0x01000000 + below(2 ** 29));
          return bytes;
        case 3:
          return bytes.subarray(0, 1 + below(bytes.length));
        default:
          return Buffer.concat([bytes.subarray(0, 4), Buffer.from([below(256)]), bytes.subarray(4)]);
      }
    },
  };
}
