import assert from 'node:assert/strict';
import { request } from 'node:http';
import { describe, test } from 'node:test';
import { PageListener, PagePoll } from '../../../src/cli/drill/page.ts';
import type { PageWatch } from '../../../src/cli/drill/page.ts';
import { HttpService } from '../../support/http-receiver.ts';

const TOKEN = '0123456789abcdef0123';

async function seen(page: PageWatch): Promise<number> {
  for (const endMs = performance.now() + 60_000; performance.now() < endMs;) {
    const { seenAtMs } = page.facts;
    if (seenAtMs !== undefined) return seenAtMs;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return assert.fail(`not seen: ${JSON.stringify(page.facts)}`);
}

/** A service that answers with what is in `body` now. */
async function pages(body: { text: string; status?: number }): Promise<HttpService> {
  const service = await HttpService.start();
  service.answer = (_, response) => {
    response.statusCode = body.status ?? 200;
    if (body.status === 302) response.setHeader('location', 'http://127.0.0.1:9/');
    response.end(body.text);
  };
  return service;
}

describe('a page that is asked', () => {
  test('until it has the text; with the headers that were given', async () => {
    const body = { text: '[]' };
    await using closing = new AsyncDisposableService(await pages(body));
    const { service } = closing;
    const url = new URL(`http://127.0.0.1:${service.port}/incidents?key=secret`);
    const page = new PagePoll(url, { authorization: 'Token token=x' }, TOKEN, 10);
    await page.start();
    assert.equal(page.where, `http://127.0.0.1:${service.port}/incidents`);
    body.text = `[{"line":"token=${TOKEN}"}]`;
    await seen(page);
    await page.stop();
    const [first] = service.requests;
    assert.deepEqual([first?.method, first?.path], ['GET', '/incidents?key=secret']);
    assert.equal(first?.headers.authorization, 'Token token=x');
  });

  test('that does not answer as it should, or has the text already, is refused before the drill', async () => {
    const body = { text: 'no', status: 401 };
    await using closing = new AsyncDisposableService(await pages(body));
    const url = new URL(`http://127.0.0.1:${closing.service.port}/`);
    await assert.rejects(
      new PagePoll(url, {}, TOKEN).start(),
      /it answers 401: give a key with --header/,
    );
    body.status = 302;
    await assert.rejects(new PagePoll(url, {}, TOKEN).start(), /it answers 302, elsewhere/);
    Object.assign(body, { status: 200, text: 'Varvel drill in shop' });
    await assert.rejects(
      new PagePoll(url, {}, 'Varvel drill').start(),
      /has "Varvel drill" already, so it could not tell of this drill/,
    );
    await closing.service.stop();
    const nobody = new PagePoll(url, {}, TOKEN);
    await assert.rejects(
      nobody.start(),
      /cannot be looked at: (?:connect ECONNREFUSED|other side closed)/,
    );
  });

  test('that fails later says why, and is asked on', async () => {
    const body: { text: string; status?: number } = { text: '[]' };
    await using closing = new AsyncDisposableService(await pages(body));
    const page = new PagePoll(new URL(`http://127.0.0.1:${closing.service.port}/`), {}, TOKEN, 10);
    await page.start();
    body.status = 503;
    while (page.facts.failure === undefined)
      await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(page.facts.failure, 'it answers 503');
    Object.assign(body, { status: 200, text: TOKEN });
    await seen(page);
    assert.equal(page.facts.failure, undefined);
    await page.stop();
  });
});

describe('a page that is waited for', () => {
  test('the first request with the text in its body or address counts, the others are counted', async () => {
    for (const [path, body] of [
      ['/hook', JSON.stringify({ line: `{"token":"${TOKEN}"}` })],
      [`/hook?text=${TOKEN}`, ''],
    ] as const) {
      const page = new PageListener('127.0.0.1', 0, TOKEN);
      await page.start();
      const base = page.where.slice(0, -1);
      const other = await fetch(`${base}/hook`, { method: 'POST', body: 'something else' });
      assert.deepEqual([other.status, await other.text()], [200, 'ok\n']);
      assert.equal(page.facts.seenAtMs, undefined);
      await fetch(`${base}${path}`, { method: 'POST', body });
      await seen(page);
      assert.equal(page.facts.others, 1);
      await page.stop();
    }
  });

  test('the incident of the line counts as well, once it is known', async () => {
    const page = new PageListener('127.0.0.1', 0, TOKEN);
    await page.start();
    const post = (): Promise<Response> =>
      fetch(page.where, { method: 'POST', body: 'shop,k3x9abcd' });
    await post();
    assert.equal(page.facts.seenAtMs, undefined);
    page.also('k3x9abcd');
    await post();
    await seen(page);
    await page.stop();
  });

  test('a body of any size, and one that breaks off, end nothing', async () => {
    const page = new PageListener('127.0.0.1', 0, TOKEN);
    await page.start();
    const large = await fetch(page.where, {
      method: 'POST',
      body: 'x'.repeat(6 * 1024 * 1024) + TOKEN,
    });
    assert.equal(large.status, 200);
    assert.deepEqual(page.facts, { seenAtMs: undefined, others: 1, failure: undefined });
    const broken = request(page.where, { method: 'POST', headers: { 'content-length': 100 } });
    broken.on('error', () => undefined).write(TOKEN);
    await new Promise((resolve) => setTimeout(resolve, 50));
    broken.destroy();
    await fetch(page.where, { method: 'POST', body: TOKEN });
    await seen(page);
    await page.stop();
  });

  test('an address that is taken is said', async () => {
    const first = new PageListener('127.0.0.1', 0, TOKEN);
    await first.start();
    const { port } = new URL(first.where);
    const second = new PageListener('127.0.0.1', Number(port), TOKEN);
    await assert.rejects(
      second.start(),
      /--listen 127\.0\.0\.1:\d+: something else listens there\./,
    );
    await second.stop();
    await first.stop();
  });
});

class AsyncDisposableService implements AsyncDisposable {
  readonly service: HttpService;

  constructor(service: HttpService) {
    this.service = service;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.service.stop();
  }
}
