import type { Socket } from 'node:net';

const SLAB_BYTES = 64 * 1024;

/** Collects the frames of one turn of the event loop and writes them at once. */
export class Outbox {
  readonly #socket: Socket;
  readonly #maxBacklogBytes: number;
  readonly #onOverflow: () => void;
  #slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  #start = 0;
  #end = 0;
  #full: Buffer[] = [];
  #isScheduled = false;
  #isHeld = false;
  #fullBytes = 0;

  constructor(socket: Socket, maxBacklogBytes: number, onOverflow: () => void) {
    this.#socket = socket;
    this.#maxBacklogBytes = maxBacklogBytes;
    this.#onOverflow = onOverflow;
  }

  /** Bytes that the socket has not taken. */
  get backlog(): number {
    return this.#socket.writableLength + this.#fullBytes;
  }

  /** Queues one frame with this text as its body. */
  add(text: string): void {
    const needed = 4 + 3 * text.length;
    if (this.#slab.length - this.#end < needed) this.#newSlab(needed);
    const written = this.#slab.write(text, this.#end + 4, 'utf8');
    this.#slab.writeUInt32BE(written, this.#end);
    this.#end += 4 + written;
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      queueMicrotask(this.flush);
    }
  }

  /** While held, frames wait here. */
  hold(isHeld: boolean): void {
    this.#isHeld = isHeld;
    if (!isHeld) this.flush();
  }

  readonly flush = (): void => {
    this.#isScheduled = false;
    if (this.#isHeld || this.#socket.destroyed || this.#socket.writableEnded) return;
    const isMany = this.#full.length > 0;
    if (isMany) this.#socket.cork();
    for (const chunk of this.#full) this.#socket.write(chunk);
    this.#full = [];
    this.#fullBytes = 0;
    if (this.#end > this.#start) {
      this.#socket.write(this.#slab.subarray(this.#start, this.#end));
      this.#start = this.#end;
    }
    if (isMany) this.#socket.uncork();
    if (this.#socket.writableLength > this.#maxBacklogBytes) this.#onOverflow();
  };

  #newSlab(needed: number): void {
    if (this.#end > this.#start) {
      this.#full.push(this.#slab.subarray(this.#start, this.#end));
      this.#fullBytes += this.#end - this.#start;
      if (this.#fullBytes > this.#maxBacklogBytes) this.#onOverflow();
    }
    this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, needed));
    this.#start = 0;
    this.#end = 0;
  }
}
