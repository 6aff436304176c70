/** Frames of the TWS protocol: four bytes of length, then text fields each ended by NUL. */

/** Longest frame that the protocol knows. */
export const maxFrameBytes = 0xffffff;

export interface FrameSplitter {
  /** Takes bytes as they come. False once they cannot be frames; nothing is delivered from then on. */
  push(chunk: Buffer): boolean;
}

/**
 * Cuts a stream into whole frames, header included. A length that no frame can have is refused here, because the
 * decoder behind it loops for ever on a negative one.
 */
export function createFrameSplitter(onFrame: (frame: Buffer) => void): FrameSplitter {
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
      let bytes = held.length === 1 ? chunk : Buffer.concat(held, heldBytes);
      while (bytes.length >= 4) {
        const length = bytes.readInt32BE(0);
        if (length < 1 || length > maxFrameBytes) {
          broken = true;
          held = [];
          return false;
        }
        neededBytes = 4 + length;
        if (bytes.length < neededBytes) break;
        const frame = bytes.subarray(0, neededBytes);
        bytes = bytes.subarray(neededBytes);
        neededBytes = 4;
        onFrame(frame);
      }
      held = bytes.length > 0 ? [bytes] : [];
      heldBytes = bytes.length;
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
