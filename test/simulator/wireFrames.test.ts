import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeFrame, FrameDecoder, FramingError, splitFields } from '../../src/simulator/wire/frames.ts';

const field = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((text) => !text.includes('\0'));
// A frame's last field may be empty; a frame without any field cannot be written.
const message = fc.array(field, { minLength: 1, maxLength: 20 });

/** The same bytes in segments that end at these places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...new Set([...places.map((place) => place % (bytes.length + 1)), bytes.length])].toSorted(
    (left, right) => left - right,
  );
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

function decode(segments: readonly Buffer[], expectGreeting: boolean): string[][] {
  const decoder = new FrameDecoder({ expectGreeting });
  const messages: string[][] = [];
  for (const segment of segments) {
    decoder.push(segment, (frame) => {
      messages.push(splitFields(frame));
      return true;
    });
  }
  return messages;
}

describe('framing', () => {
  it('reads the same messages from any fragmentation', () => {
    fc.assert(
      fc.property(
        fc.array(message, { minLength: 1, maxLength: 8 }),
        fc.array(fc.nat(), { maxLength: 40 }),
        fc.boolean(),
        (messages, places, greets) => {
          const greeting = greets ? [Buffer.from('API\0', 'latin1')] : [];
          const bytes = Buffer.concat([...greeting, ...messages.map((fields) => encodeFrame(fields))]);
          expect(decode(cut(bytes, places), greets)).toEqual(messages);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('reads byte by byte, and many frames from one segment', () => {
    const messages = [
      ['71', '2', '1', ''],
      ['49', '1'],
      ['3', 'é', ''],
    ];
    const bytes = Buffer.concat(messages.map((fields) => encodeFrame(fields)));
    expect(decode([bytes], false)).toEqual(messages);
    expect(
      decode(
        [...bytes].map((byte) => Buffer.from([byte])),
        false,
      ),
    ).toEqual(messages);
  });

  it('accepts a greeting without a last NUL', () => {
    const bytes = Buffer.from('API\0\0\0\0\x09v100..193', 'latin1');
    expect(decode([bytes], true)).toEqual([['v100..193']]);
  });

  it('refuses what cannot be frames as soon as it can tell', () => {
    const push =
      (bytes: Buffer, options = {}) =>
      () =>
        new FrameDecoder(options).push(bytes, () => true);
    expect(push(Buffer.from('GE', 'latin1'))).toThrow(FramingError);
    expect(push(Buffer.from([0, 0, 0, 0]), { expectGreeting: false })).toThrow('length 0');
    expect(push(Buffer.from([1, 0, 0, 0]), { expectGreeting: false })).toThrow('exceeds the limit');
    expect(push(Buffer.from([0, 0, 0, 9]), { expectGreeting: false, maxFrameBytes: 8 })).toThrow(
      'exceeds the limit',
    );
  });

  it('keeps what follows when told to stop', () => {
    const decoder = new FrameDecoder({ expectGreeting: false });
    const seen: string[][] = [];
    decoder.push(Buffer.concat([encodeFrame(['1']), encodeFrame(['2'])]), (frame) => {
      seen.push(splitFields(frame));
      return false;
    });
    expect(seen).toEqual([['1']]);
    decoder.push(Buffer.alloc(0), (frame) => {
      seen.push(splitFields(frame));
      return true;
    });
    expect(seen).toEqual([['1'], ['2']]);
  });
});
