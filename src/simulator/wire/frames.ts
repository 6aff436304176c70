/** Frames of the TWS API: a 4-byte big-endian length, then that many bytes. The greeting is preceded by `API\0`. */

/** Longest frame either side may send. */
export const MAX_FRAME_BYTES = 0xffffff;

const GREETING = Buffer.from('API\0', 'latin1');

export class FramingError extends Error {
  override readonly name = 'FramingError';
}

/**
 * Cuts a byte stream into frames, whatever its segments.
 * The greeting prefix is demanded first unless `expectGreeting` is false.
 */
export class FrameDecoder {
  readonly #maxFrameBytes: number;
  #awaitsGreeting: boolean;
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(options: { readonly maxFrameBytes?: number; readonly expectGreeting?: boolean } = {}) {
    this.#maxFrameBytes = options.maxFrameBytes ?? MAX_FRAME_BYTES;
    this.#awaitsGreeting = options.expectGreeting ?? true;
  }

  /**
   * Takes one segment and calls `onFrame` for each frame that is complete, in order. Return false from it to stop.
   * Throws FramingError when the stream cannot be frames: wrong greeting, empty frame, frame over the limit.
   */
  push(segment: Buffer, onFrame: (frame: Buffer) => boolean | undefined): void {
    this.#chunks.push(segment);
    this.#bytes += segment.length;
    if (this.#awaitsGreeting) {
      if (this.#bytes < GREETING.length) {
        this.#checkGreeting(this.#peek(this.#bytes));
        return;
      }
      this.#checkGreeting(this.#peek(GREETING.length));
      this.#take(GREETING.length);
      this.#awaitsGreeting = false;
    }
    while (this.#bytes >= 4) {
      const length = this.#peek(4).readUInt32BE(0);
      if (length === 0) throw new FramingError('frame of length 0');
      if (length > this.#maxFrameBytes) {
        throw new FramingError(`frame of ${length} bytes exceeds the limit of ${this.#maxFrameBytes}`);
      }
      if (this.#bytes < 4 + length) return;
      this.#take(4);
      if (onFrame(this.#take(length)) === false) return;
    }
  }

  #checkGreeting(bytes: Buffer): void {
    if (!GREETING.subarray(0, bytes.length).equals(bytes)) {
      throw new FramingError('the connection did not begin with "API" and a NUL');
    }
  }

  #peek(count: number): Buffer {
    const first = this.#chunks[0];
    if (first !== undefined && first.length >= count) return first.subarray(0, count);
    const joined = Buffer.concat(this.#chunks, this.#bytes);
    this.#chunks = [joined];
    return joined.subarray(0, count);
  }

  #take(count: number): Buffer {
    const taken = this.#peek(count);
    const first = this.#chunks[0];
    this.#bytes -= count;
    if (first !== undefined && first.length > count) this.#chunks[0] = first.subarray(count);
    else this.#chunks.shift();
    return taken;
  }
}

/** The fields of a frame. A missing last NUL (as in the greeting) is forgiven. */
export function splitFields(frame: Buffer): string[] {
  const fields = frame.toString('utf8').split('\0');
  if (fields.at(-1) === '') fields.pop();
  return fields;
}

export type Field = string | number | boolean;

/** The text of a frame: every field ended by a NUL, booleans as 0 and 1. */
export function joinFields(fields: readonly Field[]): string {
  let text = '';
  for (const field of fields) text += `${field === true ? 1 : field === false ? 0 : field}\0`;
  return text;
}

/** A whole frame with its length. */
export function encodeFrame(fields: readonly Field[]): Buffer {
  const body = Buffer.from(joinFields(fields), 'utf8');
  const frame = Buffer.allocUnsafe(4 + body.length);
  frame.writeUInt32BE(body.length, 0);
  body.copy(frame, 4);
  return frame;
}
