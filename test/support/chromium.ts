import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

const CHROMIUM = '/usr/bin/chromium';
/** Only a hang takes as long. */
const ANSWER_MS = 60_000;

/** Why pages cannot be looked at here; undefined when they can. */
export const noChromium: string | undefined = existsSync(CHROMIUM)
  ? undefined
  : 'Chromium is not installed: bash test/support/setup.sh browser';

/** How a page is looked at. */
export interface Look {
  readonly width: number;
  readonly height: number;
  readonly scheme: 'light' | 'dark';
}

/** What the browser said while a page was open. */
export interface Said {
  /** Errors and warnings of the console, of the policy and of scripts. */
  readonly messages: string[];
  /** Addresses of everything that was asked for, the page itself included. */
  readonly requests: string[];
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
  readonly sessionId?: string;
}

/** Debian's Chromium without a window, by its DevTools protocol over a pipe. Dispose it: it is ended, its profile removed. */
export class Chromium {
  readonly #child: ChildProcess;
  readonly #profile: string;
  readonly #waiting = new Map<number, (message: Message) => void>();
  readonly #sessions = new Map<string, Said>();
  #rest = Buffer.alloc(0);
  #lastId = 0;

  private constructor(child: ChildProcess, profile: string) {
    this.#child = child;
    this.#profile = profile;
    (child.stdio[4] as Readable).on('data', (chunk: Buffer) => this.#onData(chunk));
  }

  static start(): Chromium {
    const profile = mkdtempSync(join(tmpdir(), 'varvel-chromium-'));
    const child = spawn(
      CHROMIUM,
      [
        '--headless=new',
        '--no-sandbox',
        '--disable-gpu',
        '--remote-debugging-pipe',
        '--no-first-run',
        '--disable-extensions',
        '--disable-background-networking',
        '--disable-component-update',
        '--hide-scrollbars',
        `--user-data-dir=${profile}`,
        'about:blank',
      ],
      { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'], detached: true },
    );
    return new Chromium(child, profile);
  }

  /** Opens a file in a page of its own. */
  async open(url: string, { width, height, scheme }: Look): Promise<Page> {
    const { targetId } = (await this.send('Target.createTarget', { url: 'about:blank' })) as {
      targetId: string;
    };
    const { sessionId } = (await this.send('Target.attachToTarget', {
      targetId,
      flatten: true,
    })) as { sessionId: string };
    const said: Said = { messages: [], requests: [] };
    this.#sessions.set(sessionId, said);
    const page = new Page(this, sessionId, said);
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await page.send(`${domain}.enable`);
    await page.send('Emulation.setDeviceMetricsOverride', {
      width,
      height,
      deviceScaleFactor: 1,
      mobile: width < 600,
    });
    await page.send('Emulation.setEmulatedMedia', {
      features: [{ name: 'prefers-color-scheme', value: scheme }],
    });
    await page.send('Page.navigate', { url });
    await page.evaluate(
      'new Promise((done) => document.readyState === "complete" ? done() : addEventListener("load", done))',
    );
    return page;
  }

  /** @internal */
  send(method: string, params: object = {}, sessionId?: string): Promise<unknown> {
    const id = ++this.#lastId;
    const input = this.#child.stdio[3] as Writable;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answer to ${method}`)), ANSWER_MS);
      this.#waiting.set(id, ({ result, error }) => {
        clearTimeout(timer);
        if (error === undefined) resolve(result);
        else reject(new Error(`${method}: ${error.message}`));
      });
      input.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, 'exit');
    await this.send('Browser.close').catch(() => undefined);
    if (this.#child.exitCode === null) await ended;
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }

  #onData(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    for (let end = this.#rest.indexOf(0); end >= 0; end = this.#rest.indexOf(0)) {
      const message = JSON.parse(this.#rest.subarray(0, end).toString()) as Message;
      this.#rest = this.#rest.subarray(end + 1);
      if (message.id === undefined) this.#onEvent(message);
      else {
        this.#waiting.get(message.id)?.(message);
        this.#waiting.delete(message.id);
      }
    }
  }

  #onEvent({ method, params, sessionId = '' }: Message): void {
    const said = this.#sessions.get(sessionId);
    if (said === undefined) return;
    const text = JSON.stringify(params).slice(0, 2000);
    if (
      ['Log.entryAdded', 'Runtime.consoleAPICalled', 'Runtime.exceptionThrown'].includes(
        method ?? '',
      )
    )
      said.messages.push(text);
    if (method === 'Network.requestWillBeSent')
      said.requests.push((params as { request: { url: string } }).request.url);
  }
}

/** A page that is open. */
export class Page {
  readonly said: Said;
  readonly #browser: Chromium;
  readonly #session: string;

  constructor(browser: Chromium, session: string, said: Said) {
    this.#browser = browser;
    this.#session = session;
    this.said = said;
  }

  send(method: string, params: object = {}): Promise<unknown> {
    return this.#browser.send(method, params, this.#session);
  }

  /** The value of a JavaScript expression in the page, awaited: by the debugger, which no policy of the page stops. */
  async evaluate(expression: string): Promise<unknown> {
    const { result, exceptionDetails } = (await this.send('Runtime.evaluate', {
      expression,
      returnByValue: true,
      awaitPromise: true,
    })) as {
      result: { value: unknown };
      exceptionDetails?: { text: string; exception?: { description: string } };
    };
    if (exceptionDetails !== undefined)
      throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** PNG, of the whole page or of what is seen first. */
  async screenshot(whole: boolean): Promise<Buffer> {
    const { data } = (await this.send('Page.captureScreenshot', {
      format: 'png',
      captureBeyondViewport: whole,
    })) as { data: string };
    return Buffer.from(data, 'base64');
  }
}
