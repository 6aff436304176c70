/** Frames of the TWS protocol: four bytes of length, then text fields each ended by NUL. */

/** Longest frame that the protocol knows. */
export const maxFrameBytes = 0xffffff;

export interface FrameSplitter {
  /** Takes bytes as they come. False once they cannot be frames; nothing is delivered from then on. */
  push(chunk: Buffer): boolean;
}

/**
 * Cuts a stream into whole frames: `bytes` from `start`, header included, to `end`. A length that no frame can have is refused here, because the
 * decoder behind it loops for ever on a negative one.
 */
export function createFrameSplitter(
  onFrame: (bytes: Buffer, start: number, end: number) => void,
): FrameSplitter {
  let held: Buffer[] = [];
  let heldBytes = 0;
  /** bytes that the frame at the head needs, or the header while its length is unknown */
  let neededBytes = 4;
  let broken = false;

  return {
    push(chunk) {
      if (broken) return false;
      held.push(chunk);
      heldBytes += chunk.length;
      if (heldBytes < neededBytes) return true;
      const bytes = held.length === 1 ? chunk : Buffer.concat(held, heldBytes);
      let start = 0;
      neededBytes = 4;
      while (bytes.length - start >= 4) {
        const length = bytes.readInt32BE(start);
        if (length < 1 || length > maxFrameBytes) {
          broken = true;
          held = [];
          return false;
        }
        const end = start + 4 + length;
        if (bytes.length < end) {
          neededBytes = 4 + length;
          break;
        }
        onFrame(bytes, start, end);
        start = end;
      }
      held = start < bytes.length ? [start === 0 ? bytes : bytes.subarray(start)] : [];
      heldBytes = bytes.length - start;
      return true;
    },
  };
}

/** A frame's number of kind (`5` is openOrder), NaN when it begins with anything else. */
export function messageIdOf(frame: Buffer): number {
  const end = frame.indexOf(0, 4);
  return Number(frame.toString('latin1', 4, end < 0 ? Math.min(frame.length, 16) : end) || Number.NaN);
}

/** A frame as people read it: fields parted by `|`, cut to so many characters. */
export function frameText(frame: Buffer, limit = 2_000): string {
  return frame.toString('utf8', 4, Math.min(frame.length, 4 + limit)).replaceAll('\0', '|');
}
