/** One WebSocket text frame whose end is the same for many clients: its bytes are encoded once and copied only when they are few. */
import type { Socket } from 'node:net';

/** FIN and the opcode of text; a server masks nothing (RFC 6455, 5.2). */
const finalText = 0x81;
const copiedBytesMax = 1024;

/**
 * `head` is ASCII. `onTaken` is called when the kernel has all of it, or never will. Must not be called while the connection
 * has a frame in fragments under way.
 */
export function writeTextFrame(connection: Socket, head: string, tail: Buffer, onTaken?: () => void): void {
  const length = head.length + tail.length;
  const headerBytes = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const isCopied = tail.length <= copiedBytesMax;
  const start = Buffer.allocUnsafe(headerBytes + (isCopied ? length : head.length));
  start[0] = finalText;
  if (headerBytes === 2) {
    start[1] = length;
  } else if (headerBytes === 4) {
    start[1] = 126;
    start.writeUInt16BE(length, 2);
  } else {
    start[1] = 127;
    start.writeUIntBE(0, 2, 2);
    start.writeUIntBE(length, 4, 6);
  }
  start.write(head, headerBytes, 'latin1');
  if (isCopied) {
    start.set(tail, headerBytes + head.length);
    connection.write(start, onTaken);
    return;
  }
  connection.cork();
  connection.write(start);
  connection.write(tail, onTaken);
  connection.uncork();
}
