// Streams that are connected by their first message instead of connect(2): tcp(7), TCP Fast Open.
import { describe, test } from 'node:test';
import { bytes, call, suiteOf } from '../support/kernel-calls.ts';
import {
  assertPeer,
  header,
  listening,
  message,
  MSG_DONTWAIT,
  MSG_FASTOPEN,
  MSG_NOSIGNAL,
  placesOf,
  STREAM,
  to,
  type Place,
} from '../support/kernel-messages.ts';

const EISCONN = -106;
const EINPROGRESS = -115;

describe('messages that connect', () => {
  const suite = suiteOf('messages');

  test('they are to a new peer, as connect is', async () => {
    const run = await suite.run(
      listening(8),
      [...STREAM, ...call('sendto', '@', bytes('hello'), 5, MSG_FASTOPEN, 'a:1', 16)],
      ['describe', '@'],
      call('sendto', '@', bytes('no'), 2, MSG_FASTOPEN | MSG_NOSIGNAL, 'a:1', 16),
      call('sendto', '@', bytes('more'), 4, 0, 'a:1', 16),
      [...STREAM, ...call('sendmsg', '@', ...header(['a:2', 16], to('hi')), MSG_FASTOPEN)],
      ['describe', '@'],
      STREAM,
      call('sendmmsg', '@', '{', ...message(['a:3', 16], to('hey')), '}', 1, MSG_FASTOPEN),
      ['describe', '@'],
    );
    const [listener, ...clients] = placesOf(run);
    const [one, two, three] = clients as [Place, Place, Place];
    const sent = ({ fd, at }: Place, data: string): Record<string, unknown> => ({
      res: data.length,
      fd,
      size: data.length,
      data: Buffer.from(data),
      tuple: `${at}->${listener!.at}`,
    });
    assertPeer(run.check('sendto', sent(one, 'hello')), false, true);
    const failed = { res: EISCONN, fd: one.fd, size: 2, data: undefined, tuple: undefined };
    assertPeer(run.check('sendto', failed), true, false);
    assertPeer(run.check('sendto', sent(one, 'more')), true, false);
    assertPeer(run.check('sendmsg', sent(two, 'hi')), false, true);
    const event = run.event('sendmmsg', run.results[0]!);
    run.checkEvent(event, sent(three, 'hey'));
    assertPeer(event, false, true);
    run.end();
  });

  test('one that has begun to connect too', async () => {
    const run = await suite.run(
      listening(0),
      // Which takes one that nobody accepts, and no more.
      [...STREAM, ...call('connect', '@', 'a:1', 16)],
      STREAM,
      call('sendto', '@', bytes('hello'), 5, MSG_FASTOPEN | MSG_DONTWAIT, 'a:2', 16),
      ['describe', '@'],
    );
    const [listener, client] = placesOf(run) as [Place, Place];
    const event = run.check('sendto', {
      res: EINPROGRESS,
      fd: client.fd,
      size: 5,
      data: undefined,
      tuple: `${client.at}->${listener.at}`,
    });
    assertPeer(event, false, true);
    run.end();
  });
});
