// Makes connections on request: a line of JSON on standard input for each, and one with the result on standard output.
import dgram from 'node:dgram';
import net from 'node:net';
import { createInterface } from 'node:readline';

let kept;
let bound;
let datagrams = 0;
const result = (resolve) => (error) => resolve(error?.code ?? 'ok');

const ACTIONS = {
  /** Connects, and keeps the connection. */
  keep: ({ host, port }) =>
    new Promise((resolve) => {
      kept = net.connect({ host, port }, () => resolve('ok'));
      kept.on('error', result(resolve));
    }),
  /** Writes on the kept connection: the kernel takes it, whether it can send it or not. */
  write: ({ text }) => new Promise((resolve) => kept.write(text, result(resolve))),
  connect: ({ host, port }) =>
    new Promise((resolve) => {
      const socket = net.connect({ host, port, autoSelectFamily: false });
      socket.on('connect', () => {
        socket.destroy();
        resolve('ok');
      });
      socket.on('error', result(resolve));
    }),
  send: ({ host, port, text, family = 4 }) =>
    new Promise((resolve) => {
      const socket = dgram.createSocket(`udp${family}`);
      socket.send(text, port, host, (error) => {
        socket.close();
        result(resolve)(error);
      });
    }),
  /** Counts datagrams to the port. */
  bind: ({ port }) =>
    new Promise((resolve) => {
      bound = dgram.createSocket('udp4', () => datagrams++).bind(port, () => resolve('ok'));
      bound.on('error', result(resolve));
    }),
  datagrams: () => Promise.resolve(datagrams),
  /** Listens on that address; the result is the port. */
  listen: ({ host }) =>
    new Promise((resolve) => {
      const server = net.createServer((socket) => socket.on('error', () => undefined).end());
      server.listen(0, host, () => resolve(server.address().port));
      server.on('error', result(resolve));
    }),
};

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  process.stdout.write(`${JSON.stringify(await ACTIONS[request.do](request))}\n`);
}
process.exit(0);
